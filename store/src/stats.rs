//! What every file of a checkout looked like when it was made.
//!
//! Files are hard links, so writing to one in place would change it in every generation. Before a switch, the files
//! whose size, time, inode or mode are not as recorded here are hashed again, and only those. The record is local to
//! one store: it is neither sent anywhere nor part of any digest.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::json::json;
use crate::{Digest, Mode, RelPath};

/// The domain of the digest in sealed files, which no other digest covers.
const SEAL: &str = "batou-store 2026-01 seal";
/// The longest sealed file that is read, in bytes.
pub(crate) const MAX_SEALED: u64 = 512 << 20;

/// A file's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let mtime = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { size: metadata.size(), mtime, inode: metadata.ino(), mode: metadata.mode() & 0o7777 }
    }

    pub(crate) fn has_mode(&self, mode: Mode) -> bool {
        self.mode == mode.bits()
    }
}

/// A file of a checkout: its metadata when it was made, and the digest it had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) stat: Stat,
    pub(crate) digest: Digest,
}

/// All files of a checkout.
pub(crate) type Stats = BTreeMap<RelPath, Recorded>;

/// The bytes of a small file: a digest, and then the content, so that damage shows.
pub(crate) fn seal<T: Serialize>(content: &T) -> Vec<u8> {
    let body = json(content);
    let mut bytes = Digest::derive(SEAL, &body).to_string().into_bytes();
    bytes.push(b'\n');
    bytes.extend(body);
    bytes
}

/// The content of a sealed file; `None` if it is damaged.
pub(crate) fn unseal<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let (digest, rest) = bytes.split_at_checked(64)?;
    let body = rest.strip_prefix(b"\n")?;
    let expected: Digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    if Digest::derive(SEAL, body) == expected { serde_json::from_slice(body).ok() } else { None }
}
