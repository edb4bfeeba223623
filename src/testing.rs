//! What the unit tests share: small artifacts, manifests and records in a store.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use batou_release::{Step, Unit};
use batou_store::{Artifact, ArtifactId, Durability, Mode, Name, Node, Store, Tree};

use crate::build::Built;
use crate::records::Record;
use batou_release::{Causes, Component, HostRelease, MANIFEST_FORMAT, Manifest, Release};

/// A writer that keeps what is written.
#[derive(Clone, Default)]
pub(crate) struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn store(folder: &Path) -> Store {
    Store::open(&folder.join("store"), Durability::Cache).unwrap()
}

/// An artifact of plain files; a content that begins with `->` makes a symlink.
pub(crate) fn artifact(store: &Store, name: &str, files: &[(&str, &[u8])]) -> ArtifactId {
    let batch = store.batch().unwrap();
    let mut tree = Tree::new();
    for (path, content) in files {
        let node = match content.strip_prefix(b"->") {
            Some(target) => Node::Symlink { target: String::from_utf8(target.to_vec()).unwrap() },
            None => batch.bytes(content, Mode::PLAIN).unwrap(),
        };
        tree.insert(Name::new(*path).unwrap(), node).unwrap();
    }
    let tree = batch.tree(&tree).unwrap();
    let artifact = Artifact { name: Name::new(name).unwrap(), tree, references: BTreeSet::new() };
    let id = batch.artifact(&artifact).unwrap();
    batch.commit().unwrap();
    id
}

pub(crate) fn step(name: &str, update: &str) -> Step {
    Step::updating(name, update)
}

pub(crate) fn component(name: &str, artifact: ArtifactId, steps: &[Step]) -> Component {
    Component {
        name: Name::new(name).unwrap(),
        artifact,
        after: BTreeSet::new(),
        units: steps.iter().cloned().map(Unit::Step).collect(),
    }
}

pub(crate) fn manifest(host: &str, components: Vec<Component>) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        project: "shop".to_owned(),
        environment: "prod".to_owned(),
        host: host.parse().unwrap(),
        components,
    }
}

/// The causes of one file.
pub(crate) fn causes(component: &str, path: &str, values: &[(&str, &str)]) -> Causes {
    let values = values.iter().map(|(cause, value)| ((*cause).to_owned(), (*value).to_owned())).collect();
    BTreeMap::from([(component.to_owned(), BTreeMap::from([(path.to_owned(), values)]))])
}

/// The record of a release of one host with these components.
pub(crate) fn record(components: Vec<Component>, keep: u32) -> Record {
    let manifest = manifest("web01", components);
    let release = Release {
        project: manifest.project.clone(),
        environment: manifest.environment.clone(),
        hosts: BTreeMap::from([(manifest.host.clone(), manifest.digest())]),
    };
    let name = manifest.host.clone();
    let hosts = BTreeMap::from([(name, HostRelease::new(manifest, Causes::new()))]);
    Record::of(&Built::new(release, hosts), keep)
}
