//! What a component declares, checked, before it is known what others provide.
//!
//! Made from items, of which component.toml and component.star make the same: nothing later tells the two apart.

mod file;
mod resource;

pub(crate) use file::{FileDeclaration, Origin, SymlinkDeclaration};
pub(crate) use resource::{Order, Provide, Require};

use std::sync::Arc;

use crate::diagnostic::Problems;
use crate::file::{Reader, Table};
use crate::raw::{Caller, Item, Kind};
use crate::source::At;
use crate::step::{self, StepDeclaration};

/// What a component declares.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) files: Vec<FileDeclaration>,
    pub(crate) symlinks: Vec<SymlinkDeclaration>,
    pub(crate) provides: Vec<Provide>,
    pub(crate) requires: Vec<Require>,
    pub(crate) steps: Vec<(StepDeclaration, Arc<Caller>)>,
}

/// Refuses keys of component.toml that are still to come.
pub(crate) fn later(reader: &mut Reader<'_, '_>) {
    reader.later(&["link", "copy", "service", "check", "build", "facts", "serial", "renamed_from"]);
}

/// Checks what a component declares.
pub(crate) fn check(items: &[Item], problems: &mut Problems) -> Definition {
    let mut definition = connected(items, problems);
    for item in items {
        match item.kind {
            Kind::File => definition.files.extend(file::file(item, problems)),
            Kind::Directory => definition.files.extend(file::directory(item, problems)),
            Kind::Symlink => definition.symlinks.extend(file::symlink(item, problems)),
            Kind::Provide | Kind::Require | Kind::Step => {}
        }
    }
    definition.steps = steps(items, problems);
    definition
}

/// Checks only what connects a component with others.
pub(crate) fn connected(items: &[Item], problems: &mut Problems) -> Definition {
    let mut definition = Definition::default();
    for item in items {
        match item.kind {
            Kind::Provide => definition.provides.extend(resource::provide(item, problems)),
            Kind::Require => definition.requires.extend(resource::require(item, problems)),
            _ => {}
        }
    }
    resource::check_variables(&definition.requires, problems);
    definition
}

fn steps(items: &[Item], problems: &mut Problems) -> Vec<(StepDeclaration, Arc<Caller>)> {
    let steps: Vec<&Item> = items.iter().filter(|item| item.kind == Kind::Step).collect();
    let tables: Vec<(&Table, &At)> = steps.iter().map(|item| (&item.table, &item.at)).collect();
    let checked = step::check(&tables, problems);
    let caller = |step: &StepDeclaration| {
        let named = |item: &&&Item| item.text("name") == Some(step.name.as_str());
        steps.iter().find(named).map(|item| Arc::clone(&item.by)).unwrap_or_default()
    };
    checked
        .into_iter()
        .map(|step| {
            let by = caller(&step);
            (step, by)
        })
        .collect()
}
