//! `component.toml`, checked: what a component declares, before any host or environment is known.

use std::collections::BTreeMap;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::attribute::{self, Declaration};
use crate::diagnostic::{Diagnostic, Problems};
use crate::file::{Node, Reader, Table};
use crate::name::is_identifier;
use crate::path;
use crate::source::{At, Text};
use crate::step::{self, StepDeclaration};

/// Variables of every template, which a required resource cannot take.
const TAKEN: [&str; 5] = ["batou_generated_header", "component", "environment", "host", "settings"];

/// What a component declares.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) attributes: BTreeMap<String, Declaration>,
    pub(crate) files: Vec<FileDeclaration>,
    pub(crate) symlinks: Vec<SymlinkDeclaration>,
    pub(crate) provides: Vec<Provide>,
    pub(crate) requires: Vec<Require>,
    pub(crate) steps: Vec<StepDeclaration>,
}

/// `[[file]]`
#[derive(Debug)]
pub(crate) struct FileDeclaration {
    pub(crate) path: String,
    pub(crate) at: At,
    pub(crate) origin: Origin,
    pub(crate) mode: Option<u32>,
    pub(crate) template: bool,
}

/// Where the content of a file comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Written in component.toml.
    Inline(Text),
    /// A file or folder below the component's folder.
    Beside { path: String, at: At, exclude: Option<GlobSet> },
}

/// `[[symlink]]`
#[derive(Debug)]
pub(crate) struct SymlinkDeclaration {
    pub(crate) path: String,
    pub(crate) at: At,
    pub(crate) to: Text,
}

/// `[[provide]]`
#[derive(Debug)]
pub(crate) struct Provide {
    pub(crate) key: Text,
    pub(crate) value: Node,
}

/// `[[require]]`
#[derive(Debug)]
pub(crate) struct Require {
    pub(crate) key: Text,
    pub(crate) variable: String,
    pub(crate) one: bool,
    pub(crate) host: Option<Text>,
    pub(crate) strict: bool,
    pub(crate) order: Order,
    pub(crate) sort: Option<Text>,
}

/// What a requirement says of the order in which components are activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    ProviderFirst,
    /// `reverse = true`
    RequirerFirst,
    /// `dirty = true`
    Open,
}

/// Checks a component's table.
pub(crate) fn check(table: &Table, at: &At, problems: &mut Problems) -> Definition {
    let mut reader = Reader::new(table, at, "component.toml", problems);
    let attributes = reader.table("attributes");
    let files = reader.tables("file");
    let symlinks = reader.tables("symlink");
    let provides = reader.tables("provide");
    let requires = reader.tables("require");
    let steps = reader.tables("step");
    reader.later(&["link", "copy", "service", "check", "build", "facts", "serial", "renamed_from"]);
    reader.finish();
    let mut definition = Definition::default();
    for (name, member) in attributes.into_iter().flat_map(|(table, _)| table) {
        if let Some(declaration) = attribute::check(name, &member.key, &member.node, problems) {
            definition.attributes.insert(name.clone(), declaration);
        }
    }
    definition.files = files.into_iter().filter_map(|(table, at)| file(table, at, problems)).collect();
    definition.symlinks =
        symlinks.into_iter().filter_map(|(table, at)| symlink(table, at, problems)).collect();
    definition.provides =
        provides.into_iter().filter_map(|(table, at)| provide(table, at, problems)).collect();
    definition.requires =
        requires.into_iter().filter_map(|(table, at)| require(table, at, problems)).collect();
    check_variables(&definition.requires, problems);
    definition.steps = step::check(&steps, problems);
    definition
}

fn file(table: &Table, at: &At, problems: &mut Problems) -> Option<FileDeclaration> {
    let mut reader = Reader::new(table, at, "[[file]]", problems);
    let path = checked_path(&mut reader, "path");
    let content = reader.text("content");
    let source = reader.has("source").then(|| checked_path(&mut reader, "source"));
    reader.node("source");
    let mode = mode(&mut reader);
    let template = reader.boolean("template").unwrap_or(true);
    let has_exclude = reader.has("exclude");
    let exclude = exclude(&mut reader);
    if content.is_some() && (source.is_some() || has_exclude) {
        let message = "a file with `content` has no `source` and no `exclude`";
        reader.problems.push(Diagnostic::error(message).at(reader.at()));
    }
    reader.finish();
    let (path, path_at) = path?;
    let origin = match (content, source) {
        (Some(content), _) => Origin::Inline(content),
        (None, Some(source)) => {
            let (path, at) = source?;
            Origin::Beside { path, at, exclude }
        }
        (None, None) => Origin::Beside { path: path.clone(), at: path_at.clone(), exclude },
    };
    Some(FileDeclaration { path, at: path_at, origin, mode: mode?, template })
}

