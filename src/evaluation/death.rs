//! Why a child ended before it had answered.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::limits::Limits;
use super::notes::{Note, NotesFile};
use crate::error::CommandError;
use crate::ui::{some_of, visible};

/// How a child ended.
#[derive(Debug)]
pub(super) struct Death {
    kind: DeathKind,
    status: ExitStatus,
    printed: String,
    /// What was being evaluated and may have been the reason.
    concerned: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeathKind {
    Memory,
    Stack,
    Time,
    Killed,
    /// Somebody asked it to end.
    Ended,
    Unknown,
}

impl Death {
    /// Finds out the reason from what is left of the child.
    pub(super) fn of(status: ExitStatus, notes: &NotesFile) -> Death {
        let printed = notes.printed();
        let kind = DeathKind::of(status, &printed);
        let concerned = concerned(notes.subjects(), kind, &printed);
        Death { kind, status, printed, concerned }
    }

    /// Whether memory ran out while several things were evaluated.
    pub(super) fn is_uncertain(&self) -> bool {
        self.kind == DeathKind::Memory && self.concerned.len() > 1
    }

    /// The error that says why the child ended, and what it was evaluating.
    pub(super) fn explain(&self, limits: &Limits, environment: &str) -> CommandError {
        let evaluating = format!("evaluating {}", subject(&self.concerned, environment));
        match self.kind {
            DeathKind::Memory => {
                let limit = limits.memory_text();
                CommandError::input(format!("{evaluating} used more than {limit} of memory")).hint(
                    "look for a text or a list that grows without need; BATOU_EVALUATION_MEMORY=MIB allows more",
                )
            }
            DeathKind::Stack => CommandError::input(format!("{evaluating} overflowed the stack"))
                .hint("look for an expression or a value that is nested very deeply"),
            DeathKind::Time => {
                let limit = limits.seconds;
                CommandError::input(format!("{evaluating} took more than {limit} s of processor time")).hint(
                    "look for a loop that does more than it must; BATOU_EVALUATION_SECONDS=SECONDS allows more",
                )
            }
            DeathKind::Ended => {
                let error = CommandError::failed(format!("{evaluating} was ended from outside"));
                error.because(self.status.to_string())
            }
            DeathKind::Killed => {
                let hint = match limits.seconds_from_outside() {
                    Some(limit) => format!(
                        "the kernel does that after {limit} s of processor time, which is the limit of this session \
                         (`ulimit -t`), and when the machine is out of memory"
                    ),
                    None => "the kernel does that when the machine is out of memory: see its log".to_owned(),
                };
                CommandError::failed(format!("{evaluating} was killed from outside")).hint(hint)
            }
            DeathKind::Unknown => self.unknown(&evaluating),
        }
    }

    fn unknown(&self, evaluating: &str) -> CommandError {
        let error = CommandError::failed(format!("{evaluating} ended unexpectedly: {}", self.status))
            .hint("this is a bug in batou: please report it");
        if self.printed.is_empty() { error } else { error.because(visible(&self.printed)) }
    }
}

impl DeathKind {
    fn of(status: ExitStatus, printed: &str) -> DeathKind {
        let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
        // The messages of the standard library, and of the interpreter's arenas.
        let no_memory = ["memory allocation of ", "out of memory", "Cannot allocate memory"];
        if printed.contains("has overflowed its stack") || signal(Signal::SEGV) || signal(Signal::BUS) {
            DeathKind::Stack
        } else if no_memory.iter().any(|words| printed.contains(words)) {
            DeathKind::Memory
        } else if signal(Signal::XCPU) {
            DeathKind::Time
        } else if signal(Signal::KILL) {
            DeathKind::Killed
        } else if [Signal::TERM, Signal::INT, Signal::HUP].into_iter().any(signal) {
            DeathKind::Ended
        } else {
            DeathKind::Unknown
        }
    }
}

/// What may have been the reason. The message about a stack overflow names its thread, so that the others are
/// ruled out.
fn concerned(notes: Vec<Note>, kind: DeathKind, printed: &str) -> Vec<String> {
    let named = |note: &Note| printed.contains(&format!("({})", note.thread));
    let certain = kind == DeathKind::Stack && notes.iter().any(named);
    notes.into_iter().filter(|note| !certain || named(note)).map(|note| visible(&note.subject)).collect()
}

fn subject(concerned: &[String], environment: &str) -> String {
    match concerned {
        [] => format!("the environment {environment}"),
        [one] => one.clone(),
        many => format!("one of {}", some_of(many)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32, printed: &str) -> DeathKind {
        DeathKind::of(ExitStatus::from_raw(raw), printed)
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        assert_eq!(of(6, "memory allocation of 1000000000 bytes failed"), DeathKind::Memory);
        assert_eq!(of(101 << 8, "thread 'main' (7) panicked at bumpalo:\nout of memory"), DeathKind::Memory);
        assert_eq!(of(6, "thread '<unknown>' (7) has overflowed its stack"), DeathKind::Stack);
        assert_eq!(of(11, ""), DeathKind::Stack);
        assert_eq!(of(24, ""), DeathKind::Time);
        assert_eq!(of(9, ""), DeathKind::Killed);
        assert_eq!([15, 2, 1].map(|signal| of(signal, "")), [DeathKind::Ended; 3]);
        assert_eq!(of(101 << 8, "thread 'main' (7) panicked"), DeathKind::Unknown);
    }

    #[test]
    fn only_the_thread_whose_stack_overflowed_is_named() {
        let note = |thread: &str| Note { thread: thread.to_owned(), subject: format!("at {thread}") };
        let concerned = |death, printed| concerned(vec![note("7"), note("71")], death, printed);
        assert_eq!(concerned(DeathKind::Stack, "thread 'x' (7) has overflowed its stack"), ["at 7"]);
        assert_eq!(concerned(DeathKind::Memory, "(7)"), ["at 7", "at 71"]);
    }

    #[test]
    fn many_subjects_are_counted() {
        let names: Vec<_> = (1..11).map(|number| format!("h{number}/app")).collect();
        assert_eq!(
            subject(&names, "prod"),
            "one of h1/app, h2/app, h3/app, h4/app, h5/app, h6/app, h7/app, h8/app and 2 more"
        );
        assert_eq!(subject(&names[..1], "prod"), "h1/app");
        assert_eq!(subject(&[], "prod"), "the environment prod");
    }
}
