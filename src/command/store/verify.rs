//! `batou store verify`.

use std::path::Path;

use batou_store::{Durability, Problem, Remedy, Store};

use crate::archive;
use crate::build::SOURCES;
use crate::context::Context;
use crate::error::CommandError;
use crate::records::FOLDER as RELEASES;
use crate::ui::line::Line;
use crate::ui::{plural, visible_name};

/// Checks every object; with another store or archive, mends what it can.
pub(super) fn run(context: &Context, from: Option<&Path>) -> Result<(), CommandError> {
    let store = context.store()?;
    let problems = ours(store.verify(&context.ui.progress())?);
    for problem in &problems {
        show(context, problem);
    }
    let left = match from {
        Some(from) if !problems.is_empty() => repair(context, store, &problems, from)?,
        _ => problems.clone(),
    };
    let mended = problems.len().saturating_sub(left.len());
    context.ui.json(&Line::StoreVerified { left: left.len(), mended });
    if left.is_empty() {
        context.ui.line("every object is whole");
        return Ok(());
    }
    let error =
        CommandError::failed(format!("{} has {}", store.root().display(), plural(left.len(), "problem")));
    Err(advice(&left, from).into_iter().fold(error, CommandError::hint))
}

/// What to do about problems that are left.
fn advice(left: &[Problem], from: Option<&Path>) -> Vec<String> {
    let mut advice = Vec::new();
    if left.iter().any(|problem| problem.remedy != Remedy::Look) {
        advice.push(match from {
            None => {
                "mend it with `batou store verify --repair --from PATH`, or remove the store and build the \
                     environments again"
                    .to_owned()
            }
            Some(from) => format!("{} does not have all that is missing", from.display()),
        });
    }
    if left.iter().any(|problem| problem.remedy == Remedy::Look) {
        advice.push(
            "batou removes nothing that it did not make: look at what is foreign, and move it away"
                .to_owned(),
        );
    }
    advice
}

/// Without what lies in the store's folder, though the store does not know it: the records of built releases, and what
/// source files looked like.
fn ours(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.retain(|problem| ![RELEASES, SOURCES].map(Path::new).contains(&&*problem.path));
    problems
}

fn show(context: &Context, problem: &Problem) {
    context.ui.line(&visible_name(&problem.to_string()));
    context.ui.json(&Line::Problem { problem: problem.to_string() });
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
    if !left.is_empty() {
        context.ui.section("Left:");
        for problem in &left {
            show(context, problem);
        }
    }
    Ok(left)
}
