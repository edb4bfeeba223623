//! The text of one file of the project, kept for as long as a mistake in it may have to be shown.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One file's text and where its lines begin, which only a mistake asks for.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: Box<str>,
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// `path` is relative to the project.
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl Into<Box<str>>) -> Arc<Source> {
        Arc::new(Source { path: path.into(), text: text.into(), lines: OnceLock::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn lines(&self) -> &[usize] {
        let begins =
            || std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.lines.get_or_init(begins)
    }

    /// Line and column of a byte offset, both counted from 1, columns in characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.lines().partition_point(|start| *start <= offset) - 1;
        let column = self.text[self.lines()[line]..offset].chars().count();
        (line + 1, column + 1)
    }

    /// The text of a line counted from 1, without its end.
    pub(crate) fn line(&self, line: usize) -> &str {
        let start = self.lines().get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.lines().get(line).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The byte range of a line counted from 1.
    pub(crate) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.lines().get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        start..start + self.line(line).len()
    }

    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.min(self.text.len()))
    }
}

/// A place in a file: what a diagnostic points at.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Range<usize>,
}

impl At {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> At {
        At { source: Arc::clone(source), span }
    }

    /// The place of a part of a string whose value stands at `self`: exact if the text of the file holds the value
    /// as it is; where escapes stand between the two, the whole string.
    pub(crate) fn within(&self, value: &str, part: Range<usize>) -> At {
        let raw = self.source.text().get(self.span.clone()).unwrap_or_default();
        match raw.find(value) {
            Some(start) if !value.is_empty() && part.start <= part.end => {
                let base = self.span.start + start;
                At::new(&self.source, base + part.start.min(value.len())..base + part.end.min(value.len()))
            }
            _ => self.clone(),
        }
    }
}

/// A string of a file and its place.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) at: At,
    /// Made by code: never taken for a template.
    pub(crate) literal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("a", "eins\nzwölf drei\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(5), (2, 1));
        assert_eq!(source.position(12), (2, 7));
        assert_eq!(source.position(9999), (3, 1));
        assert_eq!(source.line(2), "zwölf drei");
        assert_eq!(source.line(9), "");
    }

    #[test]
    fn a_part_of_a_string_is_found_unless_escapes_stand_between() {
        let source = Source::new("a", "x = \"one two\"\ny = \"one\\ntwo\"\n");
        let plain = At::new(&source, 4..13);
        assert_eq!(plain.within("one two", 4..7).span, 9..12);
        let escaped = At::new(&source, 18..28);
        assert_eq!(escaped.within("one\ntwo", 4..7).span, 18..28);
    }
}
