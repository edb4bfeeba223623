//! What a user is told about a mistake: file, line, column, excerpt and caret, and what to do about it.
//!
//! An evaluation goes on after a mistake wherever it can, so that all of them are shown at once. The same mistake
//! reached from twelve hosts is one diagnostic that names them.

mod location;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::source::At;
pub use location::Location;

/// Whether the evaluation failed because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The evaluation has no result.
    Error,
    /// Worth a look; the evaluation went on.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where it stands.
    pub location: Option<Location>,
    /// Where the code that stands there was called from, the nearest call first.
    pub calls: Vec<Location>,
    /// The attributes that the code there names and an environment sets, and where.
    pub set: Vec<(String, Location)>,
    /// What is affected: `host/component` or a host.
    pub subject: Vec<String>,
    /// The sub-component, until it is known of what: the end of the subject.
    #[serde(skip)]
    part: String,
}

impl Diagnostic {
    /// An error without a place.
    pub(crate) fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            help: None,
            location: None,
            calls: Vec::new(),
            set: Vec::new(),
            subject: Vec::new(),
            part: String::new(),
        }
    }

    /// The same as a warning.
    pub(crate) fn warning(mut self) -> Diagnostic {
        self.severity = Severity::Warning;
        self
    }

    /// With its place.
    pub(crate) fn at(mut self, at: &At) -> Diagnostic {
        self.location = Some(Location::of(at));
        self
    }

    /// With a call that led there.
    pub(crate) fn called_from(mut self, at: &At) -> Diagnostic {
        let call = Location::of(at);
        let own = self.location.as_mut().filter(|own| own.file == call.file);
        if let (Some(own), Some(other)) = (own.and_then(|own| own.shown.as_mut()), &call.shown) {
            own.cover(&at.source, other);
        }
        self.calls.push(call);
        self
    }

    /// With the place that sets an attribute which the code there names.
    pub(crate) fn set_at(mut self, attribute: &str, at: &At) -> Diagnostic {
        let place = Location::of(at);
        let here = |own: &Location| (&own.file, own.line) == (&place.file, place.line);
        if !self.location.as_ref().is_some_and(here) {
            self.set.push((attribute.to_owned(), place));
        }
        self
    }

    /// The lines that are shown, and those right above.
    pub(crate) fn shown_texts(&self) -> impl Iterator<Item = &str> {
        self.location.iter().chain(&self.calls).filter_map(Location::shown_text)
    }

    /// In a file as a whole.
    pub(crate) fn in_file(mut self, path: &Path) -> Diagnostic {
        self.location = Some(Location::file(path));
        self
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// With what it affects.
    pub(crate) fn about(mut self, subject: impl Into<String>) -> Diagnostic {
        self.subject.push(subject.into());
        self
    }

    /// With the sub-component in which it was found, as [`crate::raw::Caller::within`] has it.
    pub(crate) fn within(mut self, part: impl Into<String>) -> Diagnostic {
        self.part = part.into();
        self
    }

    /// Whether a place is in the file that is shown.
    fn shows(&self, place: &Location) -> bool {
        self.location.as_ref().is_some_and(|own| own.line > 0 && own.file == place.file)
    }

    fn key(&self) -> (PathBuf, usize, usize, String, Severity) {
        let (file, line, column) = self.location.as_ref().map_or((PathBuf::new(), 0, 0), |location| {
            (location.file.clone(), location.line, location.column)
        });
        (file, line, column, self.message.clone(), self.severity)
    }

    fn write_location(f: &mut fmt::Formatter<'_>, location: &Location) -> fmt::Result {
        let file = location.file.to_string_lossy();
        if location.line == 0 {
            return write!(f, "\n --> {}", visible(&file));
        }
        let number = location.line.to_string();
        let margin = " ".repeat(number.len());
        let before: String = location.excerpt.chars().take(location.column - 1).collect();
        let marked: String =
            location.excerpt.chars().skip(location.column - 1).take(location.width).collect();
        let indent: String = visible(&before).chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(visible(&marked).chars().count().max(1));
        write!(f, "\n{margin}--> {}:{}:{}", visible(&file), location.line, location.column)?;
        write!(f, "\n{margin} |\n{number} | {}", visible(&location.excerpt))?;
        write!(f, "\n{margin} | {indent}{carets}")
    }
}

