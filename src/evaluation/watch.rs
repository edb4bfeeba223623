//! Evaluates in this process, and gives up where that takes far too much.
//!
//! The engine of templates counts the work that it does, but for some operations counts nothing: a list that is added to
//! itself forty times, or two that hold themselves twice over and are compared. What these take is seen from outside. The
//! thread that does it cannot be ended: it goes with the process, which has nothing left to do but to tell.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, ThreadId, current};
use std::time::Duration;

use batou_environments::Notes;
use rustix::time::{ClockId, clock_gettime};

use super::death::{evaluating, took_time, used_memory};
use super::limits::{Limits, resident};
use crate::error::CommandError;
use crate::ui::visible;

/// Between two looks: what grows in this time is little beside the limit.
const PAUSE: Duration = Duration::from_millis(20);
/// As the main thread of a program has it.
const STACK: usize = 8 * 1024 * 1024;

/// What each thread evaluates.
#[derive(Debug, Default)]
struct Subjects(Mutex<HashMap<ThreadId, String>>);

impl Subjects {
    fn note(&self, subject: Option<&str>) {
        let mut subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match subject {
            Some(subject) => drop(subjects.insert(current().id(), subject.to_owned())),
            None => drop(subjects.remove(&current().id())),
        }
    }

    fn shown(&self) -> Vec<String> {
        let subjects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown: Vec<String> = subjects.values().map(|subject| visible(subject)).collect();
        shown.sort();
        shown
    }
}

/// What `evaluate` gives, unless it goes beyond the limits, or the reason why not.
pub(super) fn watched<T: Send + 'static>(
    limits: &Limits,
    environment: &str,
    evaluate: impl FnOnce(Notes<'_>) -> T + Send + 'static,
) -> Result<T, CommandError> {
    let cannot = |error: io::Error| CommandError::failed("cannot evaluate").because(error.to_string());
    let subjects = Arc::new(Subjects::default());
    let noted = Arc::clone(&subjects);
    let (give, taken) = channel();
    let (memory, seconds) = (resident().map_err(cannot)?, processor_seconds());
    let work = move || {
        // Whoever gave up waiting does not take it.
        let _ = give.send(evaluate(&|subject| noted.note(subject)));
    };
    let thread = Builder::new().stack_size(STACK).spawn(work).map_err(cannot)?;
    loop {
        match taken.recv_timeout(PAUSE) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(CommandError::failed("the evaluation ended without a result")),
            },
        }
        let evaluating = || evaluating(&subjects.shown(), environment);
        if resident().map_err(cannot)?.saturating_sub(memory) > limits.memory_bytes() {
            return Err(used_memory(&evaluating(), limits));
        }
        if processor_seconds().saturating_sub(seconds) > limits.seconds {
            return Err(took_time(&evaluating(), limits));
        }
    }
}

/// How long processors have worked for this process.
fn processor_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits(memory: u64, seconds: u64) -> Limits {
        Limits { memory, seconds, threads: 1 }
    }

    #[test]
    fn what_stays_within_its_limits_is_given() {
        assert_eq!(watched(&limits(1024, 120), "prod", |_| 7).unwrap(), 7);
    }

    #[test]
    fn who_takes_too_long_is_named() {
        let forever = |notes: Notes<'_>| {
            notes(Some("web01/app"));
            let end = std::time::Instant::now() + Duration::from_mins(1);
            while std::time::Instant::now() < end {
                std::hint::spin_loop();
            }
        };
        let error = watched(&limits(1024, 1), "prod", forever).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("web01/app took more than 1 s of processor time"), "{message}");
    }

    #[test]
    #[should_panic(expected = "a mistake")]
    fn a_panic_goes_on() {
        let _ = watched(&limits(1024, 120), "prod", |_| panic!("a mistake"));
    }
}
