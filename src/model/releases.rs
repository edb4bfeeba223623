//! The releases of a history: what hosts are to have, and the objects of it in the controller's store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batou_release::{
    Assertions, Causes, Component, HostName, HostRelease, Instance, MANIFEST_FORMAT, Manifest, Release, Step,
    Unit,
};
use batou_store::{Artifact, Digest, Durability, Mode, Name, Store, Tree};

/// Where the controller's store is.
pub(super) const STORE: &str = "/home/me/store";

/// What all hosts are to have.
#[derive(Clone)]
pub(super) struct FleetRelease {
    pub(super) id: Digest,
    pub(super) hosts: BTreeMap<HostName, HostRelease>,
}

/// The host with this number.
pub(super) fn host(number: usize) -> HostName {
    format!("h{}", number + 1).parse().expect("a host's name")
}

/// The controller's store, opened as each command does.
pub(super) fn store() -> Arc<Store> {
    Arc::new(Store::open(Path::new(STORE), Durability::Cache).expect("the controller's disk is in order"))
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
pub(super) fn build(number: usize, hosts: usize, mood: Mood) -> FleetRelease {
    let names: Vec<_> = (0..hosts).map(host).collect();
    let db = Instance { host: names[0].clone(), component: name("db") };
    let releases: BTreeMap<_, _> = names
        .iter()
        .map(|host| {
            let mut components = Vec::new();
            if *host == db.host {
                components.push(component("db", number, Mood::Good, &[]));
            }
            let mood = if Some(host) == names.last() { mood } else { Mood::Good };
            components.push(component("app", number, mood, std::slice::from_ref(&db)));
            let manifest = Manifest {
                format: MANIFEST_FORMAT,
                project: "shop".into(),
                environment: "prod".into(),
                host: host.clone(),
                components,
            };
            (host.clone(), HostRelease::new(manifest, Causes::default()))
        })
        .collect();
    let digests = releases.iter().map(|(host, release)| (host.clone(), release.digest())).collect();
    let release = Release { project: "shop".into(), environment: "prod".into(), hosts: digests };
    FleetRelease { id: release.id(), hosts: releases }
}

fn component(text: &str, number: usize, mood: Mood, after: &[Instance]) -> Component {
    let store = store();
    let batch = store.batch().expect("a batch");
    let mut tree = Tree::new();
    let files = [
        ("number", format!("{number}\n")),
        ("same", format!("of {text}\n")),
        ("big", "x".repeat(3000 + number)),
    ];
    for (file, content) in files {
        let node = batch.bytes(content.as_bytes(), Mode::PLAIN).expect("a file");
        tree.insert(name(file), node).expect("another name");
    }
    let tree = batch.tree(&tree).expect("a tree");
    let artifact = Artifact { name: name(text), tree, references: [].into() };
    let artifact = batch.artifact(&artifact).expect("an artifact");
    batch.commit().expect("the controller's disk is in order");
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
        revert: Some("put nothing".into()),
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
    Component {
        name: name(text),
        artifact,
        after: after.iter().cloned().collect(),
        units: vec![Unit::Step(step)],
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
