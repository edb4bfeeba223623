//! Why a host's files are as they are.

use std::collections::BTreeMap;

use crate::UnitKind;

/// Why a host's files are as they are: for each component and file, what it was rendered from, each with a short
/// digest of the value. Kept beside the manifest, not in it: a cause that changed nothing makes no new generation.
/// [`DECLARED_BY`] stands among them with the sub-component that declares the file, and so it does under [`unit_key`] for a
/// unit.
pub type Causes = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// Not a cause, which all have a word for their kind and one for their name: `Venv("py") > Package("zope")`.
pub const DECLARED_BY: &str = "by";

/// The key of a unit among a component's files, whose paths are relative.
pub fn unit_key(kind: UnitKind, name: &str) -> String {
    format!("/{kind}/{name}")
}
