//! The text of one file of the project, kept for as long as a mistake in it may have to be shown.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One file's text. Where its lines begin is computed only when a mistake is shown.
#[derive(Debug)]
pub(crate) struct SourceText {
    path: PathBuf,
    text: Box<str>,
    lines: OnceLock<Vec<usize>>,
}

impl SourceText {
    /// `path` is relative to the project.
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl Into<Box<str>>) -> Arc<SourceText> {
        Arc::new(SourceText { path: path.into(), text: text.into(), lines: OnceLock::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The byte order mark that some editors write before the text is not part of the first line.
    fn lines(&self) -> &[usize] {
        let first = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let begins =
            || std::iter::once(first).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.lines.get_or_init(begins)
    }

    /// Line and column of a byte offset, both counted from 1, columns in characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.lines().partition_point(|start| *start <= offset).saturating_sub(1);
        let begin = self.lines()[line];
        let column = self.text[begin..offset.max(begin)].chars().count();
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
    pub(crate) source: Arc<SourceText>,
    pub(crate) span: Range<usize>,
}

impl At {
    pub(crate) fn new(source: &Arc<SourceText>, span: Range<usize>) -> At {
        At { source: Arc::clone(source), span }
    }

    /// The place of a part of a string that is written at `self`. It is exact if the file contains the string
    /// literally or with TOML's escapes; otherwise it is the whole string.
    pub(crate) fn within(&self, value: &str, part: Range<usize>) -> At {
        let raw = self.source.text().get(self.span.clone()).unwrap_or_default();
        if value.is_empty() || part.start > part.end {
            return self.clone();
        }
        let (start, end) = (part.start.min(value.len()), part.end.min(value.len()));
        let at =
            |start: usize, end: usize| At::new(&self.source, self.span.start + start..self.span.start + end);
        match (raw.find(value), decoded(raw)) {
            (Some(base), _) => at(base + start, base + end),
            (None, Some((text, places))) if text == value => at(places[start], places[end]),
            _ => self.clone(),
        }
    }
}

/// The value of a TOML basic string, and the offset in `raw` of each of its bytes; the last offset is the end.
fn decoded(raw: &str) -> Option<(String, Vec<usize>)> {
    let quotes = if raw.starts_with("\"\"\"") { 3 } else { 1 };
    let end = raw.len().checked_sub(quotes).filter(|_| raw.starts_with('"') && raw.ends_with('"'))?;
    let inside = raw.get(..end)?;
    let first = inside.get(quotes..)?;
    let mut at = match first.strip_prefix('\n').or_else(|| first.strip_prefix("\r\n")) {
        Some(rest) if quotes == 3 => inside.len() - rest.len(),
        _ => quotes,
    };
    let (mut text, mut places) = (String::new(), Vec::new());
    while let Some(c) = inside[at..].chars().next() {
        let (made, length) = if c == '\\' { escape(&inside[at..])? } else { (Some(c), c.len_utf8()) };
        text.extend(made);
        places.resize(text.len(), at);
        at += length;
    }
    places.push(at);
    Some((text, places))
}

/// The character that an escape stands for (`None` for an escaped line end), and the length of the escape.
fn escape(text: &str) -> Option<(Option<char>, usize)> {
    let kind = text[1..].chars().next()?;
    let code = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + digits))
    };
    match kind {
        'b' => Some((Some('\u{8}'), 2)),
        't' => Some((Some('\t'), 2)),
        'n' => Some((Some('\n'), 2)),
        'f' => Some((Some('\u{c}'), 2)),
        'r' => Some((Some('\r'), 2)),
        'e' => Some((Some('\u{1b}'), 2)),
        '"' | '\\' => Some((Some(kind), 2)),
        'x' => code(2),
        'u' => code(4),
        'U' => code(8),
        _ if kind.is_whitespace() => Some((None, text.len() - text[1..].trim_start().len())),
        _ => None,
    }
}

/// A string of a file and its place.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) at: At,
    /// Made by code, and never a template.
    pub(crate) literal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = SourceText::new("a", "eins\nzwölf drei\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(5), (2, 1));
        assert_eq!(source.position(12), (2, 7));
        assert_eq!(source.position(9999), (3, 1));
        assert_eq!(source.line(2), "zwölf drei");
        assert_eq!(source.line(9), "");
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        let source = SourceText::new("a", "\u{feff}eins\nzwei\n");
        assert_eq!([0, 3, 4, 8].map(|offset| source.position(offset)), [(1, 1), (1, 1), (1, 2), (2, 1)]);
        assert_eq!((source.line(1), source.line_range(1)), ("eins", 3..7));
    }

    #[test]
    fn a_part_of_a_string_is_found() {
        let source = SourceText::new("a", "x = \"one two\"\ny = one\\ntwo\n");
        let plain = At::new(&source, 4..13);
        assert_eq!(plain.within("one two", 4..7).span, 9..12);
        let other = At::new(&source, 18..26);
        assert_eq!(other.within("one\ntwo", 4..7).span, 18..26);
    }

    #[test]
    fn a_part_is_found_behind_escapes() {
        let found = |written: &str, value: &str, part: &str| {
            let source = SourceText::new("a", format!("x = {written}\n"));
            let start = value.find(part).expect("a part of the value");
            let at = At::new(&source, 4..4 + written.len()).within(value, start..start + part.len());
            source.text()[at.span].to_owned()
        };
        assert_eq!(found(r#""a\n\"b\u00e4{{ x }}""#, "a\n\"bä{{ x }}", "{{ x }}"), "{{ x }}");
        assert_eq!(found(r#""\tä\"""#, "\tä\"", "\""), "\\\"");
        assert_eq!(found("\"\"\"\nsay \\\"\\\n   x\ny\"\"\"", "say \"x\ny", "y"), "y");
        assert_eq!(found("\"\"\"\r\na\\\\\"\"\"\"", "a\\\"", "\""), "\"");
        for odd in ["\"", "\"\"\"", "\"\"", "\"\\", "\"\\u12\"", "\"\\ud800\"", "\"\\", "'a", "\"\\u00é\""] {
            let _ = decoded(odd);
        }
    }
}
