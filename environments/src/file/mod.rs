//! The raw stage: TOML files as trees whose every key and value knows its place.
//!
//! Nothing is interpreted here but the syntax. Overlays (`inherits`) are merged on these trees, so that what is
//! checked later still points into the file it came from.

mod reader;
mod tree;

pub(crate) use reader::{TableReader, text};
pub(crate) use tree::{ConfigNode, Data, KeyValue, Table, merge};

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, SourceText};

/// Configuration files larger than this are refused.
pub(crate) const LARGEST: u64 = 16 * 1024 * 1024;

/// Reads a TOML file of the project; every syntax error in it is reported.
pub(crate) fn load(root: &Path, relative: &Path, problems: &mut Problems) -> Option<(Table, At)> {
    let text = read_text(root, relative, problems)?;
    parse(&SourceText::new(relative, text), problems)
}

/// Parses TOML; every syntax error is reported.
pub(crate) fn parse(source: &Arc<SourceText>, problems: &mut Problems) -> Option<(Table, At)> {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        // What is nested too deeply has no place.
        let span = error.span().filter(|span| !span.is_empty() || span.start > 0);
        let span = span.unwrap_or_else(|| deepest(source));
        problems.push(Diagnostic::error(first_line(error.message())).at(&At::new(source, span)));
    }
    if !errors.is_empty() {
        return None;
    }
    let table = tree::table(document.into_inner(), source, problems)?;
    Some((table, At::new(source, 0..0)))
}

/// The line with the most keys and brackets.
fn deepest(source: &SourceText) -> std::ops::Range<usize> {
    let depth = |line: &str| line.matches(['.', '[', '{']).count();
    let lines = source.text().lines().enumerate();
    let number = lines.max_by_key(|(number, line)| (depth(line), std::cmp::Reverse(*number)));
    source.line_range(number.map_or(1, |(number, _)| number + 1))
}

fn first_line(message: &str) -> String {
    format!("not valid TOML: {}", message.lines().next().unwrap_or("syntax error"))
}

fn read_text(root: &Path, relative: &Path, problems: &mut Problems) -> Option<String> {
    let read = batou_system::fs::read_at_most(root.join(relative), LARGEST);
    match read.map(String::from_utf8) {
        Ok(Ok(text)) => Some(text),
        Ok(Err(error)) => {
            let good = error.utf8_error().valid_up_to();
            let shown = SourceText::new(relative, String::from_utf8_lossy(error.as_bytes()));
            let place = At::new(&shown, good..good + char::REPLACEMENT_CHARACTER.len_utf8());
            problems.push(Diagnostic::error("not UTF-8").at(&place).help("save the file as UTF-8"));
            None
        }
        Err(error) => {
            problems.push(Diagnostic::error(format!("cannot read: {error}")).in_file(relative));
            None
        }
    }
}
