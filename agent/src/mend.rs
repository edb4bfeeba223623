//! Making whole what a release needs of the host's store, before the host switches to it.
//!
//! What the store itself has is put back without further ado: a file that was removed from a checkout is still a blob. What
//! is damaged there too counts as missing from then on, until the controller has sent it again.

use batou_release::{Component, Manifest};
use batou_store::Store;

use crate::drift;
use crate::error::Error;
use crate::protocol::DriftedFile;
use crate::session::{About, Locked};
use crate::verify::{FullCheck, to_be_sent};

/// Checks that everything a manifest needs is here and undamaged, and puts back what can be. Only files whose metadata have
/// changed since they were checked out are read; with `recheck`, all are. What was not as it should be is remembered, to be
/// told once it is mended.
pub(crate) fn make_whole(
    about: &About,
    locked: &mut Locked,
    manifest: &Manifest,
    recheck: bool,
) -> Result<(), Error> {
    let store = &locked.store;
    let looks = drift::in_store(store, manifest)?;
    if !recheck && looks.is_empty() && store.verify_artifacts(&manifest.artifacts())?.is_empty() {
        return Ok(());
    }
    let mut problems = Vec::new();
    for component in &manifest.components {
        let (told, files) = examine(store, component, recheck)?;
        if files.is_empty() {
            continue;
        }
        locked.mending.extend(files);
        let unsound = to_be_sent(store, std::slice::from_ref(component))?;
        if unsound.is_empty() {
            store.check_out_anew(&component.artifact)?;
        } else {
            problems.extend(told);
            locked.damaged.extend(unsound);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    problems.dedup();
    let subject = format!("the release in {}", about.target.directory().display());
    Err(Error::Damaged { subject, problems })
}

/// What is wrong with a component's artifact, in sentences and as files.
fn examine(
    store: &Store,
    component: &Component,
    recheck: bool,
) -> Result<(Vec<String>, Vec<DriftedFile>), Error> {
    let components = std::slice::from_ref(component);
    let (mut told, mut files) = (Vec::new(), Vec::new());
    let looked = store.look(&[(component.artifact, &component.name)])?;
    for problem in looked.into_iter().chain(store.verify_artifacts(&[component.artifact])?) {
        files.push(drift::file(components, &problem));
        told.push(format!("{problem} in {}", store.root().display()));
    }
    if recheck {
        let mut check = FullCheck::default();
        check.component(store, component);
        let folder = store.artifact_path(&component.artifact, &component.name);
        for fault in check.faults {
            let path = fault.path.strip_prefix(&folder).unwrap_or(&fault.path);
            let path = path.to_string_lossy().into_owned();
            told.push(fault.to_string());
            files.push(DriftedFile { component: Some(component.name.clone()), path, kind: fault.kind });
        }
    }
    // A file is named as it is met below `current`, and what is behind it in the store only where that is all.
    if files.iter().any(|file| file.component.is_some()) {
        files.retain(|file| file.component.is_some());
    }
    Ok((told, files))
}
