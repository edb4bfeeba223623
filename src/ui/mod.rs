//! All output: results on standard output; notices, warnings, errors and progress on standard error.
//!
//! With `--json` everything, errors included, is one JSON object a line on standard output, so that a program
//! reads one stream. Whatever a host or a user wrote passes through [`visible`] before it reaches a terminal. A
//! failed write does not interrupt the work (a release must not stop because somebody closed the pager). It is
//! remembered and returned by [`Ui::finish`].

pub mod drift;
pub mod fault;
pub mod line;
mod progress;
pub mod report;
mod text;

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::CommandError;
use anstream::stream::{AsLockedWrite, RawStream};
use anstream::{AutoStream, ColorChoice, StripStream};
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar};
use line::complaint::Complaint;
use line::{Line, Numbered};

pub use batou_store::readable_size as bytes;
pub use progress::Progress;
pub use text::{one_line, plural, some_of, visible, visible_name};

/// The colour of headings.
pub const HEADING: Style = Style::new().bold();
/// The colour of what is added.
pub const ADDED: Style = AnsiColor::Green.on_default();
/// The colour of what is removed.
pub const REMOVED: Style = AnsiColor::Red.on_default();
/// The colour of what is changed.
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
/// The colour of less important text.
pub const DIM: Style = Style::new().dimmed();
/// The colour of errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The colour of warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// How output is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbosity {
    /// JSON instead of text.
    pub json: bool,
    /// Only results, warnings and errors.
    pub quiet: bool,
    /// How much more detail.
    pub verbose: u8,
}

/// Where output goes, and in which form. Shared by all threads.
pub struct Ui {
    wanted: Verbosity,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    failed: Mutex<Option<io::Error>>,
    bars: Option<MultiProgress>,
    waiting: Mutex<Option<ProgressBar>>,
    unicode: bool,
    colour: bool,
}

impl Ui {
    /// Output to the process's own standard streams.
    pub fn new(wanted: Verbosity) -> Self {
        let terminal = io::stderr().is_terminal();
        let bars = (terminal && !wanted.json && !wanted.quiet).then(MultiProgress::new);
        let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        Self {
            wanted,
            out: Mutex::new(stream(AutoStream::choice(&io::stdout()), io::stdout())),
            err: Mutex::new(stream(AutoStream::choice(&io::stderr()), io::stderr())),
            failed: Mutex::new(None),
            bars,
            waiting: Mutex::default(),
            unicode: terminal,
            colour,
        }
    }

    /// Output to two writers instead, plain and without progress.
    #[cfg(test)]
    pub fn to_writers(wanted: Verbosity, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            wanted,
            out: Mutex::new(Box::new(StripStream::new(out))),
            err: Mutex::new(Box::new(StripStream::new(err))),
            failed: Mutex::new(None),
            bars: None,
            waiting: Mutex::default(),
            unicode: false,
            colour: false,
        }
    }

    /// Whether output is JSON.
    pub fn is_json(&self) -> bool {
        self.wanted.json
    }

    /// How much more detail is wanted: 0, 1, 2…
    pub fn verbosity(&self) -> u8 {
        self.wanted.verbose
    }

    /// A result, for people. It may contain styles, so foreign text in it must have passed through [`visible`].
    pub fn line(&self, text: &str) {
        if !self.wanted.json {
            self.write(&self.out, text);
        }
    }

    /// The heading of the results that follow, for people. Foreign text as in [`Ui::line`].
    pub fn section(&self, title: &str) {
        self.line(&format!("{HEADING}{title}{HEADING:#}"));
    }

    /// What is being done, for people who wait. It is not part of the result, and is left out with `--quiet`.
    /// Foreign text as in [`Ui::line`].
    pub fn status(&self, text: &str) {
        if !self.wanted.quiet && !self.wanted.json {
            self.write(&self.err, text);
        }
    }

    /// A detail that is shown only with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.wanted.verbose > 0 {
            self.status(&format!("{DIM}{text}{DIM:#}"));
        }
    }

    /// Something worth knowing that is not a fault. Control characters in it are shown, not obeyed.
    pub fn notice(&self, text: &str) {
        if self.wanted.json {
            self.json(&Line::Notice { message: text });
        } else {
            self.status(&format!("{HEADING}note:{HEADING:#} {}", visible(text)));
        }
    }

    /// Something that may be a fault. Control characters in it are shown, not obeyed.
    pub fn warn(&self, text: &str) {
        if self.wanted.json {
            self.json(&Line::Warning(Complaint { message: text.to_owned(), ..Complaint::default() }));
        } else {
            self.write(&self.err, &format!("{WARNING}warning:{WARNING:#} {}", visible(text)));
        }
    }

    /// A result as one line of JSON; nothing without `--json`.
    pub fn json(&self, line: &Line<'_>) {
        if self.wanted.json {
            let text = serde_json::to_string(&Numbered::new(line)).expect("lines are plain data");
            self.write(&self.out, &text);
        }
    }

    /// A result's own bytes, such as a file's content, unchanged.
    pub fn raw(from: &mut dyn io::Read) -> io::Result<()> {
        let copied = io::copy(from, &mut io::stdout().lock());
        match copied {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map(drop),
        }
    }

    /// A bar for work that may take long.
    pub fn progress(&self) -> Progress {
        Progress::new(self.bars.clone())
    }

    /// Shows which hosts the command waits for, in a line that changes; `None` removes it. Returns whether
    /// there is a terminal to show it on.
    pub fn wait_for(&self, what: Option<String>) -> bool {
        let Some(bars) = &self.bars else { return false };
        let mut line = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match (what, line.as_ref()) {
            (Some(what), Some(line)) => line.set_message(what),
            (Some(what), None) => {
                let new = bars.add(progress::words());
                new.set_message(what);
                *line = Some(new);
            }
            (None, _) => {
                if let Some(old) = line.take() {
                    old.finish_and_clear();
                    bars.remove(&old);
                }
            }
        }
        true
    }

    /// Reports that output could not be written, unless its reader had just gone away.
    pub fn finish(&self) -> Result<(), CommandError> {
        for stream in [&self.out, &self.err] {
            let flushed = stream.lock().unwrap_or_else(PoisonError::into_inner).flush();
            self.remember(flushed);
        }
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::failed("the output could not be written").because(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the reader of the output has gone away, as `head` does.
    pub fn is_unread(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// An error for people, or what a command on a host printed as an error, already laid out. Foreign text in
    /// it must have passed through [`visible`].
    pub fn error_text(&self, text: &str) {
        self.write(&self.err, text);
    }

    fn write(&self, stream: &Mutex<Box<dyn Write + Send>>, text: &str) {
        let write = || {
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.write_all(format!("{text}\n").as_bytes())
        };
        let written = match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        };
        self.remember(written);
    }

    fn remember(&self, written: io::Result<()>) {
        if let Err(error) = written {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
    }
}

fn stream<S>(choice: ColorChoice, raw: S) -> Box<dyn Write + Send>
where
    S: RawStream + AsLockedWrite + Send + 'static,
{
    match choice {
        ColorChoice::Never => Box::new(StripStream::new(raw)),
        _ => Box::new(raw),
    }
}
