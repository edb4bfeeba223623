//! From what was rendered to what is released: each component becomes an artifact in the controller's store,
//! each host gets a manifest, and all hosts together make a release.
//!
//! Digests are computed in memory first, so that a component that is already in the store costs one look at the
//! store and no write; an unchanged build writes nothing at all. Sources that are not templates are hashed and
//! stored as streams, so that memory does not grow with their size.

mod layout;

use std::collections::{BTreeMap, BTreeSet};

use batou_environments::{Evaluation, Rendered, RenderedUnit};
use batou_store::{Lease, Monitor, ObjectId, Phase, SourceHasher, Store};
use rayon::prelude::*;

use crate::error::CommandError;
use crate::ui::Progress;
use batou_release::{
    Causes, Component, DECLARED_BY, HostName, HostRelease, Instance, MANIFEST_FORMAT, Manifest, Release,
    unit_key,
};
use layout::{Amount, ComponentLayout};

/// The folder in the store that holds, for each project, what its source files looked like.
pub const SOURCES: &str = "sources";

/// A built environment. What was added to the store is protected from collection while this lives.
pub struct Built {
    /// The fleet release.
    pub release: Release,
    /// What each host gets, by its name in the environment; ignored hosts are left out.
    pub hosts: BTreeMap<HostName, HostRelease>,
    /// How many artifacts the store did not have.
    pub stored: usize,
    /// Ends the protection when it is dropped.
    pub lease: Option<Lease>,
}

impl Built {
    /// A release whose objects need no protection.
    pub fn new(release: Release, hosts: BTreeMap<HostName, HostRelease>) -> Self {
        Self { release, hosts, stored: 0, lease: None }
    }
}

/// Builds what was rendered into the store.
pub fn build(evaluation: &Evaluation, store: &Store, progress: &Progress) -> Result<Built, CommandError> {
    let deployed = deployed(evaluation);
    let rendered: Vec<_> =
        evaluation.components.iter().filter(|rendered| deployed.contains(&rendered.host)).collect();
    let layouts = lay_out(evaluation, &rendered, store, progress)?;
    let (stored, lease) = store_missing(&layouts, store, progress)?;
    let built: BTreeSet<_> = rendered.iter().map(|one| (one.host.as_str(), one.component.as_str())).collect();
    let mut manifests: BTreeMap<_, _> =
        deployed.into_iter().map(|host| (host, empty(evaluation, host))).collect();
    let components = rendered.par_iter().zip(&layouts);
    let components: Vec<_> =
        components.map(|(rendered, layout)| component(rendered, layout, &built)).collect();
    for (rendered, component) in rendered.iter().zip(components) {
        let Some((manifest, host_causes)) = manifests.get_mut(&rendered.host) else { continue };
        host_causes.insert(rendered.component.clone(), causes(rendered));
        manifest.components.push(component);
    }
    let host =
        |(name, (manifest, causes)): (&HostName, _)| (name.clone(), HostRelease::new(manifest, causes));
    let hosts: BTreeMap<_, _> = manifests.into_iter().map(host).collect();
    let release = Release {
        project: evaluation.project.clone(),
        environment: evaluation.policy.name.clone(),
        hosts: hosts.iter().map(|(name, host)| (name.clone(), host.digest())).collect(),
    };
    Ok(Built { stored, lease, ..Built::new(release, hosts) })
}

/// All objects that [`build`] would make of what was rendered. Stores nothing.
pub fn objects(
    evaluation: &Evaluation,
    store: &Store,
    progress: &Progress,
) -> Result<BTreeSet<ObjectId>, CommandError> {
    let deployed = deployed(evaluation);
    let rendered: Vec<_> =
        evaluation.components.iter().filter(|rendered| deployed.contains(&rendered.host)).collect();
    let layouts = lay_out(evaluation, &rendered, store, progress)?;
    Ok(layouts.iter().flat_map(ComponentLayout::objects).collect())
}

fn deployed(evaluation: &Evaluation) -> BTreeSet<&HostName> {
    evaluation.hosts.iter().filter(|host| !host.ignored).map(|host| &host.name).collect()
}