/// `{}` is the message alone, as miette wants it for its headline; `{:#}` shows everything, as [`Diagnostics`] does.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.write_str(&visible(&self.message));
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", visible(&self.message))?;
        if let Some(location) = &self.location {
            Self::write_location(f, location)?;
        }
        for call in &self.calls {
            write!(f, "\n  called from")?;
            Self::write_location(f, call)?;
        }
        for (attribute, place) in &self.set {
            write!(f, "\n  `{attribute}` is set in")?;
            Self::write_location(f, place)?;
        }
        if !self.subject.is_empty() {
            write!(f, "\n  = affects: {}", visible(&self.subject.join(", ")))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {}", visible(help))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let affects = (!self.subject.is_empty()).then(|| format!("affects: {}", self.subject.join(", ")));
        let elsewhere = self.calls.iter().filter(|call| !self.shows(call));
        let calls = elsewhere
            .map(|call| format!("called from {}:{}:{}", call.file.to_string_lossy(), call.line, call.column));
        let set = self.set.iter().map(|(attribute, place)| {
            format!(
                "`{attribute}` is set in {}:{}:{}",
                place.file.to_string_lossy(),
                place.line,
                place.column
            )
        });
        let lines: Vec<String> = self
            .help
            .iter()
            .cloned()
            .chain(calls)
            .chain(set)
            .chain(affects)
            .map(|line| visible(&line).into_owned())
            .collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        let shown = self.location.as_ref()?.shown.as_ref()?;
        Some(shown)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let shown = self.location.as_ref()?.shown.as_ref()?;
        let here = std::iter::once(miette::LabeledSpan::new_with_span(None, shown.span()));
        let calls = self.calls.iter().filter(|call| self.shows(call)).filter_map(|call| call.shown.as_ref());
        let called = calls.map(|call| {
            let text = Some("called from here".to_owned());
            miette::LabeledSpan::new_with_span(text, shown.span_of(call))
        });
        Some(Box::new(here.chain(called)))
    }
}

/// One or more mistakes: sorted by place, each once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// The diagnostics in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic:#}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Where mistakes are collected while an evaluation goes on.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Diagnostic>);

impl Problems {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// Says of all of them what they affect.
    pub(crate) fn about(&mut self, subject: &str) {
        for diagnostic in &mut self.0 {
            diagnostic.subject.push(format!("{subject}{}", diagnostic.part));
        }
    }

    /// Takes in what was found in a sub-component, as [`crate::raw::Caller::within`] has it.
    pub(crate) fn extend_within(&mut self, part: &str, found: Problems) {
        self.0.extend(found.0.into_iter().map(|diagnostic| diagnostic.within(part)));
    }

    /// The same, each without advice of its own with this.
    pub(crate) fn advised(mut self, help: &str) -> Problems {
        for diagnostic in &mut self.0 {
            diagnostic.help.get_or_insert_with(|| help.to_owned());
        }
        self
    }

    /// The first that was found, for a file that nobody writes by hand.
    pub(crate) fn first(mut self) -> Problems {
        self.0.truncate(1);
        self
    }

    /// Whether anything but warnings was found.
    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The errors (with the warnings) if there is any, else the warnings.
    pub(crate) fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let failed = self.has_errors();
        let sorted = unique(self.0);
        if failed { Err(Diagnostics(sorted)) } else { Ok(sorted) }
    }
}

impl FromIterator<Diagnostic> for Problems {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Problems {
        Problems(diagnostics.into_iter().collect())
    }
}

/// Sorts, and makes one diagnostic of those that differ in their subject only.
fn unique(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut merged: BTreeMap<_, Diagnostic> = BTreeMap::new();
    for diagnostic in diagnostics {
        match merged.entry(diagnostic.key()) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(diagnostic);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                slot.get_mut().subject.extend(diagnostic.subject);
            }
        }
    }
    let mut result: Vec<Diagnostic> = merged.into_values().collect();
    for diagnostic in &mut result {
        diagnostic.subject.sort();
        diagnostic.subject.dedup();
    }
    result
}

/// Text for a terminal: control characters as `^[`, tabs kept, line ends as they are.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(dangerous) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !dangerous(c) => shown.push(c),
            '\x7f' => shown.push_str("^?"),
            c if u32::from(c) < 0x20 => {
                shown.push('^');
                shown.push(char::from(c as u8 + 0x40));
            }
            c => {
                use std::fmt::Write;
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(shown)
}

