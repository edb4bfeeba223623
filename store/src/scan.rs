//! Listing the files in the store's folders, by name only.

use std::path::PathBuf;

use crate::{ArtifactId, Error, ObjectId, ObjectKind, Store, fs};

/// A file in a folder that holds objects.
#[derive(Clone, Debug)]
pub(crate) struct ScannedFile {
    pub(crate) path: PathBuf,
    /// The object whose name it has, if it has one's. A blob's size is not part of its name: 0 here.
    pub(crate) object: Option<ObjectId>,
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
        let records = self.scan(ObjectKind::Artifact)?;
        let ids = records.into_iter().filter_map(|found| match found.object {
            Some(ObjectId::Artifact(id)) => Some(id),
            _ => None,
        });
        Ok(ids.collect())
    }
}
