//! `batou gc`: removes what nobody needs any more from the local store.

use batou_store::ObjectId;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::ui::{bytes, plural};

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

#[derive(Serialize)]
struct Freed {
    #[serde(rename = "type")]
    kind: &'static str,
    artifacts: u64,
    trees: u64,
    blobs: u64,
    bytes: u64,
}

/// Collects the local store's garbage.
pub fn run(context: &Context, _args: &Args) -> Result<(), CommandError> {
    let store = context.store()?;
    let mut roots = context.records()?.prune()?;
    // A release of which something was removed by hand cannot be kept, and must not keep the rest from being collected.
    let mut absent = Vec::new();
    for root in &roots {
        if !store.contains(&ObjectId::Artifact(*root))? {
            absent.push(*root);
        }
    }
    roots.retain(|root| !absent.contains(root));
    let freed = store.gc(&roots, &context.ui.progress())?;
    context.ui.json(&Freed {
        kind: "collected",
        artifacts: freed.artifacts,
        trees: freed.trees,
        blobs: freed.blobs,
        bytes: freed.bytes,
    });
    let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
    context.ui.line(&format!(
        "{} freed: {}, {}, {}",
        bytes(freed.bytes),
        plural(count(freed.artifacts), "artifact"),
        plural(count(freed.trees), "tree"),
        plural(count(freed.blobs), "blob"),
    ));
    Ok(())
}
