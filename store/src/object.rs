//! The kinds of objects, and everything in which they differ.
//!
//! A blob is content that nobody here reads. Objects of all other kinds are encodings: they are read whole, their digests
//! have a domain of their own, and they name the objects that they need. The rest of the crate treats all of these alike,
//! apart from trees, which are checked out, and artifacts, which have checkouts.
//!
//! A further kind of encoding has a file for its data, like `tree.rs`, and its place in each `match` of this file.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::tree::TreeError;
use crate::{Artifact, ArtifactId, Digest, Mode, Node, Tree};

/// The version of what this program writes into a store: the kinds of objects, their encodings and domains, and the
/// layout of the folders. A change of any of them is a new version.
pub(crate) const VERSION: u64 = 1;
/// The longest encoding that is read, in bytes.
pub(crate) const MAX_ENCODING: u64 = 64 << 20;

/// One object of a store: what can be asked for, sent and received.
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

/// The kinds of objects, in this order: no object needs one of a later kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Contents of files.
    Blob,
    /// Trees.
    Tree,
    /// Artifacts' records.
    Artifact,
}

impl ObjectKind {
    /// All kinds, children before parents.
    pub const ALL: [Self; 3] = [Self::Blob, Self::Tree, Self::Artifact];

    /// What people call an object of this kind.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
            Self::Artifact => "artifact",
        }
    }

    /// The folder that holds the objects of this kind, and nothing else. `artifacts` is the folder of the checkouts.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Tree => "trees",
            Self::Artifact => "records",
        }
    }

    /// The digest that an object of this kind with these bytes has.
    pub(crate) fn digest_of(self, bytes: &[u8]) -> Digest {
        match self {
            Self::Blob => Digest::of(bytes),
            Self::Tree => Tree::digest_of(bytes),
            Self::Artifact => *Artifact::id_of(bytes).digest(),
        }
    }

    /// The object of this kind whose file has this name. A blob's size is not part of the name: 0 here.
    pub(crate) fn parse(self, name: &str) -> Option<ObjectId> {
        let digest = |digits: &str| digits.parse::<Digest>().ok();
        match self {
            Self::Blob => {
                let (digits, bits) = name.split_once('-')?;
                let mode = Mode::new(u32::from_str_radix(bits, 8).ok()?).ok()?;
                let canonical = format!("{:03o}", mode.bits()) == bits;
                digest(digits).filter(|_| canonical).map(|digest| ObjectId::Blob { digest, size: 0, mode })
            }
            Self::Tree => digest(name).map(ObjectId::Tree),
            Self::Artifact => digest(name).map(|digest| ObjectId::Artifact(digest.into())),
        }
    }
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

    /// Its kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Blob { .. } => ObjectKind::Blob,
            Self::Tree(_) => ObjectKind::Tree,
            Self::Artifact(_) => ObjectKind::Artifact,
        }
    }

    /// The digest of its bytes, in the domain of its kind.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Blob { digest, .. } | Self::Tree(digest) => digest,
            Self::Artifact(id) => id.digest(),
        }
    }

    /// Its size in bytes, if the id says it: a blob's does, and no other.
    pub fn stated_size(&self) -> Option<u64> {
        match self {
            Self::Blob { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// Its size in bytes as far as the id says it, else 0.
    pub fn size(&self) -> u64 {
        self.stated_size().unwrap_or(0)
    }

    pub(crate) fn is_blob(&self) -> bool {
        self.kind() == ObjectKind::Blob
    }

    /// The name of its file: `<digest>`, for a blob `<digest>-<mode>`.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Blob { digest, mode, .. } => format!("{digest}-{:03o}", mode.bits()),
            _ => self.digest().to_string(),
        }
    }

    /// The object as far as its file's name tells it: without a blob's size.
    pub(crate) fn without_size(self) -> Self {
        match self {
            Self::Blob { digest, mode, .. } => Self::Blob { digest, size: 0, mode },
            other => other,
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().noun(), self.digest().short())?;
        match self {
            Self::Blob { mode, .. } => write!(f, " (mode {mode})"),
            _ => Ok(()),
        }
    }
}

/// What an object's bytes say.
#[derive(Clone, Debug)]
pub(crate) enum DecodedObject {
    /// Nothing that matters here.
    Blob,
    Tree(Arc<Tree>),
    Artifact(Arc<Artifact>),
}

impl DecodedObject {
    /// Decodes canonical bytes, and refuses any others.
    pub(crate) fn decode(kind: ObjectKind, bytes: &[u8]) -> Result<Self, TreeError> {
        match kind {
            ObjectKind::Blob => Ok(Self::Blob),
            ObjectKind::Tree => Tree::decode(bytes).map(|tree| Self::Tree(Arc::new(tree))),
            ObjectKind::Artifact => Artifact::decode(bytes).map(|record| Self::Artifact(Arc::new(record))),
        }
    }

    /// The objects that it needs directly.
    pub(crate) fn children(&self) -> Vec<ObjectId> {
        match self {
            Self::Blob => Vec::new(),
            Self::Tree(tree) => tree.iter().filter_map(|(_, node)| ObjectId::of_node(node)).collect(),
            Self::Artifact(artifact) => {
                let references = artifact.references.iter().map(|id| ObjectId::Artifact(*id));
                references.chain([ObjectId::Tree(artifact.tree)]).collect()
            }
        }
    }
}
