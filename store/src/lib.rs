//! A content-addressed store of files, trees and artifacts, with generations.
//!
//! Every object is named by the digest of its content ([`Digest`]). A [`Tree`] gives names to files and to other
//! trees; an [`Artifact`] is a tree with a name and references to the artifacts it needs. A [`Store`] keeps them all
//! below one folder, together with checkouts of the artifacts. Objects enter it in a [`Batch`], [`copy()`] and
//! [`send`] copy them from one store to another, and [`Generations`] records which artifacts are in force.
//! `store/README.md` describes the files on disk.
//!
//! The crate is synchronous, prints nothing, and never reads the process environment.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "the tests look at real files"))]

pub mod fs;

mod archive;
mod artifact;
mod batch;
mod checkout;
mod closure;
mod commit;
mod copy;
mod damage;
mod digest;
mod durable;
mod error;
mod frame;
mod gc;
mod generation;
mod index;
mod json;
mod layout;
mod lease;
mod lock;
mod look;
mod mark;
mod mode;
mod monitor;
mod name;
mod object;
mod path_text;
mod pending;
mod pipe;
mod placing;
mod problem;
mod read;
mod repair;
mod root;
mod scan;
mod size;
mod sources;
mod stats;
mod store;
mod tree;
mod verify;

pub use archive::{export, import_archive};
pub use artifact::{Artifact, ArtifactId, directory_name};
pub use batch::Batch;
pub use closure::Closure;
pub use copy::{Copied, Depot, Opened, copy, lacking, send};
pub use damage::Dropped;
pub use digest::{Digest, DigestError, FileHasher};
pub use error::Error;
pub use gc::Collected;
pub use generation::Generations;
pub use lease::Lease;
pub use lock::Lock;
pub use mode::{Mode, ModeError};
pub use monitor::{Monitor, Phase, Silent};
pub use name::{Name, NameError, RelPath};
pub use object::{ObjectId, ObjectKind};
pub use problem::{Fault, Problem, Remedy};
pub use read::ObjectReader;
pub use size::readable_size;
pub use sources::SourceHasher;
pub use store::{Durability, Store, files};
pub use tree::{Node, Tree, TreeError};
