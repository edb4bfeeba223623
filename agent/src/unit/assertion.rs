//! Conditions that need no shell: whether files exist, and which of them is older.

use std::io;
use std::path::{Path, PathBuf};

use batou_system::fs::{self, Metadata};

use batou_release::{HostPath, Newer, Step};

use crate::error::Error;
use crate::target::TargetDirectory;
use batou_release::Component;

/// Where a step's commands run, and what its relative paths are relative to: the component's state folder, or the
/// `directory` of the step, which may be relative to that.
pub(crate) fn directory(target: &TargetDirectory, component: &Component, step: &Step) -> PathBuf {
    let state = target.state(component.name.as_str());
    step.directory.as_ref().map_or_else(|| state.clone(), |directory| state.join(directory))
}

/// Whether the step is wanted on this host: its `only_if_path`, if it has one, exists.
pub(crate) fn is_wanted(target: &TargetDirectory, component: &Component, step: &Step) -> Result<bool, Error> {
    let Some(path) = &step.only_if_path else { return Ok(true) };
    exists(&directory(target, component, step), path)
}

/// Whether there is anything at a path; symlinks are followed.
pub(crate) fn exists(directory: &Path, path: &HostPath) -> Result<bool, Error> {
    Ok(metadata(&directory.join(path.as_path()))?.is_some())
}

/// Why a file is older than others, or not comparable with them; `None` if it is at least as new.
pub(crate) fn outdated(directory: &Path, newer: &Newer) -> Result<Option<String>, Error> {
    let Some(own) = modified(directory, &newer.path)? else {
        return Ok(Some(format!("{} does not exist", newer.path)));
    };
    for other in &newer.than {
        match modified(directory, other)? {
            None => {
                return Ok(Some(format!("{} must be newer than {other}, which does not exist", newer.path)));
            }
            Some(time) if own < time => return Ok(Some(format!("{} is older than {other}", newer.path))),
            Some(_) => {}
        }
    }
    Ok(None)
}

fn modified(directory: &Path, path: &HostPath) -> Result<Option<std::time::SystemTime>, Error> {
    let path = directory.join(path.as_path());
    let time = |metadata: Metadata| metadata.modified().map_err(Error::io("examine", &path));
    metadata(&path)?.map(time).transpose()
}

fn metadata(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Error::io("examine", path)(error)),
    }
}
