//! Time.

use std::time::{Duration, Instant, SystemTime};

/// The time of a clock that only goes forward.
pub fn now() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(now) = crate::simulation::now() {
        return now;
    }
    Instant::now()
}

/// The time of day. Somebody may set this clock.
pub fn wall() -> SystemTime {
    #[cfg(feature = "simulation")]
    if let Some(wall) = crate::simulation::wall() {
        return wall;
    }
    SystemTime::now()
}

/// Waits.
pub fn sleep(time: Duration) {
    #[cfg(feature = "simulation")]
    if crate::simulation::sleep(time) {
        return;
    }
    std::thread::sleep(time);
}
