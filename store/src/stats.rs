//! What everything in a checkout looked like when it was made.
//!
//! Files are hard links, so writing to one in place would change it in every generation. Before a switch, the files
//! whose size, time, inode or mode are not as recorded here are hashed again, and only those. The record is local to
//! one store: it is neither sent anywhere nor part of any digest. It is not JSON, because a look at 100,000 files
//! ([`Store::look`](crate::Store::look)) would take longer to parse than to take.

use batou_system::fs::Metadata;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::json;
use crate::{Digest, Mode, RelPath};

/// The domain of the digest in sealed files, which no other digest covers.
const SEAL: &str = "batou-store 2026-01 seal";
/// The longest sealed file that is read, in bytes.
pub(crate) const MAX_SEALED: u64 = 512 << 20;

/// A file's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// What was at a path of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordedKind {
    /// A file, with the digest that it had.
    File(Digest),
    Symlink,
    Folder,
}

/// A path of a checkout: its metadata when it was made, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) stat: Stat,
    pub(crate) kind: RecordedKind,
}

/// Everything in a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    entries: BTreeMap<RelPath, Recorded>,
    /// The checkout's own folder.
    root: Option<Stat>,
}

/// A line of a stat record as it is on the disk; of a file's digest nothing is known but that it is there.
pub(crate) struct StatLine<'a> {
    /// `f`, `l` or `d`.
    pub(crate) kind: &'a str,
    pub(crate) stat: Stat,
    digest: &'a str,
    /// Empty for the checkout's own folder.
    pub(crate) path: &'a str,
}

impl Stats {
    /// Adds a path; none is the checkout's own folder.
    pub(crate) fn insert(&mut self, path: Option<&RelPath>, recorded: Recorded) {
        match path {
            Some(path) => drop(self.entries.insert(path.clone(), recorded)),
            None => self.root = Some(recorded.stat),
        }
    }

    /// A file's metadata and digest.
    pub(crate) fn file(&self, path: &RelPath) -> Option<(Stat, Digest)> {
        match self.entries.get(path)? {
            Recorded { stat, kind: RecordedKind::File(digest) } => Some((*stat, *digest)),
            _ => None,
        }
    }

    /// The files, each as its digest and metadata.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Digest, Stat)> {
        self.entries.values().filter_map(|recorded| match recorded.kind {
            RecordedKind::File(digest) => Some((digest, recorded.stat)),
            _ => None,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of the stat record, sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let folder = |stat: &Stat| Recorded { stat: *stat, kind: RecordedKind::Folder };
        self.root.iter().for_each(|root| line(&mut body, "", &folder(root)));
        self.entries.iter().for_each(|(path, recorded)| line(&mut body, path.as_str(), recorded));
        sealed(body)
    }

    /// What a stat record says; `None` if it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut stats = Self::default();
        for line in stat_lines(bytes)? {
            let StatLine { kind, stat, digest, path } = line?;
            let kind = match kind {
                "f" => RecordedKind::File(digest.parse().ok()?),
                "l" => RecordedKind::Symlink,
                _ => RecordedKind::Folder,
            };
            let path = if path.is_empty() { None } else { Some(RelPath::new(path).ok()?) };
            stats.insert(path.as_ref(), Recorded { stat, kind });
        }
        Some(stats)
    }
}

/// `f <size> <mtime> <inode> <mode> <digest> <path>`, ended by NUL, which no path has.
fn line(body: &mut Vec<u8>, path: &str, recorded: &Recorded) {
    let Stat { size, mtime, inode, mode } = recorded.stat;
    let (kind, digest) = match recorded.kind {
        RecordedKind::File(digest) => ("f", digest.to_string()),
        RecordedKind::Symlink => ("l", "-".to_owned()),
        RecordedKind::Folder => ("d", "-".to_owned()),
    };
    body.extend_from_slice(format!("{kind} {size} {mtime} {inode} {mode} {digest} {path}\0").as_bytes());
}

/// The lines of a stat record, in the order of their paths; `None` if the record is damaged, and in place of a line that is
/// none.
pub(crate) fn stat_lines(bytes: &[u8]) -> Option<impl Iterator<Item = Option<StatLine<'_>>>> {
    let body = std::str::from_utf8(unsealed(bytes)?).ok()?;
    Some(body.split_terminator('\0').map(StatLine::parse))
}

impl<'a> StatLine<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(7, ' ');
        let kind = fields.next().filter(|kind| ["f", "l", "d"].contains(kind))?;
        let stat = Stat {
            size: fields.next()?.parse().ok()?,
            mtime: fields.next()?.parse().ok()?,
            inode: fields.next()?.parse().ok()?,
            mode: fields.next()?.parse().ok()?,
        };
        Some(Self { kind, stat, digest: fields.next()?, path: fields.next()? })
    }
}

/// The bytes of a small file: a digest, and then the content, so that damage shows.
pub(crate) fn seal<T: Serialize>(content: &T) -> Vec<u8> {
    sealed(json(content))
}

/// The content of a sealed file; `None` if it is damaged.
pub(crate) fn unseal<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(unsealed(bytes)?).ok()
}

fn sealed(body: Vec<u8>) -> Vec<u8> {
    let mut bytes = Digest::derive(SEAL, &body).to_string().into_bytes();
    bytes.push(b'\n');
    bytes.extend(body);
    bytes
}

fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, rest) = bytes.split_at_checked(64)?;
    let body = rest.strip_prefix(b"\n")?;
    let expected: Digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    (Digest::derive(SEAL, body) == expected).then_some(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_whatever_paths_are_called() {
        let mut stats = Stats::default();
        let stat = Stat { size: 3, mtime: -1, inode: 7, mode: 0o555 };
        let kinds = [RecordedKind::File(Digest::of(b"abc")), RecordedKind::Symlink, RecordedKind::Folder];
        for (path, kind) in ["a b/c  d", "line\nbreak", " "].into_iter().zip(kinds) {
            stats.insert(Some(&RelPath::new(path).unwrap()), Recorded { stat, kind });
        }
        stats.insert(None, Recorded { stat, kind: RecordedKind::Folder });
        let bytes = stats.encode();
        assert_eq!(Stats::decode(&bytes), Some(stats));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Stats::decode(&damaged), None, "at {at}");
        }
        // Whole, and of another format.
        assert_eq!(Stats::decode(&seal(&["x"])), None);
    }
}
