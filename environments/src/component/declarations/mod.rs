//! What a component declares, checked, before it is known what others provide.
//!
//! They are made from items, and component.toml and component.star make the same ones, so nothing later tells the two
//! apart.

mod file;
mod resource;

pub(crate) use file::{FileDeclaration, Origin, SymlinkDeclaration};
pub(crate) use resource::{Provide, Require, RequireOrder};

use crate::component::item::{Item, ItemKind};
use crate::component::unit::{self, DeclaredUnit};
use crate::file::TableReader;
use crate::text::diagnostic::Problems;

/// What a component declares.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) files: Vec<FileDeclaration>,
    pub(crate) symlinks: Vec<SymlinkDeclaration>,
    pub(crate) provides: Vec<Provide>,
    pub(crate) requires: Vec<Require>,
    pub(crate) units: Vec<DeclaredUnit>,
}

/// Kinds of items that are not supported yet.
pub(crate) const LATER: [&str; 5] = ["link", "copy", "service", "check", "build"];

/// Refuses keys of component.toml that are not supported yet.
pub(crate) fn later(reader: &mut TableReader<'_, '_>) {
    reader.later(&LATER);
    reader.later(&["facts", "serial", "renamed_from"]);
}

/// Checks what a component declares.
pub(crate) fn check(items: &[Item], problems: &mut Problems) -> Declarations {
    let mut declarations = connected(items, problems);
    for item in items {
        let mut found = Problems::default();
        match item.kind {
            ItemKind::File => declarations.files.extend(file::file(item, &mut found)),
            ItemKind::Directory => declarations.files.extend(file::directory(item, &mut found)),
            ItemKind::Symlink => declarations.symlinks.extend(file::symlink(item, &mut found)),
            ItemKind::Unit(kind) => unit::check(kind, item, &mut declarations.units, &mut found),
            ItemKind::Provide | ItemKind::Require => {}
        }
        problems.extend_within(&item.by.within(), found);
    }
    declarations
}

/// Checks only what connects a component with others.
pub(crate) fn connected(items: &[Item], problems: &mut Problems) -> Declarations {
    let mut declarations = Declarations::default();
    for item in items {
        let mut found = Problems::default();
        match item.kind {
            ItemKind::Provide => declarations.provides.extend(resource::provide(item, &mut found)),
            ItemKind::Require => declarations.requires.extend(resource::require(item, &mut found)),
            _ => {}
        }
        problems.extend_within(&item.by.within(), found);
    }
    resource::check_variables(&declarations.requires, problems);
    declarations
}
