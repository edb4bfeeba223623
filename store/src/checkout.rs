//! Checking out: an artifact's files as a folder that programs can use.
//!
//! Files are hard links to the blobs; where the filesystem allows no further link, or the checkouts lie on
//! another filesystem, they are copies. The folder is built under a temporary name.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batou_system::fs::File;

use crate::object::DecodedObject;
use crate::pending::Pending;
use crate::stats::{self, Recorded, RecordedKind, Stat, Stats};
use crate::{Digest, Error, Mode, Name, Node, ObjectId, RelPath, Store, Tree, fs};

/// How many files one checkout may have, see [`Store::files`].
const MAX_FILES: usize = 1 << 20;

/// Builds checkouts from a store and from what a batch has not published yet.
#[derive(Clone, Copy)]
pub(crate) struct Checkout<'a> {
    pub(crate) store: &'a Store,
    pub(crate) pending: Option<&'a Pending>,
    pub(crate) vouched: &'a Vouched,
}

/// The blobs that look as they did when the newest checkout of the same name was made, and so need not be read before they
/// are linked again. Any other may have been changed since, through a link to it in a checkout, and would be carried on.
#[derive(Debug, Default)]
pub(crate) struct Vouched(HashSet<(Digest, Stat)>);

impl Vouched {
    /// Those that the stat records of a host's store vouch for; in a cache nothing has waited for the disk, so that a power
    /// cut may have left anything in a file.
    pub(crate) fn of(store: &Store, name: &Name) -> Result<Self, Error> {
        if !store.is_durable() {
            return Ok(Self::default());
        }
        let suffix = format!("-{name}");
        let mut newest: Option<(std::time::SystemTime, PathBuf)> = None;
        for entry in fs::entries(&store.layout.folder("stats"))? {
            let is_named = entry.file_name().to_str().and_then(|text| text.get(40..)) == Some(&suffix);
            let time = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            if let (true, Some(time)) = (is_named, time)
                && newest.as_ref().is_none_or(|(other, _)| time > *other)
            {
                newest = Some((time, entry.path()));
            }
        }
        let Some((_, path)) = newest else { return Ok(Self::default()) };
        let bytes = fs::read_or_damaged(&path, stats::MAX_SEALED)?.unwrap_or_default();
        Ok(Self(Stats::decode(&bytes).map(|stats| stats.files().collect()).unwrap_or_default()))
    }
}

impl Checkout<'_> {
    /// Writes a tree's files into the new folder `into`, which becomes read-only like all folders below it.
    pub(crate) fn stage(&self, tree: &Digest, into: &Path) -> Result<Stats, Error> {
        let mut stats = Stats::default();
        self.folder(tree, into, None, &mut stats)?;
        Ok(stats)
    }

    fn folder(
        &self,
        tree: &Digest,
        into: &Path,
        below: Option<&RelPath>,
        stats: &mut Stats,
    ) -> Result<(), Error> {
        batou_system::fs::create_dir(into).map_err(Error::io("create the folder", into))?;
        for (name, node) in self.tree(tree)?.iter() {
            let path = RelPath::below(below, name)?;
            self.node(node, &into.join(name.as_str()), &path, stats)?;
            if stats.len() > MAX_FILES {
                return Err(Error::TooManyFiles { tree: *tree, limit: MAX_FILES });
            }
        }
        // Last, since nothing can be created in a read-only folder. The mode is not left to the umask: whichever user
        // runs the service must be able to read its files.
        fs::set_mode(into, 0o555)?;
        stats.insert(below, Recorded { stat: stat(into)?, kind: RecordedKind::Folder });
        Ok(())
    }

    fn node(&self, node: &Node, to: &Path, path: &RelPath, stats: &mut Stats) -> Result<(), Error> {
        match node {
            Node::Directory { digest } => self.folder(digest, to, Some(path), stats),
            Node::Symlink { target } => {
                batou_system::fs::symlink(target, to).map_err(Error::io("create the link", to))?;
                stats.insert(Some(path), Recorded { stat: stat(to)?, kind: RecordedKind::Symlink });
                Ok(())
            }
            Node::File { digest, size, mode } => {
                let stat = self.file(digest, *size, *mode, to)?;
                stats.insert(Some(path), Recorded { stat, kind: RecordedKind::File(*digest) });
                Ok(())
            }
        }
    }

    fn tree(&self, digest: &Digest) -> Result<Arc<Tree>, Error> {
        match self.pending.and_then(|pending| pending.decoded.get(&ObjectId::Tree(*digest))) {
            Some(DecodedObject::Tree(tree)) => Ok(Arc::clone(tree)),
            _ => self.store.tree(digest).map(Arc::new),
        }
    }

    fn file(&self, digest: &Digest, size: u64, mode: Mode, to: &Path) -> Result<Stat, Error> {
        if let Some(staged) = self.pending.and_then(|pending| pending.blobs.get(&(*digest, mode))) {
            // A link has the inode, and so the metadata, of the blob; a copy has its own.
            return if link(&staged.path, to, mode)? { Ok(staged.stat) } else { stat(to) };
        }
        let blob = self.store.layout.blob(digest, mode);
        match fs::lstat(&blob)? {
            None => Err(Error::Missing(ObjectId::Blob { digest: *digest, size, mode })),
            Some(found) if self.vouched.0.contains(&(*digest, Stat::of(&found))) => {
                if link(&blob, to, mode)? { Ok(Stat::of(&found)) } else { stat(to) }
            }
            // Once it is checked out, its metadata vouch for it.
            Some(_) => match self.store.blob_fault(digest, size, mode)? {
                Some(fault) => Err(Error::Damaged { path: blob, fault }),
                None if link(&blob, to, mode)? => stat(&blob),
                None => stat(to),
            },
        }
    }
}