/// What each file was made from, and the sub-components that declare files and units.
fn causes(rendered: &Rendered) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut causes = rendered.causes.clone();
    let files = rendered.breadcrumbs.iter().map(|(path, breadcrumb)| (path.clone(), breadcrumb));
    let units = rendered.units.iter().filter(|declared| !declared.breadcrumb.is_empty());
    let units =
        units.map(|RenderedUnit { unit, breadcrumb }| (unit_key(unit.kind(), unit.name()), breadcrumb));
    for (key, breadcrumb) in files.chain(units) {
        let causes = causes.entry(key).or_default();
        causes.insert(DECLARED_BY.to_owned(), breadcrumb.join(" > "));
    }
    causes
}

/// The manifest of a host that has nothing yet, and the causes.
fn empty(evaluation: &Evaluation, host: &HostName) -> (Manifest, Causes) {
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        project: evaluation.project.clone(),
        environment: evaluation.policy.name.clone(),
        host: host.clone(),
        components: Vec::new(),
    };
    (manifest, Causes::new())
}

fn lay_out<'r>(
    evaluation: &Evaluation,
    rendered: &[&'r Rendered],
    store: &Store,
    progress: &Progress,
) -> Result<Vec<ComponentLayout<'r>>, CommandError> {
    let sources = SourceHasher::open(&store.root().join(SOURCES).join(&evaluation.project));
    if progress.is_visible() {
        let amounts = rendered.par_iter().map(|rendered| Amount::rendered(rendered));
        let all = amounts.reduce(Amount::default, Amount::plus);
        progress.begin(Phase::Hashing, all.files, all.bytes);
    }
    let layouts = rendered.par_iter().map(|rendered| ComponentLayout::of(rendered, &sources, progress));
    let layouts = layouts.collect::<Result<_, _>>()?;
    sources.save()?;
    Ok(layouts)
}

/// Stores what is absent, all or nothing. The store is checked a second time after the lease is taken, so that
/// nothing found there can be collected before it is used.
fn store_missing(
    layouts: &[ComponentLayout<'_>],
    store: &Store,
    progress: &Progress,
) -> Result<(usize, Option<Lease>), CommandError> {
    if absent(layouts, store)?.is_empty() {
        return Ok((0, None));
    }
    let wanted: BTreeSet<_> = layouts.iter().map(|layout| ObjectId::Artifact(layout.id)).collect();
    let lease = store.lease(&wanted.into_iter().collect::<Vec<_>>())?;
    let absent = absent(layouts, store)?;
    let all = absent.iter().map(|layout| layout.amount()).fold(Amount::default(), Amount::plus);
    progress.begin(Phase::Storing, all.files, all.bytes);
    let batch = store.batch()?;
    absent.par_iter().try_for_each(|layout| layout.add_to(&batch, progress))?;
    batch.commit()?;
    Ok((absent.len(), Some(lease)))
}

/// The layouts whose artifacts the store lacks, one for each artifact.
fn absent<'l, 'r>(
    layouts: &'l [ComponentLayout<'r>],
    store: &Store,
) -> Result<Vec<&'l ComponentLayout<'r>>, CommandError> {
    let once: BTreeMap<_, _> = layouts.iter().map(|layout| (layout.id, layout)).collect();
    let looked_for: Vec<_> = once
        .into_par_iter()
        .map(|(id, layout)| Ok(if store.contains(&ObjectId::Artifact(id))? { None } else { Some(layout) }))
        .collect::<Result<_, batou_store::Error>>()?;
    Ok(looked_for.into_iter().flatten().collect())
}

/// A component as it stands in its host's manifest, after those of `built` that it needs.
fn component(rendered: &Rendered, layout: &ComponentLayout<'_>, built: &BTreeSet<(&str, &str)>) -> Component {
    let units = rendered.units.iter();
    let is_built = |first: &&Instance| built.contains(&(first.host.as_str(), first.component.as_str()));
    Component {
        name: layout.artifact.name.clone(),
        artifact: layout.id,
        after: rendered.after.iter().filter(is_built).cloned().collect(),
        units: units.map(|declared| declared.unit.map_dependencies(|it| layout.digest(it))).collect(),
    }
}

#[cfg(test)]
mod tests;
