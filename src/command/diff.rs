//! `batou diff`: compares two environments or built releases.

use std::collections::BTreeSet;

use batou_store::Store;

use crate::cli::options::Diff;
use crate::context::Context;
use crate::error::CommandError;
use crate::plan::HostPlan;
use crate::plan::compare::compare;
use crate::plan::objects::{ComparedObjects, Fetched};
use crate::plan::render::render;
use crate::records::Record;
use crate::ui::line::plan::Transfer;
use batou_agent::protocol::Drift;
use batou_release::{Causes, HostName, HostRelease, MANIFEST_FORMAT, Manifest};

/// Show what differs between two environments or built releases.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A release is named by the beginning of its id, as `batou store ls` and `batou history` list them.

Examples:
  batou diff staging prod
  batou diff 3f9a01c2 prod         what changed since that release was built
  batou diff 3f9a01c2 88e1 --diff short")]
pub struct Args {
    /// The old side: an environment, or a built release
    #[arg(value_name = "A")]
    pub old: String,
    /// The new side: an environment, or a built release
    #[arg(value_name = "B")]
    pub new: String,
    /// How much to show
    #[arg(long, value_enum, default_value_t)]
    pub diff: Diff,
}

/// Compares host by host.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (old, new) = match (context.release(&args.old), context.release(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(old), Err(new)) => return Err(old.and(new)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
    };
    let store = context.store()?;
    let hosts: BTreeSet<_> = old.hosts.keys().chain(new.hosts.keys()).collect();
    let mut needed = context.needed_of(&new);
    let before = context.needed_of(&old);
    needed.environments.extend(before.environments);
    needed.useful.extend(before.artifacts);
    let mut plans = context.mending(&needed, || {
        hosts.iter().map(|host| difference(store, host, &old, &new)).collect::<Result<Vec<_>, _>>()
    })?;
    if !context.ui.is_json() {
        plans.retain(|plan| !plan.settled || !plan.notes.is_empty());
        if plans.is_empty() {
            context.ui.line("no difference");
        }
    }
    render(&plans, args.diff, &context.ui);
    Ok(())
}

fn difference(store: &Store, host: &HostName, old: &Record, new: &Record) -> Result<HostPlan, CommandError> {
    let (before, after) = (old.hosts.get(host), new.hosts.get(host));
    let nothing = HostRelease::new(empty(new, host), Causes::new());
    let target = after.unwrap_or(&nothing);
    let fetched = Fetched::default();
    let components = compare(ComparedObjects { store, fetched: &fetched }, before, target)?;
    let notes = match (before, after) {
        (None, _) => vec!["the host is new".to_owned()],
        (_, None) => vec!["the host is no longer there".to_owned()],
        _ => Vec::new(),
    };
    Ok(HostPlan {
        host: host.clone(),
        from: before.map(HostRelease::digest),
        to: target.digest(),
        missing: Transfer::default(),
        settled: components.is_empty(),
        asked: false,
        drift: Drift::default(),
        components,
        notes,
    })
}

fn empty(release: &Record, host: &HostName) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        project: release.release.project.clone(),
        environment: release.release.environment.clone(),
        host: host.clone(),
        components: Vec::new(),
    }
}
