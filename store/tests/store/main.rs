//! The store as its users see it: one file a subject.
#![allow(clippy::unwrap_used, missing_docs)]

mod archive;
mod batch;
mod common;
mod depot;
mod format;
mod gc;
mod generation;
mod import;
mod verify;
