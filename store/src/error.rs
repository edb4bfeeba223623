//! What can go wrong. Every error names its subject and keeps its cause as `source()`.

use crate::readable_size;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::mode::ModeError;
use crate::name::NameError;
use crate::tree::TreeError;
use crate::{Digest, ObjectId};

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody keeps a lock of the store's.
    #[error(
        "another process has kept {} locked for {} s: `fuser {}` tells which; end it, or wait for it",
        path.display(),
        patience.as_secs(),
        path.display()
    )]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The folder holds something other than a store.
    #[error(
        "{} is not a store: it holds {found:?} and no file \"format\": move it away, or the link to it if it is behind one, \
         and a store is made in its place",
        path.display()
    )]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// A name that no store has.
        found: String,
    },
    /// The store's format file is unreadable.
    #[error(
        "{}: {found:?} does not name the format of a store: move away the folder that it is in",
        path.display()
    )]
    Format {
        /// The format file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The store was written by a newer program.
    #[error("{}: the store has format {found}, but this program only knows formats up to {known}: use a newer batou", path.display())]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// The store's version.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// An object is not in the store.
    #[error("{0} is not in the store")]
    Missing(ObjectId),
    /// A blob of that digest is not in the store, in any mode.
    #[error("blob {0} is not in the store")]
    MissingBlob(Digest),
    /// A parent was to be stored before its child.
    #[error("{parent} needs {child}, which is neither in the store nor in this batch")]
    MissingChild {
        /// What was to be stored.
        parent: ObjectId,
        /// What it needs.
        child: ObjectId,
    },
    /// A stored object is not what its name says.
    #[error("{} is damaged: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        fault: String,
    },
    /// What arrived is not what was announced.
    #[error("{object} was announced, but {found} arrived")]
    Mismatch {
        /// What was announced.
        object: String,
        /// What came, as digest or size.
        found: String,
    },
    /// A tree or artifact is not valid, or bytes do not encode one.
    #[error("{subject}")]
    Encoding {
        /// Which object.
        subject: String,
        /// Why not.
        source: TreeError,
    },
    /// A name or path is not valid.
    #[error("invalid name")]
    Name(#[from] NameError),
    /// A mode is not valid.
    #[error("invalid mode")]
    Mode(#[from] ModeError),
    /// The tree expands to more files than any release has.
    #[error("tree {tree} expands to more than {limit} files")]
    TooManyFiles {
        /// The tree at the top.
        tree: Digest,
        /// The limit.
        limit: usize,
    },
    /// Something is larger than its reader accepts.
    #[error("{subject} has {}, more than the {} allowed", readable_size(*size), readable_size(*limit))]
    TooLarge {
        /// What is too large.
        subject: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of a source folder cannot be stored.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Something that batou did not make is where it would write.
    #[error("{} was not made by batou: {reason}", path.display())]
    Foreign {
        /// What is there.
        path: PathBuf,
        /// How that shows.
        reason: &'static str,
    },
    /// Others are using the store, and gc needs it to itself.
    #[error("the store {} is in use by a running build or upload; try again when it is done", .0.display())]
    Busy(PathBuf),
    /// The generation does not exist.
    #[error("there is no generation {number} in {}", path.display())]
    NoGeneration {
        /// The folder of generations.
        path: PathBuf,
        /// Its number.
        number: u64,
    },
    /// The current generation cannot be removed.
    #[error("generation {0} is the current one and cannot be removed")]
    CurrentGeneration(u64),
    /// A file is not an archive of a store, or is damaged.
    #[error("the archive cannot be imported: {0}")]
    Archive(String),
    /// Reading or writing an archive, or an object in transit, failed.
    #[error("cannot {action} {subject}")]
    Stream {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        subject: String,
        /// The reader's or writer's answer.
        source: io::Error,
    },
    /// The other side of a copy ended early; its own error says why.
    #[error("the other side of the copy ended early")]
    PipeClosed,
    /// A depot on another machine failed.
    #[error(transparent)]
    Depot(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// For `map_err`: an I/O error with its verb and path.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// The kind of the I/O error below, if there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } | Self::Stream { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
    /// Whether the disk, or this user's share of it, has no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}
