//! What can be asked for, sent and received: a blob, a tree or an artifact's record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Artifact, ArtifactId, Digest, Mode, Node, Tree};

/// The longest encoding of a tree or artifact that is read, in bytes.
pub(crate) const MAX_ENCODING: u64 = 64 << 20;

/// One object of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectId {
    /// A file's content, with the permissions it is stored with (one inode each).
    Blob {
        /// Digest of the content.
        digest: Digest,
        /// Length in bytes.
        size: u64,
        /// Permissions.
        mode: Mode,
    },
    /// A tree.
    Tree(Digest),
    /// An artifact's record.
    Artifact(ArtifactId),
}

impl ObjectId {
    /// The object that a node in a tree needs; a symbolic link needs none.
    pub fn of_node(node: &Node) -> Option<Self> {
        match node {
            Node::File { digest, size, mode } => {
                Some(Self::Blob { digest: *digest, size: *size, mode: *mode })
            }
            Node::Directory { digest } => Some(Self::Tree(*digest)),
            Node::Symlink { .. } => None,
        }
    }

    /// Its size in bytes, as far as the id tells it: only a blob's does, so others have 0.
    pub fn size(&self) -> u64 {
        match self {
            Self::Blob { size, .. } => *size,
            Self::Tree(_) | Self::Artifact(_) => 0,
        }
    }

    /// The objects that a tree needs directly.
    pub(crate) fn below_tree(tree: &Tree) -> impl Iterator<Item = Self> + '_ {
        tree.iter().filter_map(|(_, node)| Self::of_node(node))
    }

    /// The objects that an artifact needs directly.
    pub(crate) fn below_artifact(artifact: &Artifact) -> impl Iterator<Item = Self> + '_ {
        artifact.references.iter().map(|id| Self::Artifact(*id)).chain([Self::Tree(artifact.tree)])
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { digest, mode, .. } => write!(f, "blob {} (mode {mode})", digest.short()),
            Self::Tree(digest) => write!(f, "tree {}", digest.short()),
            Self::Artifact(id) => write!(f, "artifact {}", id.short()),
        }
    }
}
