//! The store as its users see it: one file a subject.
// What a test has tried belongs in its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "most of the tests look at real files")]

mod archive;
mod batch;
mod common;
mod damage;
mod depot;
mod format;
mod gc;
mod generation;
mod power;
mod process;
mod sources;
mod verify;
