//! Listing the files in the store's folders, by name only.

use std::path::PathBuf;

use crate::{ArtifactId, Digest, Error, Mode, ObjectId, Store, fs};

/// A file in a folder that holds objects.
#[derive(Clone, Debug)]
pub(crate) struct ScannedFile {
    pub(crate) path: PathBuf,
    /// The object whose name it has, if it has one's. A blob's size is not part of its name: 0 here.
    pub(crate) object: Option<ObjectId>,
}

/// The kinds of objects, each in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Blob,
    Tree,
    Record,
}

impl ObjectKind {
    fn folder(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Tree => "trees",
            Self::Record => "records",
        }
    }

    fn parse(self, name: &str) -> Option<ObjectId> {
        let digest = |digits: &str| digits.parse::<Digest>().ok();
        match self {
            Self::Tree => digest(name).map(ObjectId::Tree),
            Self::Record => digest(name).map(|digest| ObjectId::Artifact(digest.into())),
            Self::Blob => {
                let (digits, bits) = name.split_once('-')?;
                let mode = Mode::new(u32::from_str_radix(bits, 8).ok()?).ok()?;
                let canonical = format!("{:03o}", mode.bits()) == bits;
                digest(digits).filter(|_| canonical).map(|digest| ObjectId::Blob { digest, size: 0, mode })
            }
        }
    }
}

impl Store {
    /// All files in a kind's folder, sorted by path, including foreign ones.
    pub(crate) fn scan(&self, kind: ObjectKind) -> Result<Vec<ScannedFile>, Error> {
        let entries = fs::entries(&self.layout.folder(kind.folder()))?;
        let found = entries.iter().map(|entry| {
            let object = entry.file_name().to_str().and_then(|name| kind.parse(name));
            ScannedFile { path: entry.path(), object }
        });
        Ok(found.collect())
    }

    /// The ids of all artifacts in the store, sorted.
    pub fn artifacts(&self) -> Result<Vec<ArtifactId>, Error> {
        let records = self.scan(ObjectKind::Record)?;
        let ids = records.into_iter().filter_map(|found| match found.object {
            Some(ObjectId::Artifact(id)) => Some(id),
            _ => None,
        });
        Ok(ids.collect())
    }
}
