//! `batou store verify`.

use std::path::Path;

use batou_store::{Durability, Problem, Store};
use serde::Serialize;

use crate::archive;
use crate::context::Context;
use crate::error::CommandError;
use crate::records::FOLDER;
use crate::ui::{plural, visible_name};

#[derive(Serialize)]
struct Found {
    #[serde(rename = "type")]
    kind: &'static str,
    problem: String,
}

/// Checks every object; with another store or archive, mends what it can.
pub(super) fn run(context: &Context, from: Option<&Path>) -> Result<(), CommandError> {
    let store = context.store()?;
    let problems = ours(store.verify(&context.ui.progress())?);
    for problem in &problems {
        show(context, problem);
    }
    let left = match from {
        Some(from) if !problems.is_empty() => repair(context, store, &problems, from)?,
        _ => problems,
    };
    if left.is_empty() {
        context.ui.line("every object is whole");
        return Ok(());
    }
    let error =
        CommandError::failed(format!("{} has {}", store.root().display(), plural(left.len(), "problem")));
    Err(match from {
        None => error
            .hint("mend it with `batou store verify --repair --from PATH`, or build the environments again"),
        Some(from) => error.hint(format!("{} does not have what is missing", from.display())),
    })
}

/// Without the records of built releases, which lie in the store's folder and which it does not know.
fn ours(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.retain(|problem| problem.path != Path::new(FOLDER));
    problems
}

fn show(context: &Context, problem: &Problem) {
    context.ui.line(&visible_name(&problem.to_string()));
    context.ui.json(&Found { kind: "problem", problem: problem.to_string() });
}

fn repair(
    context: &Context,
    store: &Store,
    problems: &[Problem],
    from: &Path,
) -> Result<Vec<Problem>, CommandError> {
    let absent = |error: std::io::Error| {
        CommandError::input(format!("{} cannot be read", from.display())).because(error)
    };
    let is_store = std::fs::metadata(from).map_err(absent)?.is_dir();
    // Repair asks for single objects, and an archive is read from its beginning to its end: it is unpacked first.
    let unpacked = tempfile::tempdir().map_err(absent)?;
    let source = if is_store {
        Store::open_existing(from, Durability::Cache)?
            .ok_or_else(|| CommandError::input(format!("{} is no store", from.display())))?
    } else {
        let source = Store::open(unpacked.path(), Durability::Cache)?;
        archive::import(&source, from)?;
        source
    };
    let left = ours(store.repair(problems, &mut &source)?);
    context.ui.line(&format!("{} mended", plural(problems.len().saturating_sub(left.len()), "problem")));
    Ok(left)
}
