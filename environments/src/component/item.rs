//! What a component declares, item by item, before it is checked. Both component.toml and component.star make items.
//!
//! An item is a table with places, so that a call in Starlark has exactly the options of the table in TOML, and a
//! mistake in either is shown where it was written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use batou_release::UnitKind;
use minijinja::Value;

use crate::file::{Table, TableReader};
use crate::text::diagnostic::Problems;
use crate::text::source::At;

/// One thing that a component declares.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) table: Table,
    /// The place of the table, or of the call.
    pub(crate) at: At,
    pub(crate) by: Arc<Caller>,
}

/// What an item declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ItemKind {
    File,
    Directory,
    Symlink,
    Provide,
    Require,
    Unit(UnitKind),
}

/// Who declared an item.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The sub-components below the component, as `Venv("py")`; empty at the top.
    pub(crate) breadcrumb: Vec<String>,
    /// Relative to the project: sources are looked up here.
    pub(crate) folder: PathBuf,
    /// A map of variables that templates find before the names of the scope, such as `component` of a sub-component.
    /// `None` in a component.toml, where no code runs.
    pub(crate) variables: Option<Value>,
}

impl ItemKind {
    /// Every kind, in the order in which they are read.
    fn all() -> impl Iterator<Item = ItemKind> {
        let others =
            [ItemKind::File, ItemKind::Directory, ItemKind::Symlink, ItemKind::Provide, ItemKind::Require];
        others.into_iter().chain(UnitKind::ALL.map(ItemKind::Unit))
    }

    /// Its key in component.toml.
    pub(crate) fn key(self) -> &'static str {
        match self {
            ItemKind::File => "file",
            ItemKind::Directory => "directory",
            ItemKind::Symlink => "symlink",
            ItemKind::Provide => "provide",
            ItemKind::Require => "require",
            ItemKind::Unit(kind) => kind.word(),
        }
    }
}

impl Caller {
    /// Whether it is code, in a component.star.
    pub(crate) fn is_code(&self) -> bool {
        self.variables.is_some()
    }

    /// `` `strict = false` `` as it is written there, for messages.
    pub(crate) fn flag(&self, name: &str, on: bool) -> String {
        let value = match (self.is_code(), on) {
            (true, true) => "True",
            (true, false) => "False",
            (false, true) => "true",
            (false, false) => "false",
        };
        format!("`{name} = {value}`")
    }

    /// `[[file]] with path = "x"`, or `c.file("x")`, for advice.
    pub(crate) fn declaration(&self, kind: &str, key: &str, value: &str) -> String {
        if self.is_code() {
            format!("c.{kind}(\"{value}\")")
        } else {
            format!("[[{kind}]] with {key} = \"{value}\"")
        }
    }

    /// The sub-component, for the end of a component's name; nothing at the top.
    pub(crate) fn within(&self) -> String {
        within(&self.breadcrumb)
    }
}

/// ` > Venv("py") > …`, shortened if it is long.
pub(crate) fn within(breadcrumb: &[String]) -> String {
    const MOST: usize = 6;
    let (first, last) = match breadcrumb {
        [first @ .., last] if breadcrumb.len() > MOST => (&first[..MOST - 2], Some(last)),
        all => (all, None),
    };
    let first = first.iter().map(String::as_str);
    let rest = last.into_iter().flat_map(|last| ["…", last]);
    first.chain(rest).flat_map(|part| [" > ", part]).collect()
}

impl Item {
    /// Reads its table; messages name it as it was written.
    pub(crate) fn reader<'a, 'p>(&'a self, problems: &'p mut Problems) -> TableReader<'a, 'p> {
        let mut reader = TableReader::new(&self.table, &self.at, self.name(), problems);
        if self.by.is_code() && !matches!(self.kind, ItemKind::Provide | ItemKind::Require) {
            // Taken out before, as it is no key of a component.toml.
            reader.suggest("variables");
        }
        reader
    }

    /// `[[file]]`, or `c.file()`.
    pub(crate) fn name(&self) -> String {
        let key = self.kind.key();
        if self.by.is_code() { format!("c.{key}()") } else { format!("[[{key}]]") }
    }
}

/// Takes the items out of a component.toml.
pub(crate) fn items(reader: &mut TableReader<'_, '_>, folder: &Path) -> Vec<Item> {
    let by = Arc::new(Caller { folder: folder.to_owned(), ..Caller::default() });
    let mut items = Vec::new();
    for kind in ItemKind::all() {
        for (table, at) in reader.tables(kind.key()) {
            items.push(Item { kind, table: table.clone(), at: at.clone(), by: Arc::clone(&by) });
        }
    }
    items
}
