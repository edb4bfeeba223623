//! Scripts in Python that answer with JSON.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a script makes of a value.
pub(crate) fn answer(python: &Path, script: &Path, given: &Value) -> Value {
    let mut program =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", script.display());
    serde_json::from_slice(&output.stdout).unwrap()
}
