//! Drift: what is no longer as it was released, as far as a look shows, which opens no file.

use std::path::Path;

use batou_release::{Component, Manifest};
use batou_store::{Fault, Problem, Store, directory_name};
use batou_system::fs;

use crate::error::Error;
use crate::protocol::{Drift, DriftKind, DriftedFile};
use crate::release::{Installed, broken_links};
use crate::session::About;

/// What of the release in force does not look as it was released.
pub(crate) fn of_release(about: &About, current: &Installed) -> Result<Drift, Error> {
    let target = &about.target;
    let mut files = beside_store(about, current);
    match target.existing_store()? {
        Some(store) => files.extend(in_store(&store, &current.manifest)?),
        None => files.push(of_target(target.directory(), &target.store(), DriftKind::Missing)),
    }
    Ok(Drift::of(files))
}

/// What of the release in force does not look as it was released outside the store: its links, and the folders of its
/// components' own data. A switch to it makes both again.
pub(crate) fn beside_store(about: &About, current: &Installed) -> Vec<DriftedFile> {
    let target = &about.target;
    let mut files = states(about, current.manifest.components.iter());
    for (name, _) in broken_links(target, current.number, &current.manifest) {
        let link = target.generation(current.number).join(name.as_str());
        files.push(of_target(target.directory(), &link, DriftKind::Changed));
    }
    files
}

/// The folders of components' own data that are gone, or are no folders.
pub(crate) fn states<'c>(about: &About, components: impl Iterator<Item = &'c Component>) -> Vec<DriftedFile> {
    let target = &about.target;
    let look = |component: &Component| {
        let state = target.state(component.name.as_str());
        let kind =
            if fs::is_symlink(&state) || fs::exists(&state) { DriftKind::Changed } else { DriftKind::Lost };
        (!fs::is_dir(&state)).then(|| of_target(target.directory(), &state, kind))
    };
    components.filter_map(look).collect()
}

/// What of a manifest's artifacts does not look as it was checked out.
pub(crate) fn in_store(store: &Store, manifest: &Manifest) -> Result<Vec<DriftedFile>, Error> {
    let checkouts: Vec<_> =
        manifest.components.iter().map(|component| (component.artifact, &component.name)).collect();
    let problems = store.look(&checkouts)?;
    Ok(problems.iter().map(|problem| file(&manifest.components, problem)).collect())
}

/// A problem of the store, as what it is to those who know components.
pub(crate) fn file(components: &[Component], problem: &Problem) -> DriftedFile {
    let kind = match problem.fault {
        Fault::Missing => DriftKind::Missing,
        Fault::Damaged => DriftKind::Changed,
        Fault::Foreign => DriftKind::Foreign,
    };
    let below = problem.path.strip_prefix("artifacts").ok();
    let of_component = |component: &Component| {
        let folder = directory_name(&component.artifact, &component.name);
        let path = below?.strip_prefix(folder).ok()?;
        let path = if path == Path::new("") { Path::new(".") } else { path };
        Some(DriftedFile { component: Some(component.name.clone()), path: text(path), kind })
    };
    let of_store =
        || DriftedFile { component: None, path: text(&Path::new("store").join(&problem.path)), kind };
    components.iter().find_map(of_component).unwrap_or_else(of_store)
}

fn of_target(directory: &Path, path: &Path, kind: DriftKind) -> DriftedFile {
    DriftedFile { component: None, path: text(path.strip_prefix(directory).unwrap_or(path)), kind }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
