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

/// Checks every object. To repair, fetches what another store or archive has, or drops what is damaged if there
/// is none.
pub(super) fn run(context: &Context, repairs: bool, from: Option<&Path>) -> Result<(), CommandError> {
    let store = context.store()?;
    let problems = ours(store.verify(&context.ui.progress())?);
    for problem in &problems {
        show(context, problem);
    }
    let left = if repairs && !problems.is_empty() {
        repair(context, store, &problems, from)?
    } else {
        problems.clone()
    };
    let mended = problems.len().saturating_sub(left.len());
    context.ui.json(&Line::StoreVerified { left: left.len(), mended });
    if left.is_empty() {
        context.ui.line("every object is whole");
        return Ok(());
    }
    let error =
        CommandError::failed(format!("{} has {}", store.root().display(), plural(left.len(), "problem")));
    Err(advice(&left, repairs, from).into_iter().fold(error, CommandError::hint))
}

/// What to do about the remaining problems.
fn advice(left: &[Problem], repairs: bool, from: Option<&Path>) -> Vec<String> {
    let mut advice = Vec::new();
    if left.iter().any(|problem| problem.remedy != Remedy::Look) {
        advice.extend(match from {
            Some(from) => Some(format!("{} does not have everything that is missing", from.display())),
            None if repairs => None,
            None => Some(
                "`batou store verify --repair` drops what is damaged, and `batou build` makes it again as far as the \
                 project's files still do; with `--from PATH` another store or an exported release gives it back"
                    .to_owned(),
            ),
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

/// Leaves out files in the store's folder that the store does not know but batou does: the records of built
/// releases, and what source files looked like.
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
    from: Option<&Path>,
) -> Result<Vec<Problem>, CommandError> {
    let left = match from {
        Some(from) => fetch(store, problems, from)?,
        None => drop_damaged(context, store)?,
    };
    context.ui.line(&format!("{} mended", plural(problems.len().saturating_sub(left.len()), "problem")));
    if !left.is_empty() {
        context.ui.section("Left:");
        for problem in &left {
            show(context, problem);
        }
    }
    Ok(left)
}

/// Removes what is damaged, with the artifacts that need it, and repairs what needs no objects.
fn drop_damaged(context: &Context, store: &Store) -> Result<Vec<Problem>, CommandError> {
    let dropped = store.drop_damaged(&store.artifacts()?, &[], &context.ui.progress())?;
    if !dropped.artifacts.is_empty() {
        let dropped = plural(dropped.artifacts.len(), "artifact");
        context.ui.line(&format!(
            "{dropped} dropped: `batou build` makes again what the project's files still make"
        ));
    }
    let nothing = tempfile::tempdir()
        .map_err(|error| CommandError::failed("no temporary folder can be made").because(error))?;
    let nothing = Store::open(nothing.path(), Durability::Cache)?;
    let left = store.verify(&context.ui.progress())?;
    Ok(ours(store.repair(&left, &mut &nothing)?))
}

/// Fetches what is damaged or missing from another store or an archive.
fn fetch(store: &Store, problems: &[Problem], from: &Path) -> Result<Vec<Problem>, CommandError> {
    let absent = |error: std::io::Error| {
        CommandError::input(format!("{} cannot be read", from.display())).because(error)
    };
    let is_store = std::fs::metadata(from).map_err(absent)?.is_dir();
    // A repair reads single objects, but an archive can only be read from beginning to end: so it is unpacked
    // first.
    let unpacked = tempfile::tempdir().map_err(absent)?;
    let source = if is_store {
        Store::open_existing(from, Durability::Cache)?
            .ok_or_else(|| CommandError::input(format!("{} is no store", from.display())))?
    } else {
        let source = Store::open(unpacked.path(), Durability::Cache)?;
        archive::import(&source, from)?;
        source
    };
    Ok(ours(store.repair(problems, &mut &source)?))
}
