//! Everything that artifacts need: the artifacts they refer to, their trees, and their files.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{Error, ObjectId, ObjectKind};

/// A complete set of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The files' contents, sorted.
    pub blobs: BTreeSet<ObjectId>,
    /// The objects of each other kind, children before parents.
    encodings: BTreeMap<ObjectKind, Vec<ObjectId>>,
    /// How many bytes these have together.
    length: u64,
}

impl Closure {
    /// All objects, children before parents.
    pub fn objects(&self) -> Vec<ObjectId> {
        self.blobs.iter().chain(self.encodings.values().flatten()).copied().collect()
    }

    /// The objects of a kind, children before parents.
    pub(crate) fn of(&self, kind: ObjectKind) -> Vec<ObjectId> {
        match kind {
            ObjectKind::Blob => self.blobs.iter().copied().collect(),
            _ => self.encodings.get(&kind).cloned().unwrap_or_default(),
        }
    }

    /// The size of all objects together in bytes, each counted once.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().fold(self.length, |sum, blob| sum.saturating_add(blob.size()))
    }
}

/// Tells a walk which objects an object needs directly.
pub(crate) trait ObjectGraph {
    /// The object's children, and the length of its encoding.
    fn children(&self, object: &ObjectId) -> Result<(Vec<ObjectId>, u64), Error>;
}

/// Collects a closure by depth-first walks, one for each root that is added.
pub(crate) struct ClosureWalk<S> {
    source: S,
    seen: HashSet<ObjectId>,
    closure: Closure,
}

/// A depth-first walk enters an object before its children and leaves it after them.
enum Visit {
    Enter(ObjectId),
    Leave(ObjectId),
}

impl<S: ObjectGraph> ClosureWalk<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, seen: HashSet::new(), closure: Closure::default() }
    }

    /// Adds an object and everything it needs. The walk has a stack of its own, so a deep tree cannot exhaust the
    /// thread's.
    pub(crate) fn add(&mut self, root: ObjectId) -> Result<(), Error> {
        let mut stack = vec![Visit::Enter(root)];
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Enter(object) if !self.seen.insert(object) => {}
                Visit::Enter(blob) if blob.is_blob() => drop(self.closure.blobs.insert(blob)),
                Visit::Enter(object) => {
                    let (children, length) = self.source.children(&object)?;
                    self.closure.length = self.closure.length.saturating_add(length);
                    stack.push(Visit::Leave(object));
                    self.enter(children, &mut stack);
                }
                Visit::Leave(object) => {
                    self.closure.encodings.entry(object.kind()).or_default().push(object);
                }
            }
        }
        Ok(())
    }

    /// Blobs go straight into the set, so that the stack holds no leaves.
    fn enter(&mut self, children: Vec<ObjectId>, stack: &mut Vec<Visit>) {
        for child in children {
            if child.is_blob() {
                self.closure.blobs.insert(child);
            } else {
                stack.push(Visit::Enter(child));
            }
        }
    }

    pub(crate) fn finish(self) -> Closure {
        self.closure
    }
}
