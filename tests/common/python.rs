//! The virtual environment with what tests compare with: batou 2 and Jinja2. `make python` makes it.

use std::path::{Path, PathBuf};

use super::{Lacking, left_out};

/// A program of the virtual environment; without it notes that `test` is left out.
pub(crate) fn python(program: &str, test: &str) -> Option<PathBuf> {
    // Of the workspace: this file is part of the tests of several of its crates.
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().take(2);
    let found =
        folders.map(|folder| folder.join("target/python")).find(|found| found.join("complete").exists());
    if found.is_none() {
        left_out(test, Lacking::Network);
    }
    Some(found?.join("bin").join(program))
}
