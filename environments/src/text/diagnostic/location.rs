//! A place in the project as it is shown: its line and, for drawing, the lines around it.

use std::path::{Path, PathBuf};

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use serde::{Deserialize, Serialize};

use super::wording::dangerous;
use crate::text::source::{At, SourceText};

/// A place in the project that a diagnostic points at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Location {
    /// Relative to the project.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Counted from 1; 0 for the whole file.
    pub line: usize,
    /// In characters, counted from 1; 0 for the whole file.
    pub column: usize,
    /// How many characters of the line are marked.
    pub width: usize,
    /// The text of the line.
    pub excerpt: String,
    pub(super) shown: Option<Shown>,
}

/// The lines around a place, as miette shows them. Control characters are replaced byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shown {
    file: String,
    /// How many lines of the file stand before `text`.
    above: usize,
    /// Where `text` begins in the file.
    begin: usize,
    text: String,
    /// Of the place, in `text`.
    start: usize,
    length: usize,
}

/// More lines than miette shows above and below.
const CONTEXT: usize = 3;

/// How many characters of a line are shown. A longer line is a whole text on one line, of which only the part around
/// the place matters.
const LINE: usize = 240;

/// How many of them are shown before the place.
const LINE_BEFORE: usize = 80;

/// A path that is not UTF-8 is written only to be shown.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl Location {
    /// The place as lines and columns.
    pub(crate) fn of(at: &At) -> Location {
        let (line, column) = at.source.position(at.span.start);
        let excerpt = at.source.line(line).to_owned();
        let (end_line, end_column) = at.source.position(at.span.end);
        let line_width = excerpt.chars().count();
        let end = if end_line == line { end_column } else { line_width + 1 };
        let width = end.saturating_sub(column).max(1);
        let shown = Some(Shown::new(at, line, end_line));
        Location { file: at.source.path().to_owned(), line, column, width, excerpt, shown }
    }

    /// The line as it is shown, and how many of its characters come before the place. A very long line is cut to the
    /// part around the place.
    pub fn shown_line(&self) -> (String, usize) {
        let before = self.column.saturating_sub(1);
        let length = self.excerpt.chars().count();
        if length <= LINE {
            return (self.excerpt.clone(), before);
        }
        let begin = before.saturating_sub(LINE_BEFORE).min(length - LINE);
        let shown: String = self.excerpt.chars().skip(begin).take(LINE).collect();
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let line = format!("{}{shown}{}", cut(begin > 0), cut(begin + LINE < length));
        (line, before - begin + usize::from(begin > 0))
    }

    /// Whether all lines around the place can be shown as they are.
    pub(super) fn fits(&self) -> bool {
        let shown = self.shown.as_ref().map_or("", |shown| shown.text.as_str());
        shown.lines().all(|line| line.len() <= LINE || line.chars().count() <= LINE)
    }

    /// A file as a whole, without text to show.
    pub(crate) fn file(path: &Path) -> Location {
        Location { file: path.to_owned(), line: 0, column: 0, width: 0, excerpt: String::new(), shown: None }
    }
}

impl Shown {
    fn new(at: &At, line: usize, end_line: usize) -> Shown {
        let first = line.saturating_sub(CONTEXT).max(1);
        let begin = at.source.line_range(first).start;
        let end = at.source.line_range(end_line + CONTEXT + 1).start;
        let start = at.span.start.clamp(begin, end);
        Shown {
            file: at.source.path().to_string_lossy().into_owned(),
            above: first - 1,
            begin,
            text: harmless(&at.source.text()[begin..end]),
            start: start - begin,
            length: at.span.end.clamp(start, end) - start,
        }
    }

    pub(super) fn span(&self) -> SourceSpan {
        (self.start, self.length).into()
    }

    /// Another place of the same file, in this text. [`Shown::cover`] must have taken it in.
    pub(super) fn span_of(&self, other: &Shown) -> SourceSpan {
        (other.begin.saturating_sub(self.begin) + other.start, other.length).into()
    }

    /// Extends the text to the lines around another place of the same file.
    pub(super) fn cover(&mut self, source: &SourceText, other: &Shown) {
        let begin = self.begin.min(other.begin);
        let end = (self.begin + self.text.len()).max(other.begin + other.text.len());
        self.above = self.above.min(other.above);
        self.start += self.begin - begin;
        self.text = harmless(source.text().get(begin..end).unwrap_or_default());
        self.begin = begin;
    }
}

impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let lines = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            lines.data(),
            *lines.span(),
            lines.line() + self.above,
            lines.column(),
            lines.line_count(),
        )))
    }
}

/// The same text with every dangerous character replaced byte for byte, so that offsets still hold.
fn harmless(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if dangerous(c) {
            shown.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            shown.push(c);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_harmless_byte_for_byte() {
        assert_eq!(harmless("a\x1bö\u{9b}"), "a?ö??");
    }
}
