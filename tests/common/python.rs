//! The virtual environment with what tests compare with: batou 2 and Jinja2. `make python` makes it.

use std::path::{Path, PathBuf};

use super::{Lacking, left_out};

/// A program of the virtual environment; without it notes that `test` is left out.
pub(crate) fn python(program: &str, test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python");
    if folder.join("complete").exists() {
        return Some(folder.join("bin").join(program));
    }
    left_out(test, Lacking::Network);
    None
}
