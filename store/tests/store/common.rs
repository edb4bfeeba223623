//! Stores with something in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use batou_store::{Artifact, ArtifactId, Batch, Durability, Mode, Name, Node, Store, Tree};

/// A store in a folder of its own, which is removed with it.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Durability::Host)
    }

    pub(crate) fn with(durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), durability).unwrap();
        Self { folder, store }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.store.root().join(path)
    }
}

pub(crate) fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

/// Adds an artifact with a plain file, an executable one, a folder with a file, an empty folder and a link;
/// the content depends on `seed`.
pub(crate) fn add(batch: &Batch, label: &str, seed: &str, references: &[ArtifactId]) -> ArtifactId {
    let mut inner = Tree::new();
    inner.insert(name("deep"), batch.bytes(format!("deep {seed}").as_bytes(), Mode::PLAIN).unwrap()).unwrap();
    let inner = batch.tree(&inner).unwrap();
    let empty = batch.tree(&Tree::new()).unwrap();
    let mut tree = Tree::new();
    tree.insert(name("plain"), batch.bytes(format!("plain {seed}").as_bytes(), Mode::PLAIN).unwrap())
        .unwrap();
    tree.insert(name("run"), batch.bytes(format!("run {seed}").as_bytes(), Mode::EXECUTABLE).unwrap())
        .unwrap();
    tree.insert(name("etc"), Node::Directory { digest: inner }).unwrap();
    tree.insert(name("empty"), Node::Directory { digest: empty }).unwrap();
    tree.insert(name("link"), Node::Symlink { target: "../plain".to_owned() }).unwrap();
    let tree = batch.tree(&tree).unwrap();
    let references: BTreeSet<_> = references.iter().copied().collect();
    batch.artifact(&Artifact { name: name(label), tree, references }).unwrap()
}

/// An artifact of [`add`] in a batch of its own.
pub(crate) fn stored(store: &Store, label: &str, seed: &str, references: &[ArtifactId]) -> ArtifactId {
    let batch = store.batch().unwrap();
    let id = add(&batch, label, seed, references);
    batch.commit().unwrap();
    id
}

/// Where an artifact of the store is checked out.
pub(crate) fn checkout(store: &Store, id: &ArtifactId) -> PathBuf {
    store.artifact_path(id, &store.artifact(id).unwrap().name)
}

/// All paths below a folder, relative, sorted; folders included.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name();
    walk.into_iter()
        .map(|e| e.unwrap().path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned())
        .collect()
}
