//! Roots: artifacts that gc keeps, by name.
//!
//! A root may have an out-link, a symbolic link outside the store such as `result/web`. Such a root ends when the
//! link is gone or points elsewhere, so removing the link is all a person has to do.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use batou_system::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::lock::Guard;
use crate::stats::{MAX_SEALED, seal, unseal};
use crate::{ArtifactId, Error, Name, ObjectId, Store, fs};

/// The content of a root's file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Root {
    pub(crate) artifacts: Vec<ArtifactId>,
    link: Option<OutLink>,
}

/// A link, and what it pointed to when the root was added.
#[derive(Debug, Serialize, Deserialize)]
struct OutLink {
    #[serde(with = "crate::path_text")]
    link: PathBuf,
    #[serde(with = "crate::path_text")]
    target: PathBuf,
}

impl OutLink {
    /// Whether the link still points where it did. A link that cannot be read at the moment counts as if it did.
    fn lives(&self) -> bool {
        match batou_system::fs::read_link(&self.link) {
            Ok(target) => target == self.target,
            // It is gone, or replaced by something that is not a link.
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput
            ),
        }
    }
}

impl Store {
    /// Adds a root that keeps artifacts, which must be present. It replaces a root of the same name.
    ///
    /// With `link`, the root ends when that link is gone or no longer points where it does now. A link that does not
    /// exist is created, to the first artifact's checkout.
    pub fn add_root(&self, name: &str, artifacts: &[ArtifactId], link: Option<&Path>) -> Result<(), Error> {
        let path = self.root_file(name)?;
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        for id in artifacts {
            if !self.contains(&ObjectId::Artifact(*id))? {
                return Err(Error::Missing(ObjectId::Artifact(*id)));
            }
        }
        let link = link.map(|link| self.out_link(link, artifacts)).transpose()?;
        let root = Root { artifacts: artifacts.to_vec(), link };
        fs::make_way(&path)?;
        fs::atomic_write(&path, &seal(&root), fs::PUBLIC, self.is_durable())
    }

    fn out_link(&self, link: &Path, artifacts: &[ArtifactId]) -> Result<OutLink, Error> {
        let link = std::path::absolute(link).map_err(Error::io("find", link))?;
        match (batou_system::fs::read_link(&link), artifacts.first()) {
            (Ok(target), _) => Ok(OutLink { link, target }),
            (Err(error), Some(first)) if error.kind() == io::ErrorKind::NotFound => {
                let name = self.artifact(first)?.name;
                self.check_out(&[(*first, &name)])?;
                let target = self.artifact_path(first, &name);
                fs::create_directories(fs::parent(&link))?;
                fs::swap_symlink(&link, &target, false)?;
                Ok(OutLink { link, target })
            }
            (Err(error), _) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(Error::Foreign { path: link, reason: "it is not a symbolic link" })
            }
            (Err(source), _) => Err(Error::Io { action: "read the link", path: link, source }),
        }
    }

    /// Removes a root; its out-link, if it has one, stays. It is not an error if there is no such root.
    pub fn remove_root(&self, name: &str) -> Result<(), Error> {
        fs::remove_file(&self.root_file(name)?).map(drop)
    }

    /// The roots by name, without those whose out-link has ended.
    pub fn roots(&self) -> Result<BTreeMap<String, Vec<ArtifactId>>, Error> {
        let mut roots = BTreeMap::new();
        for (path, root) in self.root_files()? {
            let Some(root) = self.usable(&path, root)? else { continue };
            if root.link.as_ref().is_none_or(OutLink::lives) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                roots.insert(name, root.artifacts);
            }
        }
        Ok(roots)
    }

    /// Removes the files of roots that have ended. Only for the holder of the exclusive lock.
    pub(crate) fn end_roots(&self) -> Result<(), Error> {
        for (path, root) in self.root_files()? {
            let root = self.usable(&path, root)?;
            if root.is_none_or(|root| !root.link.as_ref().is_none_or(OutLink::lives)) {
                fs::remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// A root, if it is undamaged. Which artifacts a damaged one has kept is not known: in a host's store that is an
    /// error, and in a cache they are built again when they are next needed.
    fn usable(&self, path: &Path, root: Option<Root>) -> Result<Option<Root>, Error> {
        if root.is_none() && self.is_durable() { Err(damaged(path)) } else { Ok(root) }
    }

    /// All root files; `None` for one that is damaged.
    pub(crate) fn root_files(&self) -> Result<Vec<(PathBuf, Option<Root>)>, Error> {
        let mut files = Vec::new();
        for entry in fs::entries(&self.layout.folder("roots"))? {
            if !fs::is_temporary(&entry.file_name()) {
                let path = entry.path();
                let is_file = entry.file_type().is_ok_and(FileType::is_file);
                let bytes = if is_file { fs::read_limited(&path, MAX_SEALED)? } else { None };
                files.push((path, bytes.and_then(|bytes| unseal(&bytes))));
            }
        }
        Ok(files)
    }

    fn root_file(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.layout.folder("roots").join(Name::new(name)?))
    }
}

fn damaged(path: &Path) -> Error {
    Error::Damaged { path: path.to_owned(), fault: "its content is not what was written".to_owned() }
}
