//! The target directory: whether it can be used, and the folders and files in it.

use std::collections::BTreeSet;
use std::io;
use std::ops::Deref;
use std::path::Path;

use batou_store::fs::fsync_directory;
use batou_store::{Digest, Durability, Name, Store};
use batou_system::fs;

use crate::error::{Error, Room};
use crate::protocol;
use batou_release::HostLayout;

/// What a target directory is made of, apart from files.
const PARTS: [&str; 5] = ["current", "generations", "secrets", "state", "store"];

/// A target directory, which need not exist, as the agent's user meets it.
#[derive(Clone, Debug)]
pub(crate) struct TargetDirectory(HostLayout);

impl Deref for TargetDirectory {
    type Target = HostLayout;

    fn deref(&self) -> &HostLayout {
        &self.0
    }
}

impl TargetDirectory {
    /// The directory at an absolute path.
    pub(crate) fn new(path: &str) -> Result<Self, Error> {
        HostLayout::new(path).map(Self).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Whether the agent's user could work here.
    pub(crate) fn condition(&self) -> Result<protocol::TargetCondition, Error> {
        match fs::metadata(self.directory()) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(Error::Target { path: self.directory().to_owned(), problem: "is not a folder" })
            }
            Ok(_) => Ok(match fs::check_writable(self.directory()) {
                Ok(()) => protocol::TargetCondition::Ready,
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    protocol::TargetCondition::ReadOnly
                }
                Err(_) => protocol::TargetCondition::Forbidden,
            }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(protocol::TargetCondition::Forbidden)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let makeable = may_write(self.nearest());
                Ok(if makeable {
                    protocol::TargetCondition::Ready
                } else {
                    protocol::TargetCondition::Absent
                })
            }
            Err(source) => Err(Error::io("examine", self.directory())(source)),
        }
    }

    /// Refuses a place where a file is in the way of a folder, or the other way round. What it is, is not known, so that it is
    /// not removed.
    pub(crate) fn check_parts(&self) -> Result<(), Error> {
        for folder in [self.store(), self.generations(), self.states()] {
            if (fs::is_symlink(&folder) || fs::exists(&folder)) && !fs::is_dir(&folder) {
                return Err(Error::Target { path: folder, problem: "is no folder: move it away" });
            }
        }
        let generations = self.generations();
        if fs::is_symlink(&generations) {
            // The links in generations are relative: from elsewhere they lead to nothing.
            let problem = "is a link, through which nothing of a release can be found: put the folder itself in its place";
            return Err(Error::Target { path: generations, problem });
        }
        for path in [self.lock(), self.intent(), self.activated(), self.journal()] {
            check_file(&path)?;
        }
        Ok(())
    }

    /// Free bytes for this user on the filesystem that the target directory is, or will be, on.
    pub(crate) fn free(&self) -> Result<u64, Error> {
        Ok(self.filesystem()?.bytes)
    }

    fn filesystem(&self) -> Result<fs::Space, Error> {
        let path = self.nearest();
        fs::space(path).map_err(Error::io("examine the filesystem of", path))
    }

    /// Which directory on which machine this is: two names of one have the same. None where the kernel does not tell.
    pub(crate) fn place(&self) -> Option<Digest> {
        let boot = batou_system::process::boot()?;
        let nearest = self.nearest();
        let metadata = fs::metadata(nearest).ok()?;
        let rest = self.directory().strip_prefix(nearest).ok()?.to_str()?;
        Some(Digest::of(format!("{boot} {} {} {rest}", metadata.dev(), metadata.ino()).as_bytes()))
    }

    /// Refuses a place inside what another target directory is made of: its collection or retirement would remove this one.
    pub(crate) fn check_place(&self) -> Result<(), Error> {
        let nearest = self.nearest();
        let rest = self.directory().strip_prefix(nearest).unwrap_or(Path::new(""));
        let real = fs::canonicalize(nearest).map_err(Error::io("examine", nearest))?.join(rest);
        for inner in real.ancestors() {
            let Some(outer) = inner.parent() else { break };
            let is_part = inner.file_name().is_some_and(|name| PARTS.iter().any(|part| name == *part));
            let has_release =
                || fs::is_file(outer.join("journal")) || fs::is_file(outer.join("store/format"));
            if is_part && has_release() {
                let (path, outer) = (self.directory().to_owned(), outer.to_owned());
                return Err(Error::Nested { path, outer });
            }
        }
        Ok(())
    }

    /// The target directory, or the folder nearest to it that is there.
    fn nearest(&self) -> &Path {
        self.directory().ancestors().find(|path| fs::exists(path)).unwrap_or(Path::new("/"))
    }

    /// Creates what is missing of the path to the directory; each new folder is on the disk when this returns.
    pub(crate) fn create(&self) -> Result<(), Error> {
        for path in self.directory().ancestors().collect::<Vec<_>>().into_iter().rev() {
            make_directory(path, 0o755)?;
        }
        fs::check_writable(self.directory()).map_err(Error::io("write to", self.directory()))
    }

    /// Makes the folders of the components' own data, as far as they are missing; adds the components that had none to
    /// `made`.
    pub(crate) fn create_states<'a>(
        &self,
        components: impl Iterator<Item = &'a Name>,
        made: &mut BTreeSet<Name>,
    ) -> Result<(), Error> {
        make_directory(&self.states(), 0o755)?;
        for component in components {
            if create_directory(&self.state(component.as_str()), 0o750)? {
                made.insert(component.clone());
            }
        }
        if made.is_empty() { Ok(()) } else { Ok(fsync_directory(&self.states())?) }
    }

    /// The store, if there is one. Nothing is created.
    pub(crate) fn existing_store(&self) -> Result<Option<Store>, Error> {
        use batou_store::Error as StoreError;
        match Store::open_existing(&self.store(), Durability::Host) {
            // Whoever takes the lock mends that, or says why not.
            Err(StoreError::Format { .. } | StoreError::NotAStore { .. } | StoreError::Foreign { .. }) => {
                Ok(None)
            }
            opened => Ok(opened?),
        }
    }

    /// Adds to an error of a full disk where that is, and how much room there is and is needed.
    pub(crate) fn explain_full(&self, error: Error, needed: u64) -> Error {
        if !error.is_full() {
            return error;
        }
        let found = self.filesystem().ok();
        let inodes = found.as_ref().and_then(|found| found.files).unwrap_or(u64::MAX);
        let room = Room::of(found.as_ref().map_or(0, |found| found.bytes), inodes, needed);
        // Before the first release there is none.
        let is_used_up = fs::read_dir(self.reserve()).is_ok_and(|mut kept| kept.next().is_none());
        let reserve = is_used_up.then(|| self.reserve());
        Error::Full { path: self.directory().to_owned(), room, reserve, source: Box::new(error) }
    }
}