fn checked_path(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<(String, At)> {
    let text = reader.required(key)?;
    match path::check(&text.value) {
        Ok(path) => Some((path, text.at)),
        Err(error) => {
            reader.problems.push(Diagnostic::error(error.to_string()).at(&text.at));
            None
        }
    }
}

/// The mode, `Some(None)` without one, `None` for a mistake.
#[allow(clippy::option_option, reason = "a mistake differs from an absent key")]
fn mode(reader: &mut Reader<'_, '_>) -> Option<Option<u32>> {
    if !reader.has("mode") {
        reader.node("mode");
        return Some(None);
    }
    let text = reader.text("mode")?;
    match path::mode(&text.value) {
        Ok(mode) => Some(Some(mode)),
        Err(error) => {
            let help = "write it as \"0755\" or \"rwxr-xr-x\"";
            reader.problems.push(Diagnostic::error(error.to_string()).at(&text.at).help(help));
            None
        }
    }
}

fn exclude(reader: &mut Reader<'_, '_>) -> Option<GlobSet> {
    let mut globs = GlobSetBuilder::new();
    let texts = reader.texts("exclude");
    for text in &texts {
        match Glob::new(&text.value) {
            Ok(glob) => drop(globs.add(glob)),
            Err(error) => {
                let message = format!("`{}` is not a pattern of file names: {}", text.value, error.kind());
                reader.problems.push(Diagnostic::error(message).at(&text.at));
            }
        }
    }
    if texts.is_empty() { None } else { globs.build().ok() }
}

fn symlink(table: &Table, at: &At, problems: &mut Problems) -> Option<SymlinkDeclaration> {
    let mut reader = Reader::new(table, at, "[[symlink]]", problems);
    let path = checked_path(&mut reader, "path");
    let to = reader.required("to");
    reader.finish();
    let (path, at) = path?;
    Some(SymlinkDeclaration { path, at, to: to? })
}

fn provide(table: &Table, at: &At, problems: &mut Problems) -> Option<Provide> {
    let mut reader = Reader::new(table, at, "[[provide]]", problems);
    let key = reader.required("key");
    let value = reader.node("value").cloned();
    if value.is_none() {
        reader.problems.push(Diagnostic::error("`value` is missing in [[provide]]").at(at));
    }
    reader.finish();
    Some(Provide { key: key?, value: value? })
}

fn require(table: &Table, at: &At, problems: &mut Problems) -> Option<Require> {
    let mut reader = Reader::new(table, at, "[[require]]", problems);
    let key = reader.required("key");
    let variable = reader.text("as");
    let one = reader.boolean("one").unwrap_or(false);
    let host = reader.text("host");
    let strict = reader.boolean("strict").unwrap_or(true);
    let order = order(&mut reader);
    let sort = reader.text("sort");
    if let Some(sort) = &sort
        && one
    {
        let message = "`sort` orders a list, and `one = true` gives a single value";
        reader.problems.push(Diagnostic::error(message).at(&sort.at).help("drop one of the two"));
    }
    reader.finish();
    let key = key?;
    let named = variable.unwrap_or_else(|| Text { value: key.value.replace('-', "_"), at: key.at.clone() });
    if !is_identifier(&named.value) || TAKEN.contains(&named.value.as_str()) {
        let message = format!("`{}` cannot be a template's variable", named.value);
        let help = "choose another name with `as`: letters, digits and `_`";
        problems.push(Diagnostic::error(message).at(&named.at).help(help));
        return None;
    }
    Some(Require { key, variable: named.value, one, host, strict, order, sort })
}

fn order(reader: &mut Reader<'_, '_>) -> Order {
    let reverse = reader.boolean("reverse").unwrap_or(false);
    let dirty = reader.boolean("dirty").unwrap_or(false);
    match (reverse, dirty) {
        (true, true) => {
            let message = "`reverse` orders two components, and `dirty` leaves their order open";
            reader.problems.push(Diagnostic::error(message).at(reader.at()).help("drop one of the two"));
            Order::Open
        }
        (true, false) => Order::RequirerFirst,
        (false, true) => Order::Open,
        (false, false) => Order::ProviderFirst,
    }
}

fn check_variables(requires: &[Require], problems: &mut Problems) {
    for (index, require) in requires.iter().enumerate() {
        if requires[..index].iter().any(|earlier| earlier.variable == require.variable) {
            let message = format!("the variable `{}` is given to two requirements", require.variable);
            let help = "name them apart with `as`";
            problems.push(Diagnostic::error(message).at(&require.key.at).help(help));
        }
    }
}
