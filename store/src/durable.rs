//! Barriers: waiting until writes and renames have reached the disk.
//!
//! Up to [`FEW`] files or folders are synced one by one; beyond that, one `syncfs` of the filesystem is cheaper. A
//! sync that failed is never tried again: the kernel may have dropped the pages it could not write, and a second call
//! would then report success for data that is lost.

use batou_system::fs::File;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Store, fs};

/// Up to how many files or folders are synced one by one.
pub(crate) const FEW: usize = 16;

impl Store {
    /// Waits until these files and folders are on the disk, if the store promises durability.
    pub(crate) fn barrier(&self, touched: &BTreeSet<PathBuf>) -> Result<(), Error> {
        if !self.is_durable() || touched.is_empty() {
            return Ok(());
        }
        if touched.len() <= FEW {
            return touched.iter().try_for_each(|path| fs::fsync_directory(path));
        }
        self.sync_filesystems()
    }

    /// Waits until everything is on the disk. Checkouts may lie on a filesystem of their own.
    pub(crate) fn sync_filesystems(&self) -> Result<(), Error> {
        let artifacts = self.layout.folder("artifacts");
        sync_filesystem(self.root())?;
        if device(&artifacts)? == device(self.root())? { Ok(()) } else { sync_filesystem(&artifacts) }
    }
}

fn sync_filesystem(path: &Path) -> Result<(), Error> {
    let folder = File::open(path).map_err(Error::io("open", path))?;
    folder.sync_filesystem().map_err(Error::io("sync the filesystem of", path))
}

/// The device that holds a path, or what the path links to.
pub(crate) fn device(path: &Path) -> Result<u64, Error> {
    Ok(batou_system::fs::metadata(path).map_err(Error::io("examine", path))?.dev())
}

/// Renames a file to its final name, and adds its new folder to `touched` for the next barrier.
pub(crate) fn move_into_place(from: &Path, to: &Path, touched: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    match batou_system::fs::rename(from, to) {
        // No object is a folder, so this one is none of the store's.
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            fs::remove_tree(to)?;
            batou_system::fs::rename(from, to)
        }
        renamed => renamed,
    }
    .map_err(Error::io("move into place", to))?;
    let folder = fs::parent(to);
    if !touched.contains(folder) {
        touched.insert(folder.to_owned());
    }
    Ok(())
}
