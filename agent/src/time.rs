//! The time of day, as it is written down.

use std::time::SystemTime;

use batou_system::clock;
use jiff::Timestamp;

/// The time, in whole seconds.
pub fn now() -> Timestamp {
    let now = timestamp(clock::wall());
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A clock that is thousands of years off shows a time that cannot be written down. The first or last one that can is then shown
/// in its place, which nobody takes for a time at which something happened.
fn timestamp(wall: SystemTime) -> Timestamp {
    let nearest = if wall < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::try_from(wall).unwrap_or(nearest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_beyond_all_times_does_not_pass_for_one_in_1970() {
        let ten_thousand_years = Duration::from_hours(24 * 365 * 10_000);
        let (late, early) =
            (SystemTime::UNIX_EPOCH + ten_thousand_years, SystemTime::UNIX_EPOCH - 2 * ten_thousand_years);
        for (wall, year) in [(late, "9999-"), (early, "-009999-")] {
            let shown = timestamp(wall).to_string();
            assert!(shown.starts_with(year), "{shown}");
            assert_eq!(shown.parse::<Timestamp>().unwrap(), timestamp(wall), "it can be read again");
        }
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).as_second(), 1);
    }
}
