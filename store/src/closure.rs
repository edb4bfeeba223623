//! Everything that artifacts need: the artifacts they refer to, their trees, and their files.

use std::collections::{BTreeSet, HashSet};

use crate::object::ObjectId;
use crate::{ArtifactId, Digest, Error};

/// A complete set of objects; each list has children before parents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The artifacts: the roots and all they refer to.
    pub artifacts: Vec<ArtifactId>,
    /// The trees of the artifacts, with all trees below them.
    pub trees: Vec<Digest>,
    /// The files' contents, sorted.
    pub blobs: BTreeSet<ObjectId>,
    /// How many bytes the trees and records have together.
    encodings: u64,
}

impl Closure {
    /// All objects, children before parents.
    pub fn objects(&self) -> Vec<ObjectId> {
        let trees = self.trees.iter().map(|digest| ObjectId::Tree(*digest));
        let artifacts = self.artifacts.iter().map(|id| ObjectId::Artifact(*id));
        self.blobs.iter().copied().chain(trees).chain(artifacts).collect()
    }

    /// The size of all objects together in bytes, each counted once.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().fold(self.encodings, |sum, blob| sum.saturating_add(blob.size()))
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
                Visit::Enter(blob @ ObjectId::Blob { .. }) => {
                    self.closure.blobs.insert(blob);
                }
                Visit::Enter(object) => {
                    let (children, length) = self.source.children(&object)?;
                    self.closure.encodings = self.closure.encodings.saturating_add(length);
                    stack.push(Visit::Leave(object));
                    self.enter(children, &mut stack);
                }
                Visit::Leave(ObjectId::Tree(digest)) => self.closure.trees.push(digest),
                Visit::Leave(ObjectId::Artifact(id)) => self.closure.artifacts.push(id),
                Visit::Leave(ObjectId::Blob { .. }) => {}
            }
        }
        Ok(())
    }

    /// Blobs go straight into the set, so that the stack only holds trees and artifacts.
    fn enter(&mut self, children: Vec<ObjectId>, stack: &mut Vec<Visit>) {
        for child in children {
            match child {
                ObjectId::Blob { .. } => drop(self.closure.blobs.insert(child)),
                _ => stack.push(Visit::Enter(child)),
            }
        }
    }

    pub(crate) fn finish(self) -> Closure {
        self.closure
    }
}
