//! The stat cache of source files: what they looked like when they were hashed.
//!
//! As in git's index, a file whose size, times and inode are as remembered counts as unchanged. The exception is
//! git's too: a file that changed so shortly before it was hashed that another change might have got the same times
//! is not remembered, and is hashed again the next time.

use batou_system::fs::Metadata;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::stats::{MAX_SEALED, seal, unseal};
use crate::{Digest, Error, fs};

/// The resolution of the coarsest clock of filesystems that keep fractions of seconds, in nanoseconds.
const GRAIN: i128 = 20_000_000;
/// The same for filesystems that keep whole seconds.
const COARSE_GRAIN: i128 = 2_000_000_000;

/// The metadata that tell whether a file may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signature {
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    inode: u64,
    device: u64,
}

impl Signature {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Whether a change at `now` could leave the file's times as they are.
    fn is_racy(&self, now: i128) -> bool {
        let (seconds, fraction) = self.mtime.max(self.ctime);
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(fraction);
        let coarse = self.mtime.1 == 0 && self.ctime.1 == 0;
        changed + if coarse { COARSE_GRAIN } else { GRAIN } >= now
    }
}

/// The remembered files, by their absolute paths.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index(BTreeMap<String, (Signature, Digest)>);

impl Index {
    /// Reads the cache; one that is absent or damaged counts as empty.
    pub(crate) fn load(path: &Path) -> Self {
        let bytes = fs::read_limited(path, MAX_SEALED).ok().flatten().unwrap_or_default();
        unseal(&bytes).unwrap_or_default()
    }

    /// The digest of a file that has not changed.
    pub(crate) fn get(&self, path: &str, signature: &Signature) -> Option<Digest> {
        self.0.get(path).filter(|(known, _)| known == signature).map(|(_, digest)| *digest)
    }

    /// Remembers a file that was read after `started`, unless its times might not show a later change.
    pub(crate) fn add(&mut self, path: &str, signature: Signature, digest: Digest, started: i128) {
        if !signature.is_racy(started) {
            self.0.insert(path.to_owned(), (signature, digest));
        }
    }

    /// Adds what another index remembers of files that still exist and that this one has not seen.
    pub(crate) fn inherit(&mut self, other: &Self) {
        for (path, known) in &other.0 {
            if !self.0.contains_key(path) && batou_system::fs::symlink_metadata(path).is_ok() {
                self.0.insert(path.clone(), *known);
            }
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        fs::make_way(path)?;
        fs::atomic_write(path, &seal(self), fs::PUBLIC, false)
    }
}

/// The clock that file times come from, in nanoseconds since 1970.
pub(crate) fn now() -> i128 {
    batou_system::clock::of_files()
}
