//! The releases of a history: what hosts are to have, and the objects of it in the controller's store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batou_release::{
    Assertions, Causes, Component, HostName, HostRelease, Instance, MANIFEST_FORMAT, Manifest, Release, Step,
    Unit,
};
use batou_store::{Artifact, Digest, Error, Mode, Name, ObjectId, Silent, Store, Tree};

/// Where the controller's store is.
pub(super) const STORE: &str = "/home/me/store";

/// What all hosts are to have.
#[derive(Clone)]
pub(super) struct FleetRelease {
    pub(super) id: Digest,
    pub(super) hosts: BTreeMap<HostName, HostRelease>,
    number: usize,
    mood: Mood,
    /// Everything that a build of it makes.
    objects: Vec<ObjectId>,
}

impl FleetRelease {
    /// Builds it once more, as each command does. Where the machine has lost its power, what was damaged goes first: a real
    /// command does that when it meets it.
    pub(super) fn build_again(&self, store: &Store, lost_power: bool) -> Result<(), Error> {
        if lost_power {
            let artifacts: Vec<_> =
                self.hosts.values().flat_map(|release| release.manifest().artifacts()).collect();
            store.drop_damaged(&artifacts, &self.objects, &Silent)?;
        }
        build(self.number, self.hosts.len(), self.mood).map(drop)
    }
}

/// The host with this number.
pub(super) fn host(number: usize) -> HostName {
    format!("h{}", number + 1).parse().expect("a host's name")
}

/// The controller's store, opened as each command does.
pub(super) fn store() -> Result<Arc<Store>, Error> {
    Ok(Arc::new(Store::open_mended(Path::new(STORE))?.0))
}

/// What becomes of the steps of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Slow,
    Failing,
    Hanging,
}

/// The mood of a release of a seed: most are good, and the last ones always.
pub(super) fn mood(seed: u64, number: usize) -> Mood {
    match fastrand::Rng::with_seed(seed ^ (number as u64) << 32).u8(..20) {
        0 => Mood::Failing,
        1 => Mood::Hanging,
        2..4 => Mood::Slow,
        _ => Mood::Good,
    }
}

/// Builds a release: `db` on the first host, and `app` on each, which comes after `db`. Each has a few files, and a step
/// that leaves the release's number in the component's state.
pub(super) fn build(number: usize, hosts: usize, mood: Mood) -> Result<FleetRelease, Error> {
    let store = store()?;
    let names: Vec<_> = (0..hosts).map(host).collect();
    let db = Instance { host: names[0].clone(), component: name("db") };
    let mut releases = BTreeMap::new();
    for host in &names {
        let mut components = Vec::new();
        if *host == db.host {
            components.push(component(&store, "db", (number, Mood::Good), &[])?);
        }
        let mood = if Some(host) == names.last() { mood } else { Mood::Good };
        components.push(component(&store, "app", (number, mood), std::slice::from_ref(&db))?);
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            project: "shop".into(),
            environment: "prod".into(),
            host: host.clone(),
            components,
        };
        releases.insert(host.clone(), HostRelease::new(manifest, Causes::default()));
    }
    let digests = releases.iter().map(|(host, release)| (host.clone(), release.digest())).collect();
    let release = Release { project: "shop".into(), environment: "prod".into(), hosts: digests };
    let artifacts: Vec<_> = releases.values().flat_map(|release| release.manifest().artifacts()).collect();
    let objects = store.closure(&artifacts)?.objects();
    Ok(FleetRelease { id: release.id(), hosts: releases, number, mood, objects })
}

fn component(
    store: &Store,
    text: &str,
    (number, mood): (usize, Mood),
    after: &[Instance],
) -> Result<Component, Error> {
    let batch = store.batch()?;
    let mut tree = Tree::new();
    let files = [
        ("number", format!("{number}\n")),
        ("same", format!("of {text}\n")),
        ("big", "x".repeat(3000 + number)),
    ];
    for (file, content) in files {
        let node = batch.bytes(content.as_bytes(), Mode::PLAIN)?;
        tree.insert(name(file), node).expect("another name");
    }
    let tree = batch.tree(&tree)?;
    let artifact = Artifact { name: name(text), tree, references: [].into() };
    let artifact = batch.artifact(&artifact)?;
    batch.commit()?;
    let update = match mood {
        Mood::Good => format!("put {number}"),
        Mood::Slow => format!("sleep 7; put {number}; sleep 2"),
        Mood::Failing => format!("put {number}; fail"),
        Mood::Hanging => "sleep 100000".to_owned(),
    };
    let step = Step {
        name: "value".into(),
        verify: Some(format!("is {number}")),
        update: Some(update),
        revert: (mood != Mood::Slow).then(|| "put nothing".into()),
        irreversible: false,
        timeout: 50,
        directory: None,
        environment: BTreeMap::new(),
        script: None,
        assertions: Assertions::none(),
        creates: None,
        unless: None,
        only_if_path: None,
        triggers: BTreeMap::new(),
    };
    Ok(Component {
        name: name(text),
        artifact,
        after: after.iter().cloned().collect(),
        units: vec![Unit::Step(step)],
    })
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
