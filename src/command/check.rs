//! `batou check`: evaluates environments without a network, and shows all their mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use batou_environments::{Diagnostic, Evaluation, Location, Severity};

use crate::context::Context;
use crate::error::{CommandError, ExitKind};
use crate::evaluation::Lookup;
use crate::naming::NO_HOSTS;
use crate::ui::line::Line;
use crate::ui::report::diagnostic;
use crate::ui::{plural, visible_name};

/// Evaluate environments and show every mistake; needs no network.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
No host and no name server is asked; names that a switch would look up are listed.

Examples:
  batou check            all environments
  batou check prod")]
pub struct Args {
    /// The environments [default: all]
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
}

/// Checks each environment. A mistake that several environments share is shown once.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let mut found = BTreeMap::new();
    let mut failed = Vec::new();
    for name in context.environments(&args.environments)? {
        match context.evaluate_silently(&name, Lookup::Offline) {
            Ok(evaluation) => {
                show(context, &evaluation);
                collect(&mut found, &evaluation.warnings);
            }
            Err(error) => {
                let of_project = error.diagnostics().filter(|_| error.kind() == ExitKind::Input);
                let Some(mistakes) = of_project else { return Err(error) };
                collect(&mut found, mistakes);
                failed.push(visible_name(&name));
            }
        }
    }
    for mistake in found.values() {
        diagnostic(&context.ui, mistake);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let errors = found.values().filter(|mistake| mistake.severity == Severity::Error).count();
    let (errors, environments) = (plural(errors, "error"), plural(failed.len(), "environment"));
    Err(CommandError::input(format!("{errors} in {environments}: {}", failed.join(", "))))
}

/// A place: the file, the line and the column.
type MistakePlace = (PathBuf, usize, usize);

/// What makes two mistakes the same: where they are, the message, the help, and the values that caused them with the places
/// that set those. Environments may set a value in different places.
type MistakeIdentity = (MistakePlace, String, Option<String>, Vec<(String, MistakePlace)>);

/// Adds mistakes, each once, in the order of files and lines.
fn collect<'d>(
    found: &mut BTreeMap<MistakeIdentity, Diagnostic>,
    mistakes: impl IntoIterator<Item = &'d Diagnostic>,
) {
    for mistake in mistakes {
        let place = |location: &Location| (location.file.clone(), location.line, location.column);
        let at = mistake.location.as_ref().map(place).unwrap_or_default();
        let set = mistake.set.iter().map(|set| (set.name.clone(), place(&set.location))).collect();
        let identity = (at, mistake.message.clone(), mistake.help.clone(), set);
        let known = found.entry(identity).or_insert_with(|| mistake.clone());
        known.subject.extend(mistake.subject.iter().cloned());
        known.subject.sort();
        known.subject.dedup();
    }
}

fn show(context: &Context, evaluation: &Evaluation) {
    let environment = &evaluation.policy.name;
    let taking_part = evaluation.hosts.iter().filter(|host| !host.ignored);
    let hosts: Vec<_> = taking_part.map(|host| &*host.name).collect();
    let (instances, warnings) = (evaluation.components.len(), evaluation.warnings.len());
    let unresolved = &evaluation.unresolved;
    let different: BTreeSet<_> = evaluation.components.iter().map(|one| one.component.as_str()).collect();
    context.ui.section(&visible_name(environment));
    context.ui.line(&format!(
        "  {}, {} ({} different), {}",
        plural(hosts.len(), "host"),
        plural(instances, "component"),
        different.len(),
        plural(warnings, "warning"),
    ));
    if evaluation.hosts.is_empty() {
        context.ui.line(&format!("  {NO_HOSTS}"));
    }
    if !unresolved.is_empty() {
        let names: Vec<_> = unresolved.iter().map(|name| visible_name(name)).collect();
        context.ui.line(&format!("  not looked up: {}", names.join(", ")));
    }
    context.ui.json(&Line::Checked { environment, hosts, instances, warnings, unresolved });
}