fn stat(path: &Path) -> Result<Stat, Error> {
    let metadata = batou_system::fs::symlink_metadata(path).map_err(Error::io("examine", path))?;
    Ok(Stat::of(&metadata))
}

/// Links a file, or copies it where that is impossible; returns whether it is a link.
pub(crate) fn link(from: &Path, to: &Path, mode: Mode) -> Result<bool, Error> {
    linked_or_copied(batou_system::fs::hard_link(from, to), from, to, mode)
}

fn linked_or_copied(linked: io::Result<()>, from: &Path, to: &Path, mode: Mode) -> Result<bool, Error> {
    match linked {
        Ok(()) => Ok(true),
        Err(error) if cannot_link(&error) => copy(from, to, mode).map(|()| false),
        Err(source) => Err(Error::Io { action: "link", path: to.to_owned(), source }),
    }
}

/// Whether the inode has as many links as it can have, or is on another filesystem or on one without hard links.
fn cannot_link(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TooManyLinks | ErrorKind::CrossesDevices | ErrorKind::Unsupported)
}

fn copy(from: &Path, to: &Path, mode: Mode) -> Result<(), Error> {
    let mut source = File::open(from).map_err(Error::io("open", from))?;
    let mut target = fs::create_new(to, 0o600)?;
    source.copy_to(&mut target).map_err(Error::io("copy to", to))?;
    fs::set_mode(to, mode.bits())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::MetadataExt;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_link_too_many_or_to_another_filesystem_becomes_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, "text").unwrap();
        let refused = |errno: Errno| linked_or_copied(Err(errno.into()), &from, &to, Mode::EXECUTABLE);
        for errno in [Errno::MLINK, Errno::XDEV, Errno::OPNOTSUPP] {
            assert!(!refused(errno).unwrap(), "{errno}");
            assert_eq!(std::fs::read(&to).unwrap(), b"text");
            let copy = std::fs::metadata(&to).unwrap();
            assert_eq!((copy.mode() & 0o7777, copy.nlink()), (0o555, 1));
            std::fs::remove_file(&to).unwrap();
        }
        for errno in [Errno::NOSPC, Errno::EXIST, Errno::ACCESS] {
            let error = refused(errno).unwrap_err();
            assert!(matches!(&error, Error::Io { action: "link", path, .. } if *path == to), "{error:?}");
            assert!(!to.exists(), "{errno}");
        }
    }
}
