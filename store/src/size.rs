//! Sizes for people.

/// A number of bytes in the largest unit that keeps it at 1 or more: `1.5 MiB`.
pub fn readable_size(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut divisor = 1u64;
    while unit + 1 < UNITS.len() && count / divisor >= 1024 {
        divisor *= 1024;
        unit += 1;
    }
    if unit == 0 {
        return format!("{count} B");
    }
    let tenths = u128::from(count) * 10 / u128::from(divisor);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down() {
        assert_eq!(readable_size(1023), "1023 B");
        assert_eq!(readable_size(1024), "1.0 KiB");
        assert_eq!(readable_size(1536 * 1024), "1.5 MiB");
        assert_eq!(readable_size(u64::MAX), "16777215.9 TiB");
    }
}
