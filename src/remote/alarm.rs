//! Cuts off what has been silent for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use batou_system::clock;
use batou_system::queue::{Empty, Receiver, Sender, unbounded};

use super::cut::Cut;
use super::error::StartError;
use super::thread;

/// How much longer to wait, for a sign of life that may have arrived without having been read yet.
const GRACE: Duration = Duration::from_secs(1);

/// A timer that cuts off the connection to a process unless it is reset in time, over and over. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Alarm {
    signs: Sender<Sign>,
    rang: Rang,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    /// The time starts again from zero.
    PutOff,
    /// The time stands still until the next sign.
    Hold,
}

/// Whether an alarm has rung.
#[derive(Clone, Debug, Default)]
pub(super) struct Rang(Arc<AtomicBool>);

impl Alarm {
    /// Sets an alarm for a process, which is cut off if it is silent for longer than `patience`.
    pub(super) fn set(patience: Duration, cut: Cut) -> Result<Self, StartError> {
        let (sender, signs) = unbounded();
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

    /// Notes that the process has given a sign of life.
    pub(super) fn put_off(&self) {
        // If nobody receives the sign, the alarm has already rung.
        let _ = self.signs.send(Sign::PutOff);
    }

    /// Stops the time until the process is next put off, because nobody is reading from it.
    pub(super) fn hold(&self) {
        let _ = self.signs.send(Sign::Hold);
    }

    /// Tells whether the alarm has rung, even after it was dropped.
    pub(super) fn rang(&self) -> Rang {
        self.rang.clone()
    }
}

/// How much time is left.
pub(super) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(clock::now())
}

/// Whether the next sign does not come in time. If the signs end, that is no time-out.
fn times_out(signs: &Receiver<Sign>, patience: Duration) -> bool {
    let mut held = false;
    loop {
        let sign = if held {
            signs.recv()
        } else {
            // If this process was itself stopped for a while, the time may be over although signs have arrived,
            // so they get a moment more to be read.
            signs.recv_timeout(patience).or_else(|error| match error {
                Empty::Yet => signs.recv_timeout(GRACE),
                Empty::ForEver => Err(error),
            })
        };
        match sign {
            Ok(sign) => held = matches!(sign, Sign::Hold),
            Err(error) => return error == Empty::Yet,
        }
    }
}

impl Rang {
    /// Whether it has rung.
    pub(super) fn yes(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
