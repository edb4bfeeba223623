//! Cuts off what has been silent for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::cut::Cut;
use super::error::StartError;
use super::thread;

/// How much longer a sign is waited for that may have come and not have been read.
const GRACE: Duration = Duration::from_secs(1);

/// Cuts a process off unless it is put off in time, again and again. Dropping it silences it.
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
    /// For a process that may be silent for so long, and is then cut off.
    pub(super) fn set(patience: Duration, cut: Cut) -> Result<Self, StartError> {
        let (sender, signs) = channel();
        let rang = Rang::default();
        let ringing = rang.clone();
        thread::spawn("alarm", move || {
            if !times_out(&signs, patience) {
                return;
            }
            ringing.0.store(true, Ordering::SeqCst);
            cut.now();
        })?;
        Ok(Self { signs: sender, rang })
    }

    /// The process has given a sign of life.
    pub(super) fn put_off(&self) {
        // Where nobody listens any more it has rung.
        let _ = self.signs.send(Sign::PutOff);
    }

    /// Nobody listens to the process until it is put off the next time.
    pub(super) fn hold(&self) {
        let _ = self.signs.send(Sign::Hold);
    }

    /// Tells whether it has rung, also after its end.
    pub(super) fn rang(&self) -> Rang {
        self.rang.clone()
    }
}

/// How much time is left.
pub(super) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Whether the signs fail to come in time; they may also end.
fn times_out(signs: &Receiver<Sign>, patience: Duration) -> bool {
    let mut held = false;
    loop {
        let sign = if held {
            signs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            // Where this process was stopped for a while its time is over before it has read what came meanwhile.
            signs.recv_timeout(patience).or_else(|error| match error {
                RecvTimeoutError::Timeout => signs.recv_timeout(GRACE),
                RecvTimeoutError::Disconnected => Err(error),
            })
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
