//! The end-to-end tests: one binary, so that the code they share is built once.
#![allow(clippy::unwrap_used)]

mod booted;
mod common;
mod common_test;
mod crash;
mod deployers;
mod docs;
mod failure;
mod guard;
mod local;
mod shop;
mod ssh;
