//! The end-to-end tests: one binary, so that the code they share is built once.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::format_collect)]

mod agent;
mod attack;
mod bad_input;
mod booted;
mod collecting;
mod common;
mod common_test;
mod connection;
mod crash;
mod deployers;
mod differing;
mod docs;
mod evaluation;
mod examples;
mod facts;
mod failure;
mod guard;
mod history;
mod imports;
mod json;
mod leaving_out;
mod local;
mod session_limits;
mod shop;
mod ssh;
mod steps;
mod style;
mod trust;
