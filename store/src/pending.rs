//! What a batch has written and not yet published.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::object::DecodedObject;
use crate::stats::Stat;
use crate::{Artifact, ArtifactId, Digest, Mode, ObjectId};

/// Objects in temporary files.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) blobs: BTreeMap<(Digest, Mode), StagedBlob>,
    /// Temporary files of all other objects, children first.
    pub(crate) files: Vec<(ObjectId, PathBuf)>,
    /// What is in those files.
    pub(crate) decoded: HashMap<ObjectId, DecodedObject>,
}

/// A blob in its temporary file.
#[derive(Debug)]
pub(crate) struct StagedBlob {
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.files.is_empty()
    }

    pub(crate) fn has(&self, object: &ObjectId) -> bool {
        match object {
            ObjectId::Blob { digest, size, mode } => {
                self.blobs.get(&(*digest, *mode)).is_some_and(|blob| blob.stat.size == *size)
            }
            _ => self.decoded.contains_key(object),
        }
    }

    /// The artifacts with the temporary files of their records, references first.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = (ArtifactId, &Artifact, &Path)> {
        self.files.iter().filter_map(|(object, path)| match (object, self.decoded.get(object)) {
            (ObjectId::Artifact(id), Some(DecodedObject::Artifact(artifact))) => {
                Some((*id, &**artifact, path.as_path()))
            }
            _ => None,
        })
    }
}
