//! Source files, which are stored unchanged: hashed in place, and read again only when they have changed.
//!
//! They may be large, and rarely change from one build to the next. So their digests are remembered in a file, with
//! the metadata that would show a change. The file is only a cache: it may be removed at any time.

use batou_system::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::digest::FileHasher;
use crate::index::{Index, Signature, now};
use crate::{Digest, Error, Monitor};

/// Smaller files are always read, which costs no more than remembering them.
const SMALL: u64 = 16 << 10;
/// How much is read at once.
const CHUNK: usize = 128 << 10;

/// Hashes source files, from several threads if need be.
#[derive(Debug)]
pub struct SourceHasher {
    cache: PathBuf,
    old: Index,
    new: Mutex<Index>,
    started: i128,
    read: AtomicU64,
}

impl SourceHasher {
    /// A hasher that begins with what the file `cache` remembers. The file need not exist.
    pub fn open(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
            old: Index::load(cache),
            new: Mutex::default(),
            started: now(),
            read: AtomicU64::new(0),
        }
    }

    /// The digest of a file's content, and its size. It is an error if the file changes meanwhile.
    pub fn digest(&self, path: &Path, monitor: &dyn Monitor) -> Result<(Digest, u64), Error> {
        let before = batou_system::fs::metadata(path).map_err(Error::io("examine", path))?;
        if !before.is_file() {
            return Err(unsupported(path, "it is not a file"));
        }
        let (signature, size) = (Signature::of(&before), before.size());
        let name = path.to_str().filter(|_| size >= SMALL);
        let digest = match name.and_then(|name| self.old.get(name, &signature)) {
            Some(known) => {
                monitor.advance(1, size);
                known
            }
            None => self.hash(path, &before, monitor)?,
        };
        if let Some(name) = name {
            let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
            new.add(name, signature, digest, self.started);
        }
        Ok((digest, size))
    }

    fn hash(&self, path: &Path, before: &Metadata, monitor: &dyn Monitor) -> Result<Digest, Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut hasher = FileHasher::new();
        let expected = usize::try_from(before.size()).unwrap_or(CHUNK);
        let mut buffer = vec![0; expected.clamp(1, CHUNK)];
        loop {
            let count = file.read(&mut buffer).map_err(Error::io("read", path))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            self.read.fetch_add(count as u64, Ordering::Relaxed);
            monitor.advance(0, count as u64);
        }
        monitor.advance(1, 0);
        let after = file.metadata().map_err(Error::io("examine", path))?;
        if Signature::of(&after) == Signature::of(before) {
            Ok(hasher.finish())
        } else {
            Err(unsupported(path, "it changed while it was read"))
        }
    }

    /// How many bytes had to be read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Remembers what was seen for the next time. If nothing is new, nothing is written.
    pub fn save(self) -> Result<(), Error> {
        let mut index = self.new.into_inner().unwrap_or_else(PoisonError::into_inner);
        index.inherit(&self.old);
        if index == self.old { Ok(()) } else { index.save(&self.cache) }
    }
}

fn unsupported(path: &Path, reason: &str) -> Error {
    Error::Unsupported { path: path.to_owned(), reason: reason.to_owned() }
}
