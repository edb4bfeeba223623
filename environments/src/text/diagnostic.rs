//! What a user is told about a mistake: file, line, column, excerpt and caret, and what to do about it.
//!
//! An evaluation goes on after a mistake wherever it can, so that all of them are shown at once. The same mistake
//! reached from twelve hosts is one diagnostic that names them all.

mod location;
mod problems;
mod wording;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::origin::Operand;
use crate::text::source::At;
pub use location::Location;
pub use problems::Diagnostics;
pub(crate) use problems::Problems;
use wording::bounded;
pub use wording::nearest;
pub(crate) use wording::{listed, visible, visible_name};

/// Whether the evaluation fails because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The evaluation has no result.
    Error,
    /// Worth a look; the evaluation went on.
    Warning,
}

/// One error or warning, as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// This machine failed; the project is not at fault.
    #[serde(default)]
    pub is_of_machine: bool,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The place that it points at.
    pub location: Option<Location>,
    /// Where the code at that place was called from, the nearest call first.
    pub calls: Vec<Location>,
    /// The values that caused it and that an environment sets, each with the place that sets it: `port` of the
    /// component itself, `db.port` of another one, `settings.port`.
    pub set: Vec<SetPlace>,
    /// What is affected: `host/component` or a host.
    pub subject: Vec<String>,
    /// The sub-component. Once its component is known, this becomes the end of the subject.
    #[serde(skip)]
    part: String,
    /// The values that caused it, until it is known where they are set.
    #[serde(skip)]
    operands: Vec<Operand>,
}

