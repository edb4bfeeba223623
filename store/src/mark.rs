//! Marks on the disk of a host's store that names of objects are about to change.
//!
//! Objects get their names children first, and lose them parents first. But which of several names a power cut leaves is
//! up to the filesystem: without a sync between them a later one may be there and an earlier one not, so that an object
//! lacks a child. Syncing after each name would take too long. So a mark is on the disk before the first of them changes,
//! and is removed once all are on the disk. Whoever opens the store and finds one drops what lacks a child.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::layout::{MARK, directory_digits};
use crate::{Error, Store, fs};

/// A mark. It stays unless it is removed by [`Mark::remove`]: then it is found when the store is next opened.
#[derive(Debug)]
pub(crate) struct Mark(Option<PathBuf>);

impl Mark {
    /// Makes a mark, which is on the disk once the folder `tmp` is. A cache has none: nothing in it waits for the disk.
    pub(crate) fn make(store: &Store) -> Result<Self, Error> {
        if !store.is_durable() {
            return Ok(Self(None));
        }
        let path = store.layout.folder("tmp").join(fs::unique(MARK));
        match fs::write_new(&path, b"", fs::PRIVATE, false) {
            // Only the name counts, and another name of a file that is there takes no inode.
            Err(error) if error.is_full() => {
                let format = store.layout.folder("format");
                batou_system::fs::hard_link(format, &path).map_err(Error::io("create", &path))?;
            }
            made => made?,
        }
        Ok(Self(Some(path)))
    }

    /// Makes a mark that is on the disk.
    pub(crate) fn make_durable(store: &Store) -> Result<Self, Error> {
        let mark = Self::make(store)?;
        if mark.0.is_some() {
            fs::fsync_directory(&store.layout.folder("tmp"))?;
        }
        Ok(mark)
    }

    /// Removes it: all names are on the disk.
    pub(crate) fn remove(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |path| fs::remove_file(&path).map(drop))
    }
}

impl Store {
    /// Removes objects that lack a child, and checkouts that have no record. Only for the holder of the exclusive lock.
    pub(crate) fn drop_incomplete(&self) -> Result<(), Error> {
        self.drop_lacking()?;
        let artifacts: HashSet<_> = self.artifacts()?.iter().map(directory_digits).collect();
        for folder in ["artifacts", "stats"] {
            for entry in fs::entries(&self.layout.folder(folder))? {
                let known = entry.file_name().to_str().and_then(|name| name.get(..40)).map(str::to_owned);
                if known.is_none_or(|digits| !artifacts.contains(&digits)) {
                    fs::remove_tree(&entry.path())?;
                }
            }
        }
        self.barrier(&["artifacts", "stats"].map(|name| self.layout.folder(name)).into())
    }
}
