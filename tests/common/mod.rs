//! What the end-to-end tests stand on: a project folder to run the batou binary in, hosts to release to,
//! and a record of the system calls a run makes.
//!
//! There are two kinds of hosts. [`SshHosts`] are sshd processes of the current user on loopback: they
//! start in milliseconds, need no privileges and every test has its own. [`BootedHosts`] are whole Debian
//! systems, for what needs other users, a disk of its own or a cable to pull: they need root, and the
//! tests share one set of them.

mod booted_hosts;
mod left_out;
mod processes;
mod python;
mod sandbox;
mod schema;
mod ssh_hosts;
mod strace;
mod waiting;

pub(crate) use booted_hosts::BootedHosts;
pub(crate) use left_out::{Lacking, left_out};
pub(crate) use processes::{below, signal, with_argument};
pub(crate) use python::python;
pub(crate) use sandbox::{Output, Sandbox};
pub(crate) use schema::{types, validate};
pub(crate) use ssh_hosts::SshHosts;
pub(crate) use strace::{Call, Strace, parse};
pub(crate) use waiting::{found, until};

/// Says what a test has counted: how much a proof covers.
#[expect(clippy::print_stdout, reason = "a test's output is for whoever runs it")]
pub(crate) fn counted(text: &str) {
    println!("{text}");
}
