//! How errors are shown: the subject first, then the place in the user's file with an excerpt, then what to do;
//! their number at the end. Boxes and colours are for terminals only; elsewhere the same content is shown as
//! plain lines.

use std::fmt::Write as _;
use std::process::ExitCode;

use batou_environments::{Diagnostic, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme};

use super::line::Line;
use super::{ERROR, HEADING, Ui, Verbosity, WARNING, plural, visible};
use crate::error::CommandError;

/// Shows clap's own message, which may be help or an error, and returns the exit status. `json` is set if the
/// command line, although wrong, asks for JSON.
pub fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Standard output may be closed, and then there is nowhere left to say so.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if json {
        let ui = Ui::new(Verbosity { json, ..Verbosity::default() });
        report(&ui, &CommandError::usage(error.to_string().trim().trim_start_matches("error: ")));
    } else {
        let _ = error.print();
    }
    ExitCode::from(2)
}

/// Shows why a command failed.
pub fn report(ui: &Ui, error: &CommandError) {
    if error.is_unread() {
        return;
    }
    match error.diagnostics() {
        Some(mistakes) => diagnostics(ui, mistakes.iter()),
        None if ui.is_json() => ui.json(&Line::Error(error.into())),
        None => ui.error_text(&chain(error)),
    }
}

/// Says on standard error that output could not be written. If the command also failed, and that failure was
/// part of the output, says why it failed.
pub fn unwritten(ui: &Ui, unwritten: &CommandError, failure: Option<&CommandError>) {
    if let Some(error) = failure.filter(|_| ui.is_json()) {
        ui.error_text(&chain(error));
    }
    ui.error_text(&format!("{WARNING}warning:{WARNING:#} {}", summary(unwritten)));
}

/// An error and its causes on one line.
fn summary(error: &CommandError) -> String {
    let causes = error.causes().into_iter().map(|cause| format!(": {cause}"));
    visible(&std::iter::once(error.to_string()).chain(causes).collect::<String>())
}

/// Shows mistakes in the project's files, and how many of them are errors, if there are several.
pub fn diagnostics<'d>(ui: &Ui, mistakes: impl IntoIterator<Item = &'d Diagnostic>) {
    let mut errors = 0;
    for mistake in mistakes {
        diagnostic(ui, mistake);
        errors += usize::from(mistake.severity == Severity::Error);
    }
    if errors > 1 {
        ui.status(&format!("{ERROR}{}{ERROR:#}", plural(errors, "error")));
    }
}

/// Shows one mistake or warning in the project's files, with an empty line below.
pub fn diagnostic(ui: &Ui, diagnostic: &Diagnostic) {
    if ui.is_json() {
        ui.json(&match diagnostic.severity {
            Severity::Error => Line::Error(diagnostic.into()),
            Severity::Warning => Line::Warning(diagnostic.into()),
        });
        return;
    }
    let drawn = ui.unicode && diagnostic.can_be_drawn();
    let text = if drawn { graphical(diagnostic, ui.colour) } else { format!("{diagnostic:#}") };
    ui.error_text(&format!("{}\n", text.trim_end()));
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
        Err(_) => format!("{diagnostic:#}"),
    }
}

/// The terminal's width in columns, within what reads well.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col);
    usize::from(columns).clamp(40, 120)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::SharedBuffer;

    fn shown(error: &CommandError, wanted: Verbosity) -> (String, String) {
        let (out, err) = (SharedBuffer::default(), SharedBuffer::default());
        let ui = Ui::to_writers(wanted, Box::new(out.clone()), Box::new(err.clone()));
        report(&ui, error);
        (out.text(), err.text())
    }

    /// What a project with two mistakes gives.
    fn mistakes() -> CommandError {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("batou.toml"), "[project]\nname = \"shop\"\nnmae = 1\nother = 2\n")
            .unwrap();
        batou_environments::project(folder.path()).unwrap_err().into()
    }

    #[test]
    fn an_error_says_why_and_what_to_do() {
        let error = CommandError::failed("web01 cannot be reached\x1b[2J")
            .because(std::io::Error::other("refused"))
            .hint("is it up?");
        let (out, err) = shown(&error, Verbosity::default());
        assert_eq!(out, "");
        assert_eq!(err, "error: web01 cannot be reached^[[2J\n  because refused\nhelp: is it up?\n");
    }

    #[test]
    fn with_json_an_error_is_one_object_on_standard_output() {
        let error = CommandError::failed("it").because(std::io::Error::other("that")).hint("so");
        let (out, err) = shown(&error, Verbosity { json: true, ..Verbosity::default() });
        assert_eq!(
            out,
            "{\"format\":1,\"type\":\"error\",\"message\":\"it\",\"causes\":[\"that\"],\"hints\":[\"so\"],\"set\":[],\"concerns\":[]}\n"
        );
        assert_eq!(err, "");
    }

    #[test]
    fn every_mistake_has_its_place_and_the_count_is_last() {
        let (_, err) = shown(&mistakes(), Verbosity::default());
        assert!(err.contains("--> batou.toml:3:1\n  |\n3 | nmae = 1\n  | ^^^^"), "{err}");
        assert!(err.contains("--> batou.toml:4:1"), "{err}");
        assert!(err.ends_with("\n\n2 errors\n"), "{err}");
    }

    #[test]
    fn a_terminal_shows_the_message_once() {
        let error = mistakes();
        let text = graphical(error.diagnostics().unwrap().iter().next().unwrap(), false);
        assert_eq!(text.matches("nmae").count(), 2, "in the message and in the excerpt: {text}");
        assert!(text.contains("batou.toml:3:1"), "{text}");
    }

    #[test]
    fn a_terminal_is_not_flooded_by_a_line_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[project]\nname = \"shop\"\nnmae = \"{}\"\n", "x".repeat(1 << 20));
        std::fs::write(folder.path().join("batou.toml"), text).unwrap();
        let error: CommandError = batou_environments::project(folder.path()).unwrap_err().into();
        let err = SharedBuffer::default();
        let mut ui =
            Ui::to_writers(Verbosity::default(), Box::new(SharedBuffer::default()), Box::new(err.clone()));
        ui.unicode = true;
        report(&ui, &error);
        let err = err.text();
        assert!(err.len() < 1000 && err.contains("nmae = \"xxx") && err.contains("batou.toml:3:1"), "{err}");
    }

    #[test]
    fn a_terminal_is_not_flooded_by_a_message_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[project]\nname = \"shop\"\n{} = 1\n", "x".repeat(1 << 20));
        std::fs::write(folder.path().join("batou.toml"), text).unwrap();
        let error: CommandError = batou_environments::project(folder.path()).unwrap_err().into();
        let (_, err) = shown(&error, Verbosity::default());
        assert!(err.len() < 4000 && err.contains("unknown key `xxx") && err.contains("xxx`"), "{err}");
    }

    #[test]
    fn with_json_every_mistake_is_an_object() {
        let (out, _) = shown(&mistakes(), Verbosity { json: true, ..Verbosity::default() });
        let lines: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["type"], &lines[0]["line"], &lines[0]["column"]),
            (&"error".into(), &3.into(), &1.into())
        );
    }
}
