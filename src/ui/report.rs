//! How errors are shown: the subject first, the place in the user's file with an excerpt, what to do; how many at
//! the end. Boxes and colours on a terminal only; elsewhere the same content as plain lines.

use std::fmt::Write as _;
use std::process::ExitCode;

use batou_environments::{Diagnostic, Location, Severity};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceSpan,
    SpanContents,
};
use serde::Serialize;

use super::{DIM, ERROR, HEADING, Ui, WARNING, plural, visible, visible_name};
use crate::error::CommandError;

/// Shows clap's own message, which is help as well as an error, and returns the exit status.
pub fn usage(error: &clap::Error) -> ExitCode {
    // The stream may be closed; there is nowhere left to say so.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

/// Shows why a command failed.
pub fn report(ui: &Ui, error: &CommandError) {
    match error.diagnostics() {
        Some(diagnostics) => {
            let mut count = 0;
            for mistake in diagnostics.iter() {
                diagnostic(ui, mistake);
                count += usize::from(mistake.severity == Severity::Error);
            }
            ui.status(&format!("{ERROR}{}{ERROR:#}", plural(count, "error")));
        }
        None if ui.is_json() => ui.json(&ErrorLine::of(error)),
        None => ui.error_text(&chain(error)),
    }
    if error.diagnostics().is_some() && !ui.is_json() {
        for hint in error.hints() {
            ui.error_text(&format!("{HEADING}help:{HEADING:#} {}", visible(hint)));
        }
    }
}

/// Shows one mistake or warning in the project's files.
pub fn diagnostic(ui: &Ui, diagnostic: &Diagnostic) {
    if ui.is_json() {
        ui.json(&DiagnosticLine::of(diagnostic));
    } else if ui.unicode {
        ui.error_text(graphical(diagnostic, ui.colour).trim_end());
    } else {
        ui.error_text(&plain(diagnostic));
    }
}

fn chain(error: &CommandError) -> String {
    let mut text = format!("{ERROR}error:{ERROR:#} {}", visible(&error.to_string()));
    for cause in error.causes() {
        let _ = write!(text, "\n  because {}", visible(&cause).replace('\n', "\n    "));
    }
    for hint in error.hints() {
        let _ = write!(text, "\n{HEADING}help:{HEADING:#} {}", visible(hint));
    }
    text
}

fn plain(diagnostic: &Diagnostic) -> String {
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error", ERROR),
        Severity::Warning => ("warning", WARNING),
    };
    let mut text = format!("{style}{word}:{style:#} {}", visible(&diagnostic.message));
    if let Some(location) = &diagnostic.location {
        let _ = write!(text, "\n  {}", place(location));
        excerpt(&mut text, location);
    }
    if !diagnostic.subject.is_empty() {
        let _ = write!(text, "\n  {DIM}concerns{DIM:#} {}", subjects(diagnostic));
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, "\n  {HEADING}help:{HEADING:#} {}", visible(help));
    }
    text
}

fn excerpt(text: &mut String, location: &Location) {
    let width = location.excerpt.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(0);
    for (number, line) in &location.excerpt {
        let _ = write!(text, "\n  {number:>width$} | {}", visible(line));
        if *number == location.line {
            let before = line.chars().take(location.column.saturating_sub(1));
            let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = write!(text, "\n  {:>width$} | {indent}^", "");
        }
    }
}

fn place(location: &Location) -> String {
    format!("{}:{}:{}", visible_name(&location.file.to_string_lossy()), location.line, location.column)
}

fn subjects(diagnostic: &Diagnostic) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<_> = diagnostic.subject.iter().take(SHOWN).map(|name| visible_name(name)).collect();
    if diagnostic.subject.len() > SHOWN {
        text.push(format!("and {} more", diagnostic.subject.len() - SHOWN));
    }
    text.join(", ")
}

fn graphical(diagnostic: &Diagnostic, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut text = String::new();
    match handler.render_report(&mut text, &Shown::of(diagnostic)) {
        Ok(()) => text,
        Err(_) => plain(diagnostic),
    }
}

/// A diagnostic as miette wants it.
#[derive(Debug)]
struct Shown {
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    excerpt: Option<Excerpt>,
}

/// The lines around a mistake, as the piece of a file that they are.
#[derive(Debug)]
struct Excerpt {
    file: String,
    first_line: usize,
    lines: usize,
    text: String,
    span: SourceSpan,
}

impl Shown {
    fn of(diagnostic: &Diagnostic) -> Self {
        let mut help: Vec<_> = diagnostic.help.iter().map(|help| visible(help)).collect();
        if !diagnostic.subject.is_empty() {
            help.push(format!("concerns {}", subjects(diagnostic)));
        }
        Self {
            severity: match diagnostic.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
            },
            message: visible(&diagnostic.message),
            help: (!help.is_empty()).then(|| help.join("\n")),
            excerpt: diagnostic.location.as_ref().and_then(Excerpt::of),
        }
    }
}

impl Excerpt {
    fn of(location: &Location) -> Option<Self> {
        let (first_line, _) = location.excerpt.first()?;
        let mut text = String::new();
        let mut offset = 0;
        for (number, line) in &location.excerpt {
            if *number == location.line {
                let before: String = line.chars().take(location.column.saturating_sub(1)).collect();
                offset = text.len() + visible(&before).len();
            }
            text.push_str(&visible(line));
            text.push('\n');
        }
        let file = visible_name(&location.file.to_string_lossy());
        let lines = location.excerpt.len();
        Some(Self { file, first_line: *first_line, lines, text, span: (offset, 0).into() })
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".to_owned()), excerpt.span))))
    }
}

impl miette::SourceCode for Excerpt {
    /// The whole excerpt, whatever the context asked for: it was cut when the mistake was found. A span of no
    /// context is that of the label itself, whose line and column the heading shows.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, line, column) = if before == 0 && after == 0 {
            let head = self.text.get(..span.offset()).ok_or(MietteError::OutOfBounds)?;
            let column = head.len() - head.rfind('\n').map_or(0, |newline| newline + 1);
            (span.offset(), self.first_line - 1 + head.matches('\n').count(), column)
        } else {
            (0, self.first_line - 1, 0)
        };
        let data = &self.text.as_bytes()[start..];
        let whole = SourceSpan::new(start.into(), data.len());
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), data, whole, line, column, self.lines)))
    }
}

#[derive(Serialize)]
struct ErrorLine {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl ErrorLine {
    fn of(error: &CommandError) -> Self {
        Self {
            kind: "error",
            message: error.to_string(),
            causes: error.causes(),
            hints: error.hints().to_vec(),
        }
    }
}

#[derive(Serialize)]
struct DiagnosticLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    concerns: &'a [String],
}

impl<'a> DiagnosticLine<'a> {
    fn of(diagnostic: &'a Diagnostic) -> Self {
        let location = diagnostic.location.as_ref();
        Self {
            kind: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &diagnostic.message,
            file: location.map(|location| location.file.to_string_lossy().into_owned()),
            line: location.map(|location| location.line),
            column: location.map(|location| location.column),
            help: diagnostic.help.as_deref(),
            concerns: &diagnostic.subject,
        }
    }
}
