//! The frame of a store, which is what does not depend on its content: folders, lock files, the format file.
//!
//! A frame that is damaged is mended when the store is opened, whatever damaged it: the content of a store can be made or sent
//! again. What is not a store, and a store of a newer format, is left alone.

use std::io::ErrorKind;
use std::path::Path;

use crate::layout::{self, FILES, StoreLayout};
use crate::{Durability, Error, Store, fs};

/// How many of a store's folders tell that a folder is a store which has lost its format file.
const EVIDENT: usize = 5;
/// What the owner must be allowed to do with the store's folders.
const OWNER: u32 = 0o700;

/// Whether an error tells what is there, and not only that it could not be found out this time.
fn tells_damage(kind: ErrorKind) -> bool {
    use ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | NotADirectory | IsADirectory)
}

impl Store {
    /// Opens the store at `root` as [`Store::open`] opens a [`Durability::Cache`], and mends its frame first. Returns the
    /// names of what was damaged in it, but for folders that were missing or no folders: what was in them is found missing by
    /// whoever needs it.
    pub fn open_mended(root: &Path) -> Result<(Self, Vec<&'static str>), Error> {
        Self::mend_and_open(root, Durability::Cache)
    }

    /// [`Store::open_mended`] of a store of any kind. What a host's store loses with its frame is sent again.
    pub fn mend_and_open(root: &Path, durability: Durability) -> Result<(Self, Vec<&'static str>), Error> {
        let store = Self::at(root, durability)?;
        let damaged = store.mend_frame()?;
        Ok((Self::open(root, durability)?, damaged))
    }

    fn mend_frame(&self) -> Result<Vec<&'static str>, Error> {
        let format = fs::lstat(&self.layout.folder("format"))?;
        let sound = match self.layout.check_format() {
            Err(error @ Error::NewerFormat { .. }) => return Err(error),
            // One that may not be read is written anew, with what it had.
            Err(error)
                if error
                    .io_kind()
                    .is_some_and(|kind| kind != ErrorKind::PermissionDenied && !tells_damage(kind)) =>
            {
                return Err(error);
            }
            checked => format.is_some_and(|found| found.is_file()) && matches!(checked, Ok(true)),
        };
        if !sound && !self.is_evident()? {
            return Ok(Vec::new());
        }
        let mut damaged = Vec::new();
        for name in layout::folders() {
            let path = self.layout.folder(name);
            match batou_system::fs::metadata(&path) {
                Ok(found) if found.is_dir() => {
                    if found.mode() & OWNER != OWNER {
                        fs::set_mode(&path, found.mode() & 0o7777 | OWNER)?;
                        damaged.push(name);
                    }
                }
                examined => {
                    let is_link = fs::lstat(&path)?.is_some_and(|found| found.is_symlink());
                    // What cannot be examined may be a folder with everything in it.
                    if let Some(source) =
                        examined.err().filter(|error| !is_link && !tells_damage(error.kind()))
                    {
                        return Err(Error::Io { action: "examine", path, source });
                    }
                    if is_link && self.is_durable() {
                        let reason =
                            "it is a link to no folder: mount or make what it leads to, or remove it";
                        return Err(Error::Foreign { path, reason });
                    }
                    fs::remove_tree(&path)?;
                    fs::create_directories(&path)?;
                }
            }
        }
        for name in FILES {
            let path = self.layout.folder(name);
            if fs::lstat(&path)?.is_some_and(|found| !found.is_file()) {
                fs::remove_tree(&path)?;
                damaged.push(name);
            }
        }
        if !sound {
            self.write_format()?;
            if !damaged.contains(&"format") {
                damaged.push("format");
            }
        }
        Ok(damaged)
    }

    /// Whether the folder is a store, whatever its format file says.
    fn is_evident(&self) -> Result<bool, Error> {
        let mut folders = 0;
        for name in layout::folders() {
            folders += usize::from(fs::lstat(&self.layout.folder(name))?.is_some_and(|found| found.is_dir()));
        }
        if folders >= EVIDENT {
            return Ok(true);
        }
        Ok(self.has_torn_format()? && self.layout.check_empty().is_ok())
    }

    /// Whether the format file is what a power cut can leave of one that was just written: its beginning, and zeroes.
    fn has_torn_format(&self) -> Result<bool, Error> {
        let path = self.layout.folder("format");
        let is_file = fs::lstat(&path)?.is_some_and(|found| found.is_file());
        let Some(Ok(Some(found))) = is_file.then(|| fs::read_limited(&path, 64)) else { return Ok(false) };
        let length = found.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(StoreLayout::format_text().as_bytes().starts_with(&found[..length]))
    }
}