/// Refuses what is no file where one belongs, before it is opened: whoever opens a pipe may wait for ever.
pub(crate) fn check_file(path: &Path) -> Result<(), Error> {
    let problem = match fs::metadata(path) {
        Ok(found) if found.is_dir() => "is a folder: move it away",
        Ok(found) if !found.is_file() => "is no regular file: move it away",
        // That it is not there, or cannot be examined, shows where it is opened.
        _ => return Ok(()),
    };
    Err(Error::Target { path: path.to_owned(), problem })
}

fn may_write(path: &Path) -> bool {
    fs::check_writable(path).is_ok()
}

/// Creates a folder if there is none, durably.
fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let is_new = create_directory(path, mode)?;
    match path.parent() {
        Some(parent) if is_new => Ok(fsync_directory(parent)?),
        _ => Ok(()),
    }
}

/// Creates a folder if there is none; returns whether it did. The folder is on the disk once the one above is synced.
/// The agent's umask takes away none of these modes' bits. A link to a folder counts as a folder.
fn create_directory(path: &Path, mode: u32) -> Result<bool, Error> {
    if fs::is_dir(path) {
        return Ok(false);
    }
    if fs::is_symlink(path) || fs::exists(path) {
        return Err(Error::Target { path: path.to_owned(), problem: "is no folder: move it away" });
    }
    match fs::create_dir_with(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::is_dir(path) => Ok(false),
        other => other.map(|()| true).map_err(Error::io("create the folder", path)),
    }
}

/// Removes a file that may be absent, and waits until that has reached the disk.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(Error::io("remove", path))?,
    }
    Ok(path.parent().map_or(Ok(()), fsync_directory)?)
}

/// Removes a file, or a folder with everything in it, where one of ours belongs.
pub(crate) fn remove_any(path: &Path) -> Result<(), Error> {
    if fs::is_dir(path) && !fs::is_symlink(path) {
        return fs::remove_dir_all(path).map_err(Error::io("remove", path));
    }
    remove_file(path)
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    use std::io::Read;
    check_file(path)?;
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}
