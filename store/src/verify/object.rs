//! Checking the files of objects.

use batou_system::fs::Metadata;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::damage::hash;
use crate::object::{DecodedObject, MAX_ENCODING};
use crate::scan::ScannedFile;
use crate::stats::Stat;
use crate::{Digest, Error, Fault, Mode, Monitor, ObjectId, Problem, Remedy, Store, fs};

/// Undamaged blobs, by device and inode.
pub(super) type Inodes = HashMap<Inode, Digest>;
/// Device and inode.
pub(super) type Inode = (u64, u64);
/// What was checked, if it is undamaged, or what is wrong with it. An error ends the whole verification.
pub(super) type CheckResult<T> = Result<Result<T, Problem>, Error>;
/// The sizes of blobs, as what needs them gives them.
pub(super) type Sizes = HashMap<(Digest, Mode), u64>;

/// Checks objects one by one.
#[derive(Clone, Copy)]
pub(super) struct ObjectCheck<'a> {
    pub(super) store: &'a Store,
    pub(super) monitor: &'a dyn Monitor,
}

impl ObjectCheck<'_> {
    pub(super) fn problem(
        &self,
        fault: Fault,
        path: &Path,
        detail: impl Into<String>,
        remedy: Remedy,
    ) -> Problem {
        self.store.problem(fault, path, detail, remedy)
    }

    pub(super) fn foreign(&self, path: &Path) -> Problem {
        self.problem(Fault::Foreign, path, "it is not named like anything the store makes", Remedy::Remove)
    }

    /// Checks that a blob is a file with the mode and the digest in its name.
    pub(super) fn blob(&self, found: &ScannedFile, sizes: &Sizes) -> CheckResult<(Inode, Digest)> {
        let Some(ObjectId::Blob { digest, mode, .. }) = found.object else {
            return Ok(Err(self.foreign(&found.path)));
        };
        // A blob that no tree needs cannot be fetched, as its size is not known; but then it is not needed either.
        let size = sizes.get(&(digest, mode));
        let remedy =
            size.map_or(Remedy::Remove, |size| Remedy::Fetch(ObjectId::Blob { digest, size: *size, mode }));
        let damaged = |detail: String| Ok(Err(self.problem(Fault::Damaged, &found.path, detail, remedy)));
        let Some(metadata) = fs::lstat(&found.path)?.filter(Metadata::is_file) else {
            return damaged("it is not a file".to_owned());
        };
        if !Stat::of(&metadata).has_mode(mode) {
            return damaged(format!("its mode is {:04o}", metadata.mode() & 0o7777));
        }
        let content = hash(&found.path)?;
        self.monitor.advance(1, metadata.size());
        if content != digest {
            return damaged(format!("its digest is {content}"));
        }
        Ok(Ok(((metadata.dev(), metadata.ino()), digest)))
    }

    /// Checks that a file of any other kind holds a canonical encoding with the digest in its name.
    pub(super) fn encoding(&self, found: &ScannedFile) -> CheckResult<(ObjectId, DecodedObject)> {
        let Some(object) = found.object else { return Ok(Err(self.foreign(&found.path))) };
        self.monitor.advance(1, 0);
        let remedy = Remedy::Fetch(object);
        let damaged = |detail: String| Ok(Err(self.problem(Fault::Damaged, &found.path, detail, remedy)));
        match fs::lstat(&found.path)? {
            Some(metadata) if !metadata.is_file() => return damaged("it is not a file".to_owned()),
            Some(metadata) if metadata.size() > MAX_ENCODING => return damaged("it is too large".to_owned()),
            _ => {}
        }
        match self.store.decoded(&object) {
            Ok(decoded) => Ok(Ok((object, decoded))),
            Err(Error::Damaged { fault, .. }) => damaged(fault),
            Err(Error::Encoding { source, .. }) => damaged(source.to_string()),
            Err(Error::Missing(_)) => {
                Ok(Err(self.problem(Fault::Missing, &found.path, "it disappeared during the check", remedy)))
            }
            Err(error) => Err(error),
        }
    }

    /// Those of the objects that are not there. A truncated file is not missing: it is found
    /// as damaged.
    pub(super) fn missing(&self, needed: &BTreeSet<ObjectId>) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        for object in needed {
            let path = self.store.layout.object(object);
            if fs::lstat(&path)?.is_none() {
                problems.push(self.problem(
                    Fault::Missing,
                    &path,
                    object.to_string(),
                    Remedy::Fetch(*object),
                ));
            }
        }
        Ok(problems)
    }
}
