//! `batou gc`: removes what nobody needs any more from the local store.

use batou_environments::Policy;
use batou_store::{ArtifactId, ObjectId, ObjectKind, Store};

use crate::cli::options::{LOCK_WAIT, LeaveOut};
use crate::context::Context;
use crate::deployment::failure::failed;
use crate::deployment::lock::holder;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::{Member, sort};
use crate::ui::line::Line;
use crate::ui::{bytes, one_line, plural, visible_name};
use batou_agent::protocol::Obstacle;
use batou_agent::protocol::question::{self, Collection};

/// Remove what nobody needs any more from the local store.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Kept are what a link below a project's result/ names, and the last releases of each environment (its `keep`).

Examples:
  batou gc           the local store
  batou gc prod      the stores of the environment's hosts, too")]
pub struct Args {
    /// Collect on the hosts of this environment, too
    #[arg(value_name = "ENV")]
    pub environment: Option<String>,
}

/// Collects the local store's garbage.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    if let Some(environment) = &args.environment {
        collect_hosts(context, environment)?;
    }
    let store = context.store()?;
    let collect = || store.gc_with(|| roots(context, store), &context.ui.progress());
    let freed = match collect() {
        Err(error) if error.is_of_store() && drop_damaged(context, store)? => collect()?,
        collected => collected?,
    };
    context.ui.json(&Line::StoreCollected {
        artifacts: freed.of(ObjectKind::Artifact),
        trees: freed.of(ObjectKind::Tree),
        blobs: freed.of(ObjectKind::Blob),
        bytes: freed.bytes,
    });
    let kinds = ObjectKind::ALL.iter().rev();
    let counts: Vec<_> = kinds.map(|kind| plural(count(freed.of(*kind)), kind.noun()).to_string()).collect();
    context.ui.line(&format!("{} freed: {}", bytes(freed.bytes), counts.join(", ")));
    Ok(())
}

/// What the recorded releases need. A release of which something was removed by hand cannot be kept, and must
/// not keep the rest from being collected.
fn roots(context: &Context, store: &Store) -> Result<Vec<ArtifactId>, CommandError> {
    let mut roots = Vec::new();
    for root in context.records()?.prune()? {
        if store.contains(&ObjectId::Artifact(root))? {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// Drops what is damaged among what is kept: what else it needs is unknown, and collecting must not wait for
/// it. Returns whether there was any.
fn drop_damaged(context: &Context, store: &Store) -> Result<bool, CommandError> {
    let mut kept = roots(context, store)?;
    for root in store.roots()?.into_values().flatten() {
        if store.contains(&ObjectId::Artifact(root))? {
            kept.push(root);
        }
    }
    let dropped = store.drop_damaged(&kept, &[], &context.ui.progress())?;
    if dropped.faults.is_empty() {
        return Ok(false);
    }
    context.ui.warn(&format!(
        "{} had {}: {} dropped, which the next `batou build` or `batou switch` makes again",
        store.root().display(),
        plural(dropped.faults.len(), "damaged or missing object"),
        plural(dropped.artifacts.len(), "artifact"),
    ));
    Ok(true)
}

/// Collects on all hosts of an environment, under their locks.
fn collect_hosts(context: &Context, environment: &str) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, environment)?;
    let keep = policy.keep;
    let mut deployment = Deployment::new(context, policy, &hosts, &LeaveOut::default())?;
    block_on(context, async {
        deployment.all_states().await?;
        let states = deployment.lock(&holder(), LOCK_WAIT).await?;
        let collect = async |member: &mut Member| {
            let freed = member.ask(&question::collect(keep)).await?;
            Ok((freed, member.hello.target_directory.clone()))
        };
        let (freed, failures) = sort(deployment.fleet.each(collect).await);
        for (host, (freed, directory)) in &freed {
            let &Collection { generations, objects, bytes: size, ref obstacles } = freed;
            let in_force = states.get(host).and_then(|state| state.generation);
            for it in obstacles {
                let what = it.generation.map_or("the store is damaged".to_owned(), |number| {
                    format!("generation {number} cannot be read")
                });
                let (reason, remedy) =
                    (one_line(&it.reason), remedy(it, in_force, &deployment.policy, directory));
                context.ui.warn(&format!(
                    "{host}: {what}: {reason}; no object is removed while that is so: {remedy}"
                ));
            }
            context.ui.json(&Line::Collected { host, generations, objects, bytes: size });
            let (generations, objects) = (count(generations), count(objects));
            context.ui.line(&format!(
                "{host}: {} freed: {}, {}",
                bytes(size),
                plural(generations, "generation"),
                plural(objects, "object"),
            ));
        }
        if failures.is_empty() { Ok(()) } else { Err(failed("could not be collected", &failures)) }
    })
}

/// What ends that an object or a generation, which may be the one in force, cannot be read.
fn remedy(it: &Obstacle, in_force: Option<u64>, policy: &Policy, directory: &str) -> String {
    let environment = visible_name(&policy.name);
    let older =
        format!("once it is older than the last {} (`keep`)", plural(policy.keep as usize, "release"));
    let Some(number) = it.generation else {
        return format!(
            "`batou verify {environment} --repair` mends what the release in force needs; what only an older release \
             needs is mended by a rollback to it, or goes {older}"
        );
    };
    let folder = format!("the folder {}/generations/{number}", visible_name(directory));
    if in_force == Some(number) {
        format!(
            "`batou switch {environment}` makes another generation, and then this one is not needed: remove {folder}"
        )
    } else {
        format!("nothing can go back to that generation: remove {folder}, or it goes by itself {older}")
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
