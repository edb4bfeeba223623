//! What a process prints on standard error: only the end is kept, in case the process fails.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::error::StartError;
use super::thread;

/// How much is kept, in bytes.
pub(super) const NOISE: usize = 4096;
/// How long to wait for the last output of a process that has ended: another process may hold its standard
/// error open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The end of what a process printed on standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct Noise(Arc<SharedNoise>);

#[derive(Debug, Default)]
struct SharedNoise {
    heard: Mutex<Heard>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

impl Noise {
    /// Collects from a reader in the background.
    pub(super) fn collect(mut from: impl Read + Send + 'static) -> Result<Self, StartError> {
        let noise = Noise::default();
        let shared = Arc::clone(&noise.0);
        thread::spawn("noise", move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                let Ok(mut heard) = shared.heard.lock() else { return };
                heard.bytes.extend_from_slice(&piece[..count]);
                let excess = heard.bytes.len().saturating_sub(NOISE);
                heard.bytes.drain(..excess);
            }
            if let Ok(mut heard) = shared.heard.lock() {
                heard.ended = true;
                shared.ended.notify_all();
            }
        })?;
        Ok(noise)
    }

    /// Of a process that prints nothing.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        let heard = Heard { bytes: Vec::new(), ended: true };
        Noise(Arc::new(SharedNoise { heard: Mutex::new(heard), ended: Condvar::new() }))
    }

    /// The text, without surrounding space. Called when the process is at its end; its last output may still
    /// have to be read.
    pub(super) fn text(&self) -> String {
        let Ok(heard) = self.0.heard.lock() else { return String::new() };
        let heard = self.0.ended.wait_timeout_while(heard, LAST_WORDS, |heard| !heard.ended);
        heard.map(|(heard, _)| String::from_utf8_lossy(&heard.bytes).trim().to_owned()).unwrap_or_default()
    }
}
