//! How a process ends: by itself, or because it is cut off.

use std::fmt;
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Cuts a process off at once, from any thread.
pub(super) struct Cut(Box<dyn FnOnce() + Send>);

impl Cut {
    /// A cut that calls this function.
    pub(super) fn new(cut: impl FnOnce() + Send + 'static) -> Self {
        Cut(Box::new(cut))
    }

    /// Cuts the process off.
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
    /// Unknown: the connection to the process ended first.
    Disconnected,
}

impl Exit {
    /// The status, if it has one.
    pub(super) fn status(self) -> Option<i32> {
        match self {
            Exit::Status(status) => Some(status),
            Exit::Killed | Exit::Disconnected => None,
        }
    }
}

/// Kills a child by its descriptor, because its number may belong to another process by then.
pub(super) fn kill(child: &Child) -> Cut {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    Cut::new(move || {
        if let Ok(process) = process {
            // The only possible failure is that it has already ended.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    })
}
