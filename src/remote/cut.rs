//! How a process ends: by itself, or because it is cut off.

use std::fmt;
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Cuts a process off, from any thread, at once.
pub(super) struct Cut(Box<dyn FnOnce() + Send>);

impl Cut {
    /// What this does.
    pub(super) fn new(cut: impl FnOnce() + Send + 'static) -> Self {
        Cut(Box::new(cut))
    }

    /// Does it.
    pub(super) fn now(self) {
        (self.0)();
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cut")
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Killed,
    /// It is not known: the connection to it ended first.
    Disconnected,
}

impl Exit {
    /// The status, where it has one.
    pub(super) fn status(self) -> Option<i32> {
        match self {
            Exit::Status(status) => Some(status),
            Exit::Killed | Exit::Disconnected => None,
        }
    }
}

/// Kills a child by its descriptor: its number may be another process's by then.
pub(super) fn kill(child: &Child) -> Cut {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    Cut::new(move || {
        if let Ok(process) = process {
            // The only failure is that it has ended already.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    })
}