/// Where a value is set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPlace {
    /// The value's name.
    pub name: String,
    /// The place that sets it.
    pub location: Location,
    /// For which `host/component`. Shown only if it is set in other places for others.
    pub of: Vec<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub(crate) fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            is_of_machine: false,
            message: message.into(),
            help: None,
            location: None,
            calls: Vec::new(),
            set: Vec::new(),
            subject: Vec::new(),
            part: String::new(),
            operands: Vec::new(),
        }
    }

    /// A thread could not be started, which is not the project's mistake.
    pub(crate) fn no_thread(error: &std::io::Error) -> Diagnostic {
        Diagnostic {
            is_of_machine: true,
            ..Diagnostic::error(batou_system::limits::no_thread("this machine", error))
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

    /// With the values that the code there used.
    pub(crate) fn made_of(mut self, operands: Vec<Operand>) -> Diagnostic {
        self.operands = operands;
        self
    }

    /// Takes out what [`Diagnostic::made_of`] put in.
    pub(crate) fn take_operands(&mut self) -> Vec<Operand> {
        std::mem::take(&mut self.operands)
    }

    /// With the place that sets a value used there, unless the diagnostic already points at that line.
    pub(crate) fn set_at(mut self, name: &str, at: &At) -> Diagnostic {
        let place = Location::of(at);
        let here = |own: &Location| (&own.file, own.line) == (&place.file, place.line);
        if !self.location.as_ref().is_some_and(here) {
            self.add_set(SetPlace { name: name.to_owned(), location: place, of: Vec::new() });
        }
        self
    }

    /// Takes in the same diagnostic from another host, where values may be set in other places.
    fn extend(&mut self, other: Diagnostic) {
        self.subject.extend(other.subject);
        other.set.into_iter().for_each(|set| self.add_set(set));
    }

    fn add_set(&mut self, set: SetPlace) {
        let place = |set: &SetPlace| {
            (set.name.clone(), set.location.file.clone(), set.location.line, set.location.column)
        };
        match self.set.iter_mut().find(|known| place(known) == place(&set)) {
            Some(known) => known.of.extend(set.of),
            None => self.set.push(set),
        }
    }

    /// A value that is set, with those for which it is set there if others have it from elsewhere.
    fn set_name(&self, set: &SetPlace) -> String {
        const MOST: usize = 3;
        let several = self.set.iter().filter(|other| other.name == set.name).count() > 1;
        if !several || set.of.is_empty() {
            return format!("`{}`", set.name);
        }
        let first = set.of.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if set.of.len() > MOST { ", …" } else { "" };
        format!("`{}` of {first}{more}", set.name)
    }

    /// About a file as a whole.
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

    /// With the sub-component in which it was found, as [`crate::component::item::Caller::within`] writes it.
    pub(crate) fn within(mut self, part: impl Into<String>) -> Diagnostic {
        self.part = part.into();
        self
    }

    /// Whether it is about a component on a host, about the host, or about the project as a whole, rather than about
    /// others.
    pub(crate) fn concerns(&self, host: &str, component: &str) -> bool {
        let is_meant =
            |subject: &String| match subject.split(" > ").next().and_then(|own| own.split_once('/')) {
                Some(own) => own == (host, component),
                None => subject == host,
            };
        if !self.subject.is_empty() {
            return self.subject.iter().any(is_meant);
        }
        let file = self.location.as_ref().map(|location| location.file.as_path());
        let below = file.and_then(|file| file.strip_prefix("components").ok());
        below.is_none_or(|below| below.starts_with(component))
    }

    /// Whether the source can be drawn around its places: not if a line is so long that only a part of it is shown.
    pub fn can_be_drawn(&self) -> bool {
        self.location.iter().chain(&self.calls).all(Location::fits)
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
        let (line, column) = location.shown_line();
        let before: String = line.chars().take(column).collect();
        let marked: String = line.chars().skip(column).take(location.width).collect();
        let indent: String = visible(&before).chars().map(blank).collect();
        let carets = "^".repeat(visible(&marked).width().max(1));
        write!(f, "\n{margin}--> {}:{}:{}", visible(&file), location.line, location.column)?;
        write!(f, "\n{margin} |\n{number} | {}", visible(&line))?;
        write!(f, "\n{margin} | {indent}{carets}")
    }
}

/// What takes as much room on a terminal as a character: two cells for some, none for an accent.
fn blank(c: char) -> String {
    if c == '\t' { "\t".to_owned() } else { " ".repeat(c.width().unwrap_or(0)) }
}

/// `{}` is the message alone, as miette wants it for its headline; `{:#}` shows everything, as [`Diagnostics`] does.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.write_str(&visible(&bounded(&self.message)));
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", visible(&bounded(&self.message)))?;
        if let Some(location) = &self.location {
            Self::write_location(f, location)?;
        }
        for call in &self.calls {
            write!(f, "\n  called from")?;
            Self::write_location(f, call)?;
        }
        for set in &self.set {
            write!(f, "\n  {} is set in", visible(&self.set_name(set)))?;
            Self::write_location(f, &set.location)?;
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
        let set = self.set.iter().map(|set| {
            let (name, place) = (self.set_name(set), &set.location);
            format!("{name} is set in {}:{}:{}", place.file.to_string_lossy(), place.line, place.column)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::text::source::SourceText;

    fn at(text: &str, span: std::ops::Range<usize>) -> At {
        At::new(&SourceText::new("batou.toml", text), span)
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

    /// Wide characters, accents of their own, and a byte order mark before the first line.
    #[test]
    fn the_caret_stands_under_what_is_seen() {
        for (before, marked, blanks, carets) in [
            ("日本", "x", 4, 1),
            ("e\u{301}", "x", 1, 1),
            ("😀", "日本語", 2, 6),
            ("\t日", "x", 3, 1),
            ("\u{feff}a", "x", 1, 1),
        ] {
            let text = format!("{before}{marked} = 1\n");
            let shown = format!(
                "{:#}",
                Diagnostic::error("bad").at(&at(&text, before.len()..before.len() + marked.len()))
            );
            let under = shown.lines().last().unwrap().strip_prefix("  | ").unwrap();
            let begin = under.find('^').unwrap();
            assert_eq!((begin, under.len() - begin), (blanks, carets), "{shown}");
        }
    }

    #[test]
    fn control_characters_in_messages_are_not_sent() {
        let place = at("\x1b]0;x\x07 = 1", 0..1);
        let diagnostic = Diagnostic::error("\x1b").at(&place);
        assert!(!format!("{diagnostic:#}").contains('\x1b'));
    }

    #[test]
    fn of_a_very_long_line_the_part_around_the_place_is_shown() {
        for (before, after) in [(5000, 5000), (0, 5000), (5000, 0), (100, 137), (100, 138), (238, 0)] {
            let text = format!("{}BAD{}\n", "ä".repeat(before), "y".repeat(after));
            let begin = "ä".len() * before;
            let diagnostic = Diagnostic::error("bad").at(&at(&text, begin..begin + 3));
            let shown = format!("{diagnostic:#}");
            let place = |mark| shown.lines().find_map(|line| line.chars().position(|c| c == mark));
            assert_eq!((place('B'), shown.matches('^').count()), (place('^'), 3), "{shown}");
            assert!(shown.lines().all(|line| line.chars().count() < 250), "{shown}");
            let long = before + 3 + after > 240;
            assert_eq!((shown.contains('…'), diagnostic.can_be_drawn()), (long, !long), "{shown}");
            assert!(shown.contains(&format!("batou.toml:1:{}", before + 1)), "{shown}");
        }
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
}
