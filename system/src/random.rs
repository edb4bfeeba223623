//! Numbers that nobody can foresee, and nobody has to keep secret.

use std::hash::{BuildHasher, RandomState};

/// A random number.
pub fn number() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(number) = crate::simulation::random() {
        return number;
    }
    RandomState::new().hash_one(std::process::id())
}

/// The number of this process.
pub fn process() -> u32 {
    #[cfg(feature = "simulation")]
    if let Some(process) = crate::simulation::process() {
        return process;
    }
    std::process::id()
}
