//! The store as its users see it: one file a subject.
#![allow(clippy::unwrap_used, missing_docs)]

mod batch;
mod common;
mod depot;
