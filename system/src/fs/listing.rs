//! What folders hold.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::{FileType, Metadata};
#[cfg(feature = "simulation")]
use crate::simulation::{SimulatedFile, on_disk};

/// The entries of a folder, in no order.
#[derive(Debug)]
pub struct ReadDir(Listing);

#[derive(Debug)]
enum Listing {
    Real(std::fs::ReadDir),
    #[cfg(feature = "simulation")]
    Simulated(std::vec::IntoIter<DirEntry>),
}

/// An entry of a folder.
#[derive(Debug)]
pub struct DirEntry(FoundEntry);

#[derive(Debug)]
enum FoundEntry {
    Real(std::fs::DirEntry),
    #[cfg(feature = "simulation")]
    Simulated {
        path: PathBuf,
        kind: FileType,
    },
}

/// Lists a folder.
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    #[cfg(feature = "simulation")]
    if let Some(found) = on_disk("readdir", path, false, |disk| disk.list(path)) {
        let entry =
            |(name, kind)| DirEntry(FoundEntry::Simulated { path: path.join::<OsString>(name), kind });
        let entries: Vec<_> = found?.into_iter().map(entry).collect();
        return Ok(ReadDir(Listing::Simulated(entries.into_iter())));
    }
    std::fs::read_dir(path).map(|entries| ReadDir(Listing::Real(entries)))
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        match &mut self.0 {
            Listing::Real(entries) => Some(entries.next()?.map(|entry| DirEntry(FoundEntry::Real(entry)))),
            #[cfg(feature = "simulation")]
            Listing::Simulated(entries) => entries.next().map(Ok),
        }
    }
}

impl DirEntry {
    /// Its path: that of the folder, and its name.
    pub fn path(&self) -> PathBuf {
        match &self.0 {
            FoundEntry::Real(entry) => entry.path(),
            #[cfg(feature = "simulation")]
            FoundEntry::Simulated { path, .. } => path.clone(),
        }
    }

    /// Its name.
    pub fn file_name(&self) -> OsString {
        match &self.0 {
            FoundEntry::Real(entry) => entry.file_name(),
            #[cfg(feature = "simulation")]
            FoundEntry::Simulated { path, .. } => path.file_name().unwrap_or_default().to_owned(),
        }
    }

    /// What it is; a link is a link.
    pub fn file_type(&self) -> io::Result<FileType> {
        match &self.0 {
            FoundEntry::Real(entry) => entry.file_type().map(FileType::from),
            #[cfg(feature = "simulation")]
            FoundEntry::Simulated { kind, .. } => Ok(*kind),
        }
    }

    /// What is known of it; a link is not followed.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.0 {
            FoundEntry::Real(entry) => entry.metadata().map(Metadata::from),
            #[cfg(feature = "simulation")]
            FoundEntry::Simulated { path, .. } => super::symlink_metadata(path),
        }
    }
}

/// A path and everything below it, each folder before what it holds; links are not followed.
pub fn walk(path: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found = vec![(path.to_owned(), super::symlink_metadata(path)?.file_type())];
    let mut next = 0;
    while let Some((path, kind)) = found.get(next).cloned() {
        next += 1;
        if kind.is_dir() {
            for entry in read_dir(path)? {
                let entry = entry?;
                found.push((entry.path(), entry.file_type()?));
            }
        }
    }
    Ok(found)
}

/// A folder that stays the same, whatever its path comes to mean. It is only looked into.
#[derive(Debug)]
pub struct OpenFolder(FolderHandle);

#[derive(Debug)]
enum FolderHandle {
    Real(OwnedFd),
    #[cfg(feature = "simulation")]
    Simulated(SimulatedFile),
}

impl OpenFolder {
    /// Opens a folder; a link to one is none, and neither are links in a circle.
    pub fn open(path: &Path) -> io::Result<Self> {
        #[cfg(feature = "simulation")]
        if let Some(opened) = on_disk("open", path, false, |disk| disk.open_folder(path)) {
            return opened.map(|handle| Self(FolderHandle::Simulated(SimulatedFile::new(handle, path))));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Err(Errno::LOOP) => Err(Errno::NOTDIR.into()),
            opened => Ok(Self(FolderHandle::Real(opened?))),
        }
    }

    /// What is known of what has a name in it, or of itself: `.`. A link is not followed.
    pub fn metadata(&self, name: &str) -> io::Result<Metadata> {
        match &self.0 {
            FolderHandle::Real(folder) => Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.into()),
            #[cfg(feature = "simulation")]
            FolderHandle::Simulated(folder) => {
                folder.on_disk("fstatat", false, |disk, id| disk.stat_at(id, name))
            }
        }
    }
}
