//! Tests that prove nothing where they run, and why: the only reasons there are.
//!
//! A test that lacks anything else fails. So a machine without a tool cannot drop a proof silently: `make test` installs the
//! tools, and names what was left out. With `BATOU_TEST_COMPLETE` set, as `.ci/run` sets it for root, nothing may be.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;

/// What a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// The tests do not run as root, which this one needs, or which could have installed what it needs.
    Root,
    /// Nobody may trace system calls, as in some containers.
    Ptrace,
    /// No namespace can be made, or no file system mounted, as in some containers.
    Namespaces,
    /// `make python` has not been run, or reached no network.
    Network,
    /// Whoever runs the tests has said so: `BATOU_TEST_NO_BOOT`.
    Wish,
}

impl fmt::Display for Lacking {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Lacking::Root => "not root",
            Lacking::Ptrace => "system calls cannot be traced",
            Lacking::Namespaces => "no namespace can be made",
            Lacking::Network => "no network, or `make python` has not been run",
            Lacking::Wish => "BATOU_TEST_NO_BOOT is set",
        })
    }
}

/// Notes that `what` proves nothing here. `make test` names a file in `BATOU_TEST_LEFT_OUT` and shows it at its end, since
/// the output of a test that passes is hidden.
#[expect(clippy::print_stderr, reason = "a test's output is for whoever runs it")]
pub(crate) fn left_out(what: &str, lacking: Lacking) {
    let line = format!("left out: {what} ({lacking})\n");
    eprint!("{line}");
    assert!(std::env::var_os("BATOU_TEST_COMPLETE").is_none(), "nothing may be left out here: {line}");
    if let Some(path) = std::env::var_os("BATOU_TEST_LEFT_OUT") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
