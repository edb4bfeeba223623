//! Listing what lies in the store's folders, by name only.

use std::path::PathBuf;

use crate::{ArtifactId, Digest, Error, Mode, ObjectId, Store, fs};

/// A file that is named like an object, or something else.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// A blob's size is not in its name: 0 here.
    pub(crate) object: Option<ObjectId>,
}

/// The kinds of objects that are files in folders by the first two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blob,
    Tree,
    Record,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Tree => "trees",
            Self::Record => "records",
        }
    }

    fn parse(self, shard: &str, name: &str) -> Option<ObjectId> {
        let digest = |rest: &str| {
            if shard.len() == 2 { format!("{shard}{rest}").parse::<Digest>().ok() } else { None }
        };
        match self {
            Self::Tree => digest(name).map(ObjectId::Tree),
            Self::Record => digest(name).map(|digest| ObjectId::Artifact(digest.into())),
            Self::Blob => {
                let (rest, bits) = name.split_once('-')?;
                let mode = Mode::new(u32::from_str_radix(bits, 8).ok()?).ok()?;
                let canonical = format!("{:03o}", mode.bits()) == bits;
                digest(rest).filter(|_| canonical).map(|digest| ObjectId::Blob { digest, size: 0, mode })
            }
        }
    }
}

impl Store {
    /// All files of a kind, sorted by path, foreign ones included.
    pub(crate) fn scan(&self, kind: Kind) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for shard in fs::entries(&self.layout.folder(kind.folder()))? {
            if !shard.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(Found { path: shard.path(), object: None });
                continue;
            }
            let name = shard.file_name();
            for entry in fs::entries(&shard.path())? {
                let file = entry.file_name();
                let parsed =
                    name.to_str().zip(file.to_str()).and_then(|(shard, file)| kind.parse(shard, file));
                found.push(Found { path: entry.path(), object: parsed });
            }
        }
        Ok(found)
    }

    /// The ids of all artifacts that are here, sorted.
    pub fn artifacts(&self) -> Result<Vec<ArtifactId>, Error> {
        let records = self.scan(Kind::Record)?;
        let ids = records.into_iter().filter_map(|found| match found.object {
            Some(ObjectId::Artifact(id)) => Some(id),
            _ => None,
        });
        Ok(ids.collect())
    }
}
