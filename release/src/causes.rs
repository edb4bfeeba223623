//! Why a host's files are as they are.

use std::collections::BTreeMap;

/// Why a host's files are as they are: for each component and file, what it was rendered from, each with a short
/// digest of the value. Kept beside the manifest, not in it: a cause that changed nothing makes no new generation.
/// [`DECLARED_BY`] stands among them with the sub-component that declares the file, and so it does under [`step_key`] for a
/// step.
pub type Causes = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// Not a cause, which all have a word for their kind and one for their name: `Venv("py") > Package("zope")`.
pub const DECLARED_BY: &str = "by";

/// The key of a step among a component's files, whose paths are relative.
pub fn step_key(step: &str) -> String {
    format!("/step/{step}")
}
