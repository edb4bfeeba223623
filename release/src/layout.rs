//! Where things lie in a target directory on a host: the one place that knows.

use std::path::{Path, PathBuf};

use batou_store::directory_name;

use crate::Component;

/// The store, below a target directory.
const STORE: &str = "store";
/// The numbered generations.
const GENERATIONS: &str = "generations";
/// The one pointer.
const CURRENT: &str = "current";

/// A target directory, which need not exist. Its path is absolute, without `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLayout {
    directory: PathBuf,
}

/// A text is not the path of a target directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a target directory: an absolute path without `.` and `..` is needed")]
pub struct HostLayoutError(String);

impl HostLayout {
    /// The layout below an absolute path.
    pub fn new(directory: &str) -> Result<Self, HostLayoutError> {
        let is_absolute = directory.starts_with('/') && directory.len() > 1 && !directory.contains('\0');
        if !is_absolute || directory.split('/').any(|part| part == ".." || part == ".") {
            return Err(HostLayoutError(directory.to_owned()));
        }
        Ok(Self { directory: PathBuf::from(directory) })
    }

    /// The target directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The store of objects and artifacts.
    pub fn store(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    /// The folder of a component's artifact, which never changes: `store/artifacts/<id>-<name>`.
    pub fn artifact(&self, component: &Component) -> PathBuf {
        self.store().join("artifacts").join(directory_name(&component.artifact, &component.name))
    }

    /// The generations, each a folder named by its number.
    pub fn generations(&self) -> PathBuf {
        self.directory.join(GENERATIONS)
    }

    /// One generation.
    pub fn generation(&self, number: u64) -> PathBuf {
        self.generations().join(number.to_string())
    }

    /// A component's path that stays the same over releases: `current/<component>`.
    pub fn component(&self, component: &str) -> PathBuf {
        self.directory.join(CURRENT).join(component)
    }

    /// The folders of the components' own data.
    pub fn states(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The component's own data, kept when the component goes.
    pub fn state(&self, component: &str) -> PathBuf {
        self.states().join(component)
    }

    /// Files that hold secrets.
    pub fn secrets(&self) -> PathBuf {
        self.directory.join("secrets")
    }

    /// Locked by whoever is releasing.
    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// Exists while a release is under way, and after one was interrupted.
    pub fn intent(&self) -> PathBuf {
        self.directory.join("intent.json")
    }

    /// Exists while a unit's command runs, and after its agent was killed.
    pub fn running(&self) -> PathBuf {
        self.directory.join("running.json")
    }

    /// One JSON line a release.
    pub fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// What each unit last converged to.
    pub fn activated(&self) -> PathBuf {
        self.directory.join("activated.json")
    }

    /// Room and files that are given up on a full disk, so that the host can go back.
    pub fn reserve(&self) -> PathBuf {
        self.directory.join("reserve")
    }

    /// Whether a path is in a folder that releases bring. The times of such files do not tell when they changed.
    pub fn is_released(&self, path: &Path) -> bool {
        [STORE, GENERATIONS, CURRENT].iter().any(|name| path.starts_with(self.directory.join(name)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_target_directory_is_absolute_and_plain() {
        for bad in ["", "/", "srv", "/srv/../etc", "/srv/./x", "/srv\0"] {
            assert!(HostLayout::new(bad).is_err(), "{bad:?}");
        }
        let layout = HostLayout::new("/srv/shop").unwrap();
        assert_eq!(layout.component("web"), Path::new("/srv/shop/current/web"));
        assert_eq!(layout.state("web"), Path::new("/srv/shop/state/web"));
        assert_eq!(layout.generation(12), Path::new("/srv/shop/generations/12"));
    }

    #[test]
    fn what_a_release_brings_is_told_from_data() {
        let layout = HostLayout::new("/srv/shop").unwrap();
        for released in ["/srv/shop/current/web/a", "/srv/shop/store/artifacts/x", "/srv/shop/generations/1"]
        {
            assert!(layout.is_released(Path::new(released)), "{released}");
        }
        for other in ["/srv/shop/state/web/a", "/srv/shop/currently", "/srv/other/current/a"] {
            assert!(!layout.is_released(Path::new(other)), "{other}");
        }
    }
}
