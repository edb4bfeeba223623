//! Nodes and trees: what a folder holds, by name and digest.
//!
//! A node has no name; the tree that holds it gives it one. The encoding of a tree is compact JSON with sorted names.
//! Decoding accepts only what encoding writes, so that each tree has exactly one digest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::json::json;
use crate::{Digest, Mode, Name};

/// The domain of trees' digests.
const CONTEXT: &str = "batou-store 2026-01 tree";
/// The longest target that `symlink` takes, in bytes.
const MAX_TARGET: usize = 4095;

/// What a name in a tree stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// A regular file.
    File {
        /// Digest of its content.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// Its permissions.
        mode: Mode,
    },
    /// A folder.
    Directory {
        /// Digest of the [`Tree`] it holds.
        digest: Digest,
    },
    /// A symbolic link, kept as it is.
    Symlink {
        /// What it points to: any path, not empty, without NUL.
        target: String,
    },
}

/// The content of one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<Name, Node>);

/// Why a node cannot be part of a tree, or bytes are not a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The name is taken.
    #[error("{0} occurs twice")]
    Duplicate(Name),
    /// No symbolic link can have this target.
    #[error("{0} cannot be a symbolic link to {1:?}, which is empty, too long or contains a NUL byte")]
    Target(Name, String),
    /// The bytes are not the JSON of a tree or artifact.
    #[error("not a canonical encoding")]
    Json(#[from] serde_json::Error),
    /// The bytes can be decoded, but encoding the result gives others.
    #[error("not a canonical encoding")]
    NotCanonical,
    /// An artifact's name leaves no room for its digest in a directory's name.
    #[error("the artifact name {0} is too long")]
    LongName(Name),
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node under a name that is still free.
    pub fn insert(&mut self, name: Name, node: Node) -> Result<(), TreeError> {
        check(&name, &node)?;
        match self.0.entry(name) {
            Entry::Occupied(taken) => Err(TreeError::Duplicate(taken.key().clone())),
            Entry::Vacant(free) => {
                free.insert(node);
                Ok(())
            }
        }
    }

    /// The node of that name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.0.get(name)
    }

    /// Names and nodes, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Node)> {
        self.0.iter()
    }

    /// How many nodes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        json(&self.0)
    }

    /// Decodes canonical bytes, and refuses any others.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let tree = Self(serde_json::from_slice(bytes)?);
        tree.0.iter().try_for_each(|(name, node)| check(name, node))?;
        if tree.encode() == bytes { Ok(tree) } else { Err(TreeError::NotCanonical) }
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Self::digest_of(&self.encode())
    }

    /// The digest of a tree that has these canonical bytes.
    pub(crate) fn digest_of(encoding: &[u8]) -> Digest {
        Digest::derive(CONTEXT, encoding)
    }
}

fn check(name: &Name, node: &Node) -> Result<(), TreeError> {
    match node {
        Node::Symlink { target }
            if target.is_empty() || target.len() > MAX_TARGET || target.contains('\0') =>
        {
            Err(TreeError::Target(name.clone(), target.chars().take(80).collect()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
