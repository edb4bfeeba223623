//! The releases of a history: what hosts are to have, and the objects of it in the controller's store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batou_release::{
    Assertions, Causes, Component, HostName, HostRelease, Instance, MANIFEST_FORMAT, Manifest, Release, Step,
    Unit,
};
use batou_store::{Artifact, Digest, Error, Mode, Name, ObjectId, Silent, Store, Tree};

use super::plan::Shape;

/// Where the controller's store is.
pub(super) const STORE: &str = "/home/me/store";

/// What all hosts are to have.
#[derive(Clone)]
pub(super) struct FleetRelease {
    pub(super) id: Digest,
    pub(super) hosts: BTreeMap<HostName, HostRelease>,
    /// The release whose content each host gets.
    pub(super) contents: Vec<usize>,
    blueprint: Blueprint,
    /// Everything that a build of it makes.
    objects: Vec<ObjectId>,
}

impl FleetRelease {
    /// Whether its steps can be run.
    pub(super) fn is_good(&self) -> bool {
        let moods = self.contents.iter().map(|content| self.blueprint.mood(*content));
        moods.into_iter().all(|mood| matches!(mood, Mood::Good | Mood::Slow))
    }

    /// Builds it once more, as each command does. Where the machine has lost its power, what was damaged goes first: a real
    /// command does that when it meets it.
    pub(super) fn build_again(&self, store: &Store, lost_power: bool) -> Result<(), Error> {
        if lost_power {
            let artifacts: Vec<_> =
                self.hosts.values().flat_map(|release| release.manifest().artifacts()).collect();
            store.drop_damaged(&artifacts, &self.objects, &Silent)?;
        }
        build(self.blueprint).map(drop)
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
enum Mood {
    Good,
    Slow,
    Failing,
    Hanging,
}

/// From what a release is built.
#[derive(Clone, Copy)]
pub(super) struct Blueprint {
    pub(super) seed: u64,
    pub(super) number: usize,
    pub(super) hosts: usize,
    pub(super) shape: Shape,
    /// From this number on all is well.
    pub(super) good: usize,
}

impl Blueprint {
    /// The release whose content a host gets: this one's, or that of one before.
    fn content(self, host: usize) -> usize {
        let stays = |number: usize| {
            let mut random = fastrand::Rng::with_seed(self.seed ^ (number as u64) << 40);
            // One host at least gets something new.
            let new = random.usize(..self.hosts);
            let others: Vec<_> = (0..self.hosts).map(|_| random.bool()).collect();
            self.shape.stays && number != self.good && host != new && others[host]
        };
        (2..=self.number).rev().find(|number| !stays(*number)).unwrap_or(1)
    }

    /// The mood of what a release brings: most are good, and the last ones always.
    fn mood(self, content: usize) -> Mood {
        let number = fastrand::Rng::with_seed(self.seed ^ (content as u64) << 32).u8(..20);
        match number {
            _ if content >= self.good => Mood::Good,
            2.. if self.shape.slow => Mood::Slow,
            0 => Mood::Failing,
            1 => Mood::Hanging,
            2..4 => Mood::Slow,
            _ => Mood::Good,
        }
    }

    /// The step of what a release brings to a host, if it has one.
    fn step(self, (host, text): (usize, &str), content: usize) -> Option<Step> {
        let is_last = host + 1 == self.hosts;
        if self.shape.bare && is_last || text == "lib" {
            return None;
        }
        let mood = if is_last && text == "app" { self.mood(content) } else { Mood::Good };
        let stuck = self.shape.stuck && content < self.good && (content + host).is_multiple_of(2);
        Some(step(content, mood, stuck))
    }
}

/// Builds a release: `db` on the first host, and `app` on each, which comes after `db`. Each has a few files, and a step
/// that leaves the release's number in the component's state. Where the order is to go round, there is also a `lib`
/// without a step on each host, which comes after its `app`, and `top` on the first, after each `lib`.
pub(super) fn build(blueprint: Blueprint) -> Result<FleetRelease, Error> {
    let store = store()?;
    let names: Vec<_> = (0..blueprint.hosts).map(host).collect();
    let instance = |host: usize, text: &str| Instance { host: names[host].clone(), component: name(text) };
    let contents: Vec<_> = (0..blueprint.hosts).map(|host| blueprint.content(host)).collect();
    let mut releases = BTreeMap::new();
    for (place, host) in names.iter().enumerate() {
        let mut wanted = vec![("app", vec![instance(0, "db")])];
        if blueprint.shape.round {
            wanted.push(("lib", vec![instance(place, "app")]));
        }
        if place == 0 {
            wanted.insert(0, ("db", Vec::new()));
            if blueprint.shape.round {
                wanted.push(("top", (0..blueprint.hosts).map(|host| instance(host, "lib")).collect()));
            }
        }
        let content = contents[place];
        let make = |(text, after): (&str, Vec<Instance>)| {
            component(&store, (text, content), after, blueprint.step((place, text), content))
        };
        let components = wanted.into_iter().map(make).collect::<Result<_, _>>()?;
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
    Ok(FleetRelease { id: release.id(), hosts: releases, contents, blueprint, objects })
}

fn component(
    store: &Store,
    (text, number): (&str, usize),
    after: Vec<Instance>,
    step: Option<Step>,
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
    let units = step.into_iter().map(Unit::Step).collect();
    Ok(Component { name: name(text), artifact, after: after.into_iter().collect(), units })
}

fn step(number: usize, mood: Mood, stuck: bool) -> Step {
    let update = match mood {
        Mood::Good => format!("put {number}"),
        Mood::Slow => format!("sleep 7; put {number}; sleep 2"),
        Mood::Failing => format!("put {number}; fail"),
        Mood::Hanging => "sleep 100000".to_owned(),
    };
    let revert = if stuck { "fail" } else { "put nothing" };
    Step {
        name: "value".into(),
        verify: Some(format!("is {number}")),
        update: Some(update),
        revert: (mood != Mood::Slow).then(|| revert.into()),
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
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
