//! `[[file]]`, `[[directory]]` and `[[symlink]]`.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::component::item::{Caller, Item};
use crate::component::path::{self, PathError};
use crate::file::TableReader;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};

/// `[[file]]` and `[[directory]]`
#[derive(Debug)]
pub(crate) struct FileDeclaration {
    pub(crate) path: String,
    pub(crate) at: At,
    pub(crate) origin: Origin,
    pub(crate) mode: Option<u32>,
    pub(crate) template: bool,
    pub(crate) by: Arc<Caller>,
}

/// Where the content of a file comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Written where the file is declared.
    Inline(Text),
    /// A file or folder below the caller's folder, or below the project's root where the path begins with `//`.
    Beside { path: String, at: At, exclude: Option<GlobSet> },
    /// Like `Beside`, but it must be a folder.
    Folder { path: String, at: At, exclude: Option<GlobSet> },
    /// A folder with nothing in it.
    Nothing,
}

/// `[[symlink]]`
#[derive(Debug)]
pub(crate) struct SymlinkDeclaration {
    pub(crate) path: String,
    pub(crate) at: At,
    pub(crate) to: Text,
    pub(crate) by: Arc<Caller>,
}

pub(super) fn file(item: &Item, problems: &mut Problems) -> Option<FileDeclaration> {
    let mut reader = item.reader(problems);
    let path = checked_path(&mut reader, "path", path::check);
    let content = reader.text("content");
    let broken = reader.has("content") && content.is_none();
    let source = source(&mut reader);
    let mode = mode(&mut reader);
    let template = reader.boolean("template").unwrap_or(true);
    let has_exclude = reader.has("exclude");
    let exclude = exclude(&mut reader);
    if content.is_some() && (source.is_some() || has_exclude) {
        let message = "a file with `content` can have neither `source` nor `exclude`";
        reader.problems.push(Diagnostic::error(message).at(reader.at()));
    }
    reader.finish();
    if broken {
        return None;
    }
    let (path, path_at) = path?;
    let origin = match (content, source) {
        (Some(content), _) => Origin::Inline(content),
        (None, Some(source)) => {
            let (path, at) = source?;
            Origin::Beside { path, at, exclude }
        }
        (None, None) => Origin::Beside { path: path.clone(), at: path_at.clone(), exclude },
    };
    Some(FileDeclaration { path, at: path_at, origin, mode: mode?, template, by: Arc::clone(&item.by) })
}

pub(super) fn directory(item: &Item, problems: &mut Problems) -> Option<FileDeclaration> {
    let mut reader = item.reader(problems);
    let path = checked_path(&mut reader, "path", path::check);
    let source = source(&mut reader);
    let mode = mode(&mut reader);
    let template = reader.boolean("template").unwrap_or(true);
    let exclude = exclude(&mut reader);
    if source.is_none() && ["mode", "template", "exclude"].iter().any(|key| reader.has(key)) {
        let message = "`mode`, `template` and `exclude` apply to the files of a folder's `source`";
        let help = "name a `source`, or remove them: without one, the folder is empty";
        reader.problems.push(Diagnostic::error(message).at(reader.at()).help(help));
    }
    reader.finish();
    let (path, at) = path?;
    let origin = match source {
        Some(source) => {
            let (path, at) = source?;
            Origin::Folder { path, at, exclude }
        }
        None => Origin::Nothing,
    };
    Some(FileDeclaration { path, at, origin, mode: mode?, template, by: Arc::clone(&item.by) })
}

pub(super) fn symlink(item: &Item, problems: &mut Problems) -> Option<SymlinkDeclaration> {
    let mut reader = item.reader(problems);
    let path = checked_path(&mut reader, "path", path::check);
    let to = reader.required("to");
    reader.finish();
    let (path, at) = path?;
    Some(SymlinkDeclaration { path, at, to: to?, by: Arc::clone(&item.by) })
}

/// The source, `Some(None)` for a mistake.
#[allow(clippy::option_option, reason = "a mistake differs from an absent key")]
fn source(reader: &mut TableReader<'_, '_>) -> Option<Option<(String, At)>> {
    if !reader.has("source") {
        // Makes the key known even if it is absent, so that it is suggested for a misspelt one.
        reader.node("source");
        return None;
    }
    Some(checked_path(reader, "source", path::check_source))
}

fn checked_path(
    reader: &mut TableReader<'_, '_>,
    key: &'static str,
    check: impl Fn(&str) -> Result<String, PathError>,
) -> Option<(String, At)> {
    let text = reader.required(key)?;
    match check(&text.value) {
        Ok(path) => Some((path, text.at)),
        Err(error) => {
            reader.problems.push(Diagnostic::error(error.to_string()).at(&text.at));
            None
        }
    }
}

/// The mode, `Some(None)` without one, `None` for a mistake.
#[allow(clippy::option_option, reason = "a mistake differs from an absent key")]
fn mode(reader: &mut TableReader<'_, '_>) -> Option<Option<u32>> {
    if !reader.has("mode") {
        // Makes the key known even if it is absent, so that it is suggested for a misspelt one.
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

fn exclude(reader: &mut TableReader<'_, '_>) -> Option<GlobSet> {
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
