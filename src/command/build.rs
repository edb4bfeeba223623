//! `batou build`: renders environments into the local store and links the results.

use batou_release::HostName;
use std::collections::{BTreeMap, BTreeSet};

use batou_environments::Evaluation;
use batou_store::Name;

use crate::build::{Built, build};
use crate::context::Context;
use crate::error::CommandError;
use crate::evaluation::Lookup;
use crate::mending::Needed;
use crate::naming;
use crate::outlink::OutLinks;
use crate::ui::line::Line;
use crate::ui::{DIM, plural, visible_name};

/// Build environments into the local store and link the results below result/.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The result is the same wherever the same project is built. What is already in the store is not built again.

Examples:
  batou build                             all environments
  batou build prod --component nginx      that component on all its hosts
  batou build dev && cat result/dev/localhost/hello/greeting.txt")]
pub struct Args {
    /// The environments [default: all]
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// Only this host's components [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Only this component, on every host that has it [may be repeated]
    #[arg(long, value_name = "COMPONENT")]
    pub component: Vec<String>,
}

impl Args {
    fn is_partial(&self) -> bool {
        !self.host.is_empty() || !self.component.is_empty()
    }
}

/// Builds and shows what was built. A part of an environment is linked but not recorded, because it is not a
/// release.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let environments = context.environments(&args.environments)?;
    let mut changed = BTreeSet::new();
    for name in &environments {
        let built = if args.is_partial() {
            let mut evaluation = context.evaluate(name, Lookup::System)?;
            select(&mut evaluation, args)?;
            build(&evaluation, context.store()?, &context.ui.progress())?
        } else {
            context.build(name)?.1
        };
        // What is damaged is rebuilt for all environments at once.
        let mut needed = Needed::of(name, built.hosts.values());
        needed.environments.extend(environments.iter().cloned());
        changed.extend(check_out(context, &needed, &built)?);
        link(context, name, &built, args)?;
        show(context, name, &built, args)?;
    }
    if !changed.is_empty() {
        let names = changed.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        context.ui.warn(&format!("files of {names} were not as they were built, and have been put back"));
    }
    Ok(())
}

/// Keeps only what was asked for in the evaluation.
fn select(evaluation: &mut Evaluation, args: &Args) -> Result<(), CommandError> {
    let hosts = evaluation.hosts.iter().map(|host| host.name.clone()).collect();
    let components: BTreeSet<_> = evaluation.components.iter().map(|one| one.component.as_str()).collect();
    let chosen = naming::hosts(&evaluation.policy, &args.host, &hosts)?;
    naming::known("component", &args.component, &components)?;
    let on_host = |name: &HostName| chosen.is_empty() || chosen.contains(name);
    let of_component = |name: &String| args.component.is_empty() || args.component.contains(name);
    evaluation.hosts.retain(|host| on_host(&host.name));
    evaluation.components.retain(|one| on_host(&one.host) && of_component(&one.component));
    Ok(())
}

fn link(context: &Context, environment: &str, built: &Built, args: &Args) -> Result<(), CommandError> {
    let store = context.store()?;
    let links = OutLinks::of(store, &context.project()?.root, environment)?;
    let mut kept = Vec::new();
    for (host, content) in &built.hosts {
        for component in &content.manifest().components {
            links.link(host, &component.name, &component.artifact)?;
            kept.push((host.clone(), component.name.clone()));
        }
    }
    if args.is_partial() { Ok(()) } else { links.remove_others(&kept) }
}

/// Checks out what was built, and puts back files that were changed there since. Returns the components with
/// such files.
fn check_out(context: &Context, needed: &Needed, built: &Built) -> Result<Vec<Name>, CommandError> {
    let store = context.store()?;
    let components = built.hosts.values().flat_map(|content| &content.manifest().components);
    let shown: BTreeMap<_, _> = components.map(|one| (one.artifact, &one.name)).collect();
    let names: Vec<_> = shown.iter().map(|(id, name)| (*id, *name)).collect();
    let changed = context.mending(needed, || Ok(store.check_out(&names)?))?;
    Ok(changed.iter().filter_map(|id| shown.get(id)).map(|name| (*name).clone()).collect())
}

fn show(context: &Context, environment: &str, built: &Built, args: &Args) -> Result<(), CommandError> {
    let ui = &context.ui;
    let store = context.store()?;
    let all = || {
        built
            .hosts
            .iter()
            .flat_map(|(host, content)| content.manifest().components.iter().map(move |c| (host, c)))
    };
    let width =
        all().map(|(host, one)| visible_name(host).len() + one.name.as_str().len() + 1).max().unwrap_or(0);
    ui.section(&visible_name(environment));
    if built.hosts.is_empty() {
        ui.line(&format!("  {}", naming::NO_HOSTS));
    }
    for (host, component) in all() {
        let path = store.artifact_path(&component.artifact, &component.name).display().to_string();
        let subject = format!("{}/{}", visible_name(host), component.name);
        ui.line(&format!(
            "  {subject:width$}  {}  {DIM}{}{DIM:#}",
            component.artifact.short(),
            visible_name(&path)
        ));
        ui.json(&Line::Artifact {
            environment,
            host,
            component: component.name.as_str(),
            artifact: component.artifact.into(),
            path: Some(&path),
        });
    }
    let id = built.release.id();
    if !args.is_partial() {
        ui.json(&Line::Built { environment, release: id.into(), stored: built.stored });
        ui.line(&format!("  release {}, {} built", id.short(), plural(built.stored, "artifact")));
    }
    Ok(())
}
