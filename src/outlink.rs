//! `result/<environment>/<host>/<component>` in the project: symlinks to what was built, which keep it in the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use batou_store::{ArtifactId, Name, Store};

use crate::error::CommandError;

/// The folder of a project that holds the links.
pub const FOLDER: &str = "result";

/// The links of one environment.
pub struct OutLinks<'s> {
    store: &'s Store,
    folder: PathBuf,
}

impl<'s> OutLinks<'s> {
    /// Those of an environment of the project in `project`.
    pub fn of(store: &'s Store, project: &Path, environment: &str) -> Self {
        Self { store, folder: project.join(FOLDER).join(environment) }
    }

    /// Links an artifact, and makes the link a root of the store. A link that is as it should be is not touched.
    /// Whether it was written.
    pub fn link(&self, host: &str, name: &Name, artifact: &ArtifactId) -> Result<bool, CommandError> {
        let link = self.folder.join(host).join(name.as_str());
        if fs::read_link(&link).is_ok_and(|target| target == self.store.artifact_path(artifact, name)) {
            return Ok(false);
        }
        let parent = self.folder.join(host);
        fs::create_dir_all(&parent).map_err(|error| unusable(&parent, error))?;
        self.store.add_root(&root_name(&link), &[*artifact], Some(&link))?;
        Ok(true)
    }

    /// Removes the links of hosts and components that are no longer built: all but `kept`.
    pub fn remove_others(&self, kept: &[(String, String)]) -> Result<(), CommandError> {
        for host in names(&self.folder)? {
            let folder = self.folder.join(&host);
            for component in names(&folder)? {
                let link = folder.join(&component);
                let ours = fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink());
                if ours && !kept.contains(&(host.clone(), component)) {
                    fs::remove_file(&link).map_err(|error| unusable(&link, error))?;
                    self.store.remove_root(&root_name(&link))?;
                }
            }
            if !kept.iter().any(|(name, _)| *name == host) {
                // A folder that holds something that is not ours stays.
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(())
    }
}

/// A root's name: one for each link on this machine.
fn root_name(link: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    format!("link-{}", batou_store::Digest::of(link.as_os_str().as_bytes()).short())
}

fn names(folder: &Path) -> Result<Vec<String>, CommandError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other.map_err(|error| unusable(folder, error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unusable(folder, error))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn unusable(path: &Path, error: io::Error) -> CommandError {
    CommandError::failed(format!("{} cannot be used", path.display())).because(error)
}