/// Like [`visible`] for a name or a path, which stays on its line.
pub(crate) fn visible_name(text: &str) -> String {
    visible(text).replace('\n', "^J").replace('\t', "^I")
}

/// Control characters, and the marks that reorder text on a terminal.
fn dangerous(c: char) -> bool {
    (c.is_control() && c != '\t' && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// "did you mean `x`?" for a word among known ones, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Names for a sentence: "`a`, `b` and `c`".
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::source::Source;

    fn at(text: &str, span: std::ops::Range<usize>) -> At {
        At::new(&Source::new("batou.toml", text), span)
    }

    #[test]
    fn shows_line_column_excerpt_and_caret() {
        let place = at("[project]\n\tnäme = 1\n", 11..16);
        let diagnostic = Diagnostic::error("unknown key `näme`").at(&place).help("did you mean `name`?");
        let shown = format!("{diagnostic:#}");
        assert_eq!(
            shown,
            "error: unknown key `näme`\n --> batou.toml:2:2\n  |\n2 | \tnäme = 1\n  | \t^^^^\n  = help: did you mean `name`?"
        );
    }

    #[test]
    fn one_mistake_on_many_hosts_is_one_diagnostic() {
        let place = at("x", 0..1);
        let mut problems = Problems::default();
        for host in ["web02", "web01", "web02"] {
            problems.push(Diagnostic::error("bad").at(&place).about(host));
        }
        let all = problems.finish().unwrap_err();
        assert_eq!(all.len(), 1);
        assert_eq!(all.iter().next().unwrap().subject, ["web01", "web02"]);
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(visible("a\x1b[31m\x7f\u{9b}\u{202e}"), "a^[[31m^?\\u{9b}\\u{202e}");
        let place = at("\x1b]0;x\x07 = 1", 0..1);
        let diagnostic = Diagnostic::error("\x1b").at(&place);
        assert!(!format!("{diagnostic:#}").contains('\x1b'));
    }

    #[test]
    fn miette_can_draw_every_place() {
        let text = "first\n\x1b[31m second ä\n";
        for span in [0..5, 6..10, 14..17, text.len()..text.len(), 0..text.len(), 90..95] {
            let diagnostic = Diagnostic::error("bad").at(&at(text, span)).help("do better").about("web01");
            let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
            let mut drawn = String::new();
            handler.render_report(&mut drawn, &diagnostic).unwrap();
            assert!(drawn.contains("batou.toml:") && drawn.contains("do better"), "{drawn}");
            assert_eq!(drawn.matches("do better").count(), 1, "{drawn}");
            assert!(!drawn.contains('\x1b') && !drawn.contains("Failed to read"), "{drawn}");
        }
    }

    /// Only the lines around a place are kept: they are drawn as if all of the file were.
    #[test]
    fn the_lines_around_a_place_are_drawn_like_the_whole_file() {
        let text = (1..30).fold(String::new(), |text, number| text + &format!("line {number} ä\n"));
        let spans = [0..4, 0..0, 40..45, 120..126, 100..160, 60..290, text.len() - 3..text.len(), 5..7];
        let draw = |report: miette::Report| {
            let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
            let mut drawn = String::new();
            handler.render_report(&mut drawn, &*report).unwrap();
            drawn
        };
        for span in spans {
            let diagnostic = Diagnostic::error("bad").at(&at(&text, span.clone()));
            let whole = miette::NamedSource::new("batou.toml", text.clone());
            let label = miette::LabeledSpan::new_with_span(None, (span.start, span.len()));
            let other = miette::MietteDiagnostic::new("bad").with_label(label);
            let drawn = draw(diagnostic.clone().into());
            assert_eq!(drawn, draw(miette::Report::new(other).with_source_code(whole)), "{span:?}");
            for line in [2, 18] {
                let call = text.find(&format!("line {line} ")).unwrap();
                let drawn = draw(diagnostic.clone().called_from(&at(&text, call..call + 4)).into());
                let (number, text) = (format!(" {line} |"), format!("line {line} ä"));
                let shown =
                    |drawn: &str| drawn.lines().any(|one| one.contains(&number) && one.contains(&text));
                assert!(shown(&drawn) && drawn.contains("called from here"), "{drawn}");
            }
        }
    }

    #[test]
    fn names_the_nearest_word_only_if_it_is_near() {
        assert_eq!(nearest("hots", ["hosts", "settings"]), Some("hosts"));
        assert_eq!(nearest("zzz", ["hosts", "settings"]), None);
    }
}
