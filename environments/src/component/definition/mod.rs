//! What a component declares, checked, before it is known what others provide.
//!
//! Made from items, of which component.toml and component.star make the same: nothing later tells the two apart.

mod file;
mod resource;

pub(crate) use file::{FileDeclaration, Origin, SymlinkDeclaration};
pub(crate) use resource::{Order, Provide, Require};

use crate::component::item::{Item, Kind};
use crate::component::unit::{self, DeclaredUnit};
use crate::file::Reader;
use crate::text::diagnostic::Problems;

/// What a component declares.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) files: Vec<FileDeclaration>,
    pub(crate) symlinks: Vec<SymlinkDeclaration>,
    pub(crate) provides: Vec<Provide>,
    pub(crate) requires: Vec<Require>,
    pub(crate) units: Vec<DeclaredUnit>,
}

/// Kinds of items that are still to come.
pub(crate) const LATER: [&str; 5] = ["link", "copy", "service", "check", "build"];

/// Refuses keys of component.toml that are still to come.
pub(crate) fn later(reader: &mut Reader<'_, '_>) {
    reader.later(&LATER);
    reader.later(&["facts", "serial", "renamed_from"]);
}

/// Checks what a component declares.
pub(crate) fn check(items: &[Item], problems: &mut Problems) -> Definition {
    let mut definition = connected(items, problems);
    for item in items {
        let mut found = Problems::default();
        match item.kind {
            Kind::File => definition.files.extend(file::file(item, &mut found)),
            Kind::Directory => definition.files.extend(file::directory(item, &mut found)),
            Kind::Symlink => definition.symlinks.extend(file::symlink(item, &mut found)),
            Kind::Unit(kind) => unit::check(kind, item, &mut definition.units, &mut found),
            Kind::Provide | Kind::Require => {}
        }
        problems.extend_within(&item.by.within(), found);
    }
    definition
}

/// Checks only what connects a component with others.
pub(crate) fn connected(items: &[Item], problems: &mut Problems) -> Definition {
    let mut definition = Definition::default();
    for item in items {
        let mut found = Problems::default();
        match item.kind {
            Kind::Provide => definition.provides.extend(resource::provide(item, &mut found)),
            Kind::Require => definition.requires.extend(resource::require(item, &mut found)),
            _ => {}
        }
        problems.extend_within(&item.by.within(), found);
    }
    resource::check_variables(&definition.requires, problems);
    definition
}
