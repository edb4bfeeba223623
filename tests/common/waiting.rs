//! Waiting for what another process does.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for what must become true soon.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    found(what, || holds().then_some(()));
}

/// Waits for what must be found soon.
#[track_caller]
pub(crate) fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "after a minute it is not true that {what}");
        sleep(Duration::from_millis(10));
    }
}
