//! Frames: how a message and the raw bytes with it travel. Both lengths are bounded before anything is allocated.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use batou_store::readable_size;

use super::{MAX_HEADER, MAX_RAW};

#[derive(Serialize, Deserialize)]
struct Envelope<M> {
    #[serde(default, skip_serializing_if = "is_zero")]
    raw: u32,
    message: M,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(raw: &u32) -> bool {
    *raw == 0
}

/// How long the two parts of a frame may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The JSON header.
    pub header: u32,
    /// The raw bytes behind it.
    pub raw: u32,
}

impl FrameLimits {
    /// The most that any frame may have.
    pub const LARGEST: Self = Self { header: MAX_HEADER, raw: MAX_RAW };
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end is gone: between two frames where `clean`.
    #[error("the connection ended{}", if *clean { "" } else { " in the middle of a message" })]
    Ended {
        /// Nothing of a frame had arrived.
        clean: bool,
    },
    /// The other end has been silent for too long.
    #[error("nothing was heard for {} s", super::SILENCE)]
    Silent,
    /// A length beyond the limits.
    #[error(
        "a message announces {}, but only {} are allowed",
        readable_size((*announced).into()),
        readable_size((*allowed).into())
    )]
    TooLarge {
        /// What the frame says.
        announced: u32,
        /// The bound.
        allowed: u32,
    },
    /// A header that is not a known message.
    #[error("a message is malformed")]
    Malformed(#[source] serde_json::Error),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

/// One frame in its transport form.
///
/// # Panics
/// Never: messages are plain data, and callers keep headers and raw parts within the limits.
pub fn encode<M: Serialize>(message: &M, raw: &[u8]) -> Vec<u8> {
    let envelope = Envelope { raw: u32::try_from(raw.len()).expect("raw parts are bounded"), message };
    let header = serde_json::to_vec(&envelope).expect("messages are plain data");
    let mut frame = Vec::with_capacity(4 + header.len() + raw.len());
    frame.extend(u32::try_from(header.len()).expect("headers are bounded").to_be_bytes());
    frame.extend(header);
    frame.extend(raw);
    frame
}

/// Writes one frame and flushes.
pub fn write_frame<M: Serialize>(to: &mut impl Write, message: &M, raw: &[u8]) -> io::Result<()> {
    to.write_all(&encode(message, raw))?;
    to.flush()
}

/// Reads one frame.
pub fn read_frame<M: DeserializeOwned>(from: &mut impl Read) -> Result<(M, Vec<u8>), FrameError> {
    read_limited_frame(from, || FrameLimits::LARGEST)
}

/// Reads one frame within limits, which are asked for once it has begun to arrive.
pub fn read_limited_frame<M: DeserializeOwned>(
    from: &mut impl Read,
    limits: impl FnOnce() -> FrameLimits,
) -> Result<(M, Vec<u8>), FrameError> {
    let mut length = [0; 4];
    let first = read_some(from, &mut length)?;
    if first == 0 {
        return Err(FrameError::Ended { clean: true });
    }
    exact(from, &mut length[first..])?;
    let limits = limits();
    let header = bounded(from, u32::from_be_bytes(length), limits.header)?;
    let Envelope { raw, message } = serde_json::from_slice(&header).map_err(FrameError::Malformed)?;
    Ok((message, bounded(from, raw, limits.raw)?))
}

fn read_some(from: &mut impl Read, into: &mut [u8]) -> Result<usize, FrameError> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(FrameError::Io),
        }
    }
}

fn exact(from: &mut impl Read, into: &mut [u8]) -> Result<(), FrameError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Ended { clean: false },
        _ => FrameError::Io(error),
    })
}

/// Reads `announced` bytes. Memory grows as they arrive, so what is announced but never sent costs nothing.
fn bounded(from: &mut impl Read, announced: u32, allowed: u32) -> Result<Vec<u8>, FrameError> {
    if announced > allowed {
        return Err(FrameError::TooLarge { announced, allowed });
    }
    let mut bytes = Vec::new();
    from.take(u64::from(announced)).read_to_end(&mut bytes).map_err(FrameError::Io)?;
    if bytes.len() < announced as usize {
        return Err(FrameError::Ended { clean: false });
    }
    Ok(bytes)
}
