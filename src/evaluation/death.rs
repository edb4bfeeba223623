//! Why a child ended before it had answered.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::limits::Limits;
use super::notes::{Note, Notes};
use crate::error::CommandError;
use crate::ui::visible;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Memory,
    Stack,
    Time,
    Killed,
    Unknown,
}

/// The error that says at what and why the child ended.
pub(super) fn explain(status: ExitStatus, notes: &Notes, limits: &Limits, environment: &str) -> CommandError {
    let printed = notes.printed();
    let death = Death::of(status, &printed);
    let subject = subject(&concerned(notes.subjects(), death, &printed), environment);
    match death {
        Death::Memory => CommandError::input(format!(
            "evaluating {subject} used more than {} of memory",
            limits.memory_text()
        ))
        .hint("look for a text, a list or a loop that grows without need; BATOU_EVALUATION_MEMORY=MIB allows more"),
        Death::Stack => CommandError::input(format!("evaluating {subject} overflowed the stack"))
            .hint("look for an expression or a value that is nested very deeply"),
        Death::Time => CommandError::input(format!(
            "evaluating {subject} took more than {} s of processor time",
            limits.seconds
        ))
        .hint("look for a loop that does more than it must; BATOU_EVALUATION_SECONDS=SECONDS allows more"),
        Death::Killed => CommandError::failed(format!("evaluating {subject} was killed from outside"))
            .hint("the kernel does that when the machine is out of memory: see its log"),
        Death::Unknown => unknown(&subject, status, &printed),
    }
}

fn unknown(subject: &str, status: ExitStatus, printed: &str) -> CommandError {
    let error = CommandError::failed(format!("evaluating {subject} ended unexpectedly: {status}"))
        .hint("this is a mistake in batou: please report it");
    if printed.is_empty() { error } else { error.because(visible(printed)) }
}

impl Death {
    fn of(status: ExitStatus, printed: &str) -> Death {
        let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
        // The words of the standard library, and of the arenas of the interpreter.
        let no_memory = ["memory allocation of ", "out of memory", "Cannot allocate memory"];
        if printed.contains("has overflowed its stack") || signal(Signal::SEGV) || signal(Signal::BUS) {
            Death::Stack
        } else if no_memory.iter().any(|words| printed.contains(words)) {
            Death::Memory
        } else if signal(Signal::XCPU) {
            Death::Time
        } else if signal(Signal::KILL) {
            Death::Killed
        } else {
            Death::Unknown
        }
    }
}

/// What may have been the reason: a stack that overflows says which thread's.
fn concerned(notes: Vec<Note>, death: Death, printed: &str) -> Vec<String> {
    let named = |note: &Note| printed.contains(&format!("({})", note.thread));
    let certain = death == Death::Stack && notes.iter().any(named);
    notes.into_iter().filter(|note| !certain || named(note)).map(|note| visible(&note.subject)).collect()
}

fn subject(concerned: &[String], environment: &str) -> String {
    const SHOWN: usize = 4;
    match concerned {
        [] => format!("the environment {environment}"),
        [one] => one.clone(),
        some if some.len() <= SHOWN => format!("one of {}", some.join(", ")),
        many => format!("one of {} and {} more", many[..SHOWN].join(", "), many.len() - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32, printed: &str) -> Death {
        Death::of(ExitStatus::from_raw(raw), printed)
    }

    #[test]
    fn each_death_is_told_from_the_others() {
        assert_eq!(of(6, "memory allocation of 1000000000 bytes failed"), Death::Memory);
        assert_eq!(of(101 << 8, "thread 'main' (7) panicked at bumpalo:\nout of memory"), Death::Memory);
        assert_eq!(of(6, "thread '<unknown>' (7) has overflowed its stack"), Death::Stack);
        assert_eq!(of(11, ""), Death::Stack);
        assert_eq!(of(24, ""), Death::Time);
        assert_eq!(of(9, ""), Death::Killed);
        assert_eq!(of(101 << 8, "thread 'main' (7) panicked"), Death::Unknown);
    }

    #[test]
    fn only_the_thread_whose_stack_overflowed_is_named() {
        let note = |thread: &str| Note { thread: thread.to_owned(), subject: format!("at {thread}") };
        let concerned = |death, printed| concerned(vec![note("7"), note("71")], death, printed);
        assert_eq!(concerned(Death::Stack, "thread 'x' (7) has overflowed its stack"), ["at 7"]);
        assert_eq!(concerned(Death::Memory, "(7)"), ["at 7", "at 71"]);
    }

    #[test]
    fn many_subjects_are_counted() {
        let names: Vec<_> = (1..7).map(|number| format!("h{number}/app")).collect();
        assert_eq!(subject(&names, "prod"), "one of h1/app, h2/app, h3/app, h4/app and 2 more");
        assert_eq!(subject(&names[..1], "prod"), "h1/app");
        assert_eq!(subject(&[], "prod"), "the environment prod");
    }
}
