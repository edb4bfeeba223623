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

/// The clock that file times come from, in nanoseconds since 1970.
pub fn of_files() -> i128 {
    #[cfg(feature = "simulation")]
    if let Some(wall) = crate::simulation::wall() {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        return i128::try_from(since.as_nanos()).unwrap_or(i128::MAX);
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
