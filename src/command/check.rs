//! `batou check`: evaluates environments without a network, and shows every mistake of all of them.

use std::collections::BTreeSet;

use batou_environments::{Evaluation, Offline};
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::ui::{plural, report, visible_name};

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

/// Checks each environment; the exit status is that of the worst.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let names = context.environments(&args.environments)?;
    let mut failed = Vec::new();
    for name in &names {
        match context.evaluate(name, &Offline) {
            Ok(evaluation) => show(context, &evaluation),
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => {
                context.ui.section(&visible_name(name));
                report(&context.ui, &error);
                failed.push(visible_name(name));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CommandError::input(format!(
        "mistakes in {}: {}",
        plural(failed.len(), "environment"),
        failed.join(", ")
    )))
}

#[derive(Serialize)]
struct Checked<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    environment: &'a str,
    hosts: usize,
    components: usize,
    warnings: usize,
    unresolved: &'a [String],
}

fn show(context: &Context, evaluation: &Evaluation) {
    let checked = Checked {
        kind: "checked",
        environment: &evaluation.settings.name,
        hosts: evaluation.hosts.iter().filter(|host| !host.ignored).count(),
        components: evaluation.components.len(),
        warnings: evaluation.warnings.len(),
        unresolved: &evaluation.unresolved,
    };
    context.ui.json(&checked);
    let different: BTreeSet<_> = evaluation.components.iter().map(|one| one.component.as_str()).collect();
    context.ui.section(&visible_name(checked.environment));
    context.ui.line(&format!(
        "  {}, {} ({} different), {}",
        plural(checked.hosts, "host"),
        plural(checked.components, "component"),
        different.len(),
        plural(checked.warnings, "warning"),
    ));
    if !checked.unresolved.is_empty() {
        let names: Vec<_> = checked.unresolved.iter().map(|name| visible_name(name)).collect();
        context.ui.line(&format!("  not looked up: {}", names.join(", ")));
    }
}
