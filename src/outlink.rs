//! `result/<environment>/<host>/<component>` in the project: symlinks to what was built, which keep it in the store.

use batou_release::HostName;
use std::collections::BTreeMap;
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
    roots: BTreeMap<String, Vec<ArtifactId>>,
}

impl<'s> OutLinks<'s> {
    /// The links of an environment of the project in `project`.
    pub fn of(store: &'s Store, project: &Path, environment: &str) -> Result<Self, CommandError> {
        let folder = project.join(FOLDER).join(environment);
        Ok(Self { store, folder, roots: store.roots()? })
    }

    /// Links an artifact, and makes the link a root of the store. A link that is already right is not touched.
    /// Returns whether anything was written.
    pub fn link(&self, host: &str, name: &Name, artifact: &ArtifactId) -> Result<bool, CommandError> {
        let link = self.folder.join(host).join(name.as_str());
        refuse_no_folder(&link)?;
        let target = self.store.artifact_path(artifact, name);
        let root = root_name(&link);
        match fs::read_link(&link) {
            Ok(found) if found == target => {
                if self.roots.get(&root).is_some_and(|kept| kept == &[*artifact]) {
                    return Ok(false);
                }
            }
            Ok(_) => {
                self.store.check_out(&[(*artifact, name)])?;
                batou_store::fs::swap_symlink(&link, &target, false)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let message = format!("{} is not a link that batou made", link.display());
                return Err(CommandError::failed(message).hint("move it away"));
            }
            Err(error) => return Err(unusable(&link, error)),
        }
        self.store.add_root(&root, &[*artifact], Some(&link))?;
        Ok(true)
    }

    /// Removes the links of hosts and components that are no longer built: all but `kept`.
    pub fn remove_others(&self, kept: &[(HostName, Name)]) -> Result<(), CommandError> {
        for host in names(&self.folder)? {
            let folder = self.folder.join(&host);
            for component in names(&folder)? {
                let link = folder.join(&component);
                let ours = fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink());
                let is_kept = kept.iter().any(|(name, of)| *name == *host && *of == *component);
                if ours && !is_kept {
                    fs::remove_file(&link).map_err(|error| unusable(&link, error))?;
                    self.store.remove_root(&root_name(&link))?;
                }
            }
            if !kept.iter().any(|(name, _)| *name == *host) {
                // A folder that contains something that is not ours stays.
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(())
    }
}

/// Refuses a link whose folder is something else. It is not removed: nobody knows what it is.
fn refuse_no_folder(link: &Path) -> Result<(), CommandError> {
    // The project's own folder is not among them.
    for folder in link.ancestors().skip(1).take(3) {
        if fs::symlink_metadata(folder).is_ok() && !folder.is_dir() {
            let message = format!("{} is no folder, and links to what was built go there", folder.display());
            return Err(CommandError::failed(message).hint("move it away"));
        }
    }
    Ok(())
}

/// A root's name: a different one for each link on this machine.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{artifact, store};

    #[test]
    fn a_link_follows_what_is_built_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let name = Name::new("web").unwrap();
        let [old, new] = [b"1", b"2"].map(|content| artifact(&store, "web", &[("f", content)]));
        let link = |id| OutLinks::of(&store, folder.path(), "dev").unwrap().link("h", &name, id).unwrap();
        assert!(link(&old));
        assert!(!link(&old), "an unchanged link is not written");
        assert!(link(&new));
        let shown = fs::read(folder.path().join("result/dev/h/web/f")).unwrap();
        assert_eq!(shown, b"2");
        assert_eq!(store.roots().unwrap().into_values().collect::<Vec<_>>(), [[new]]);
    }

    #[test]
    fn links_of_what_is_gone_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let id = artifact(&store, "web", &[("f", b"1")]);
        let name = Name::new("web").unwrap();
        let links = OutLinks::of(&store, folder.path(), "dev").unwrap();
        for host in ["kept", "gone", "mixed"] {
            links.link(host, &name, &id).unwrap();
        }
        let result = folder.path().join("result/dev");
        fs::write(result.join("mixed/notes"), "mine").unwrap();
        links.remove_others(&[("kept".parse().unwrap(), "web".parse().unwrap())]).unwrap();
        assert!(result.join("kept/web/f").exists());
        assert!(!result.join("gone").exists());
        assert!(!result.join("mixed/web").exists());
        assert!(result.join("mixed/notes").exists());
        assert_eq!(store.roots().unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_link_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let id = artifact(&store, "web", &[("f", b"1")]);
        fs::create_dir_all(folder.path().join("result/dev/h/web")).unwrap();
        let links = OutLinks::of(&store, folder.path(), "dev").unwrap();
        let error = links.link("h", &Name::new("web").unwrap(), &id).unwrap_err();
        assert!(error.to_string().ends_with("is not a link that batou made"), "{error}");
    }

    #[test]
    fn what_is_in_the_way_of_a_link_is_named_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let (name, id) = ("web".parse().unwrap(), artifact(&store, "web", &[("f", b"1")]));
        for path in ["result", "result/dev", "result/dev/h", "result/dev/h/web"] {
            let path = folder.path().join(path);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap();
            let links = OutLinks::of(&store, folder.path(), "dev").unwrap();
            let refused = links.link("h", &name, &id).unwrap_err();
            assert!(refused.to_string().starts_with(&path.display().to_string()), "{refused}");
            assert_eq!(refused.hints(), ["move it away"]);
            fs::remove_file(&path).unwrap();
            if !path.ends_with("web") {
                fs::create_dir(&path).unwrap();
            }
        }
    }
}
