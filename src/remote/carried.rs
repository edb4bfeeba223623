//! The agents that this program carries, gzipped: made by `build.rs`, for release builds.

/// An agent within this program.
#[derive(Debug)]
pub(super) struct Carried {
    /// The target triple that it was built for.
    pub(super) target: &'static str,
    /// The BLAKE3 digest of the unpacked program.
    pub(super) digest: [u8; 32],
    /// The program, gzipped.
    pub(super) packed: &'static [u8],
}

/// All of them; none in a debug build.
pub(super) static CARRIED: &[Carried] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));
