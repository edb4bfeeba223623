//! How errors are shown: the subject first, the place in the user's file with an excerpt, what to do; how many at
//! the end. Boxes and colours on a terminal only; elsewhere the same content as plain lines.

use std::fmt::Write as _;
use std::process::ExitCode;

use batou_environments::{Diagnostic, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::{ERROR, HEADING, Ui, Wanted, plural, visible};
use crate::error::CommandError;

/// Shows clap's own message, which is help as well as an error, and returns the exit status. `json` where the command
/// line, although wrong, asks for it.
pub fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Standard output may be closed; there is nowhere left to say so.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if json {
        let ui = Ui::new(&Wanted { json, ..Wanted::default() });
        report(&ui, &CommandError::usage(error.to_string().trim().trim_start_matches("error: ")));
    } else {
        let _ = error.print();
    }
    ExitCode::from(2)
}

/// Shows why a command failed.
pub fn report(ui: &Ui, error: &CommandError) {
    match error.diagnostics() {
        Some(diagnostics) => {
            let mut count = 0;
            for mistake in diagnostics.iter() {
                diagnostic(ui, mistake);
                ui.gap();
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
        ui.error_text(&diagnostic.to_string());
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

fn graphical(diagnostic: &Diagnostic, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(width());
    let mut text = String::new();
    match handler.render_report(&mut text, diagnostic) {
        Ok(()) => text,
        Err(_) => diagnostic.to_string(),
    }
}

/// The terminal's width in columns, within what reads well.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col);
    usize::from(columns).clamp(40, 120)
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
            line: location.map(|location| location.line).filter(|line| *line > 0),
            column: location.map(|location| location.column).filter(|column| *column > 0),
            help: diagnostic.help.as_deref(),
            concerns: &diagnostic.subject,
        }
    }
}
