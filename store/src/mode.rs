//! The permission bits of a stored file.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The nine permission bits. The write bits are always off, since what is stored never changes, and the owner's read
/// bit is always on, since the store's owner must be able to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u32);

/// The mode has more than the nine permission bits, or is not written in the one form that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored file cannot have the mode {0} (permission bits only: no setuid, setgid or sticky bit)")]
pub struct ModeError(String);

impl Mode {
    /// Readable by all.
    pub const PLAIN: Self = Self(0o444);
    /// Readable and executable by all.
    pub const EXECUTABLE: Self = Self(0o555);

    /// A mode from its bits: the write bits are dropped, more than nine bits are refused.
    pub fn new(bits: u32) -> Result<Self, ModeError> {
        if bits > 0o777 {
            return Err(ModeError(format!("{bits:#06o}")));
        }
        Ok(Self(bits & 0o555 | 0o400))
    }

    /// All possible modes, the usual ones first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let usual = [Self::PLAIN, Self::EXECUTABLE];
        let others = (0o400..=0o555).map(Self).filter(|mode| Self::new(mode.0).as_ref() == Ok(mode));
        usual.into_iter().chain(others.filter(move |mode| !usual.contains(mode)))
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl std::str::FromStr for Mode {
    type Err = ModeError;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, ModeError> {
        let refused = || ModeError(format!("{text:?}"));
        let mode = Self::new(u32::from_str_radix(text, 8).map_err(|_| refused())?).map_err(|_| refused())?;
        if mode.to_string() == text { Ok(mode) } else { Err(refused()) }
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn write_bits_are_dropped_and_special_bits_refused() {
        assert_eq!(Mode::new(0o755).unwrap(), Mode::EXECUTABLE);
        assert_eq!(Mode::new(0o640).unwrap().to_string(), "0440");
        assert_eq!(Mode::new(0o011).unwrap().bits(), 0o411);
        for special in [0o4755, 0o2755, 0o1777, u32::MAX] {
            assert!(Mode::new(special).is_err());
        }
    }

    #[test]
    fn one_text_a_mode() {
        assert_eq!("0555".parse::<Mode>().unwrap(), Mode::EXECUTABLE);
        for bad in ["555", "0755", "+555", "00555", "0o555", "", "0011"] {
            assert!(bad.parse::<Mode>().is_err(), "{bad}");
        }
    }
}
