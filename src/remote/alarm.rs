//! Ends a child that has been silent for too long.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills a child unless it is put off in time, again and again. Dropping it silences it.
#[derive(Debug)]
pub(super) struct Alarm {
    signs: Sender<Sign>,
    rang: Rang,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    /// The time starts anew.
    PutOff,
    /// It stands still until the next sign.
    Hold,
}

/// Whether an alarm has rung.
#[derive(Clone, Debug, Default)]
pub(super) struct Rang(Arc<AtomicBool>);

impl Alarm {
    /// For a child that may be silent for so long.
    pub(super) fn set(child: &Child, patience: Duration) -> Self {
        let (sender, signs) = channel();
        let rang = Rang::default();
        let ringing = rang.clone();
        // By its descriptor: its number may be another process's by then.
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
        std::thread::spawn(move || {
            if !times_out(&signs, patience) {
                return;
            }
            ringing.0.store(true, Ordering::SeqCst);
            if let Ok(process) = process {
                // The only failure is that it has ended already.
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        });
        Self { signs: sender, rang }
    }

    /// The child has given a sign of life.
    pub(super) fn put_off(&self) {
        // Where nobody listens any more it has rung.
        let _ = self.signs.send(Sign::PutOff);
    }

    /// Nobody listens to the child until it is put off the next time.
    pub(super) fn hold(&self) {
        let _ = self.signs.send(Sign::Hold);
    }

    /// Tells whether it has rung, also after its end.
    pub(super) fn rang(&self) -> Rang {
        self.rang.clone()
    }
}

/// Whether the signs fail to come in time; they may also end.
fn times_out(signs: &Receiver<Sign>, patience: Duration) -> bool {
    let mut held = false;
    loop {
        let sign = if held {
            signs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            signs.recv_timeout(patience)
        };
        match sign {
            Ok(sign) => held = matches!(sign, Sign::Hold),
            Err(error) => return error == RecvTimeoutError::Timeout,
        }
    }
}

impl Rang {
    /// Whether it has.
    pub(super) fn yes(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
