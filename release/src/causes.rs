//! Why a host's files are as they are.

use std::collections::BTreeMap;

use crate::UnitKind;

/// Why a host's files are as they are: for each component and file, what it was rendered from, each with a short
/// digest of the value. They are kept beside the manifest, not in it, so that a cause which changed nothing makes no
/// new generation. Among a file's causes, [`DECLARED_BY`] is the sub-component that declares the file; the same is
/// there for each unit, under its [`unit_key`].
pub type Causes = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// The key of the sub-component that declares a file, as in `Venv("py") > Package("zope")`. It cannot be taken for a
/// cause, since those have two words: their kind and their name.
pub const DECLARED_BY: &str = "by";

/// The key of a unit among a component's files, whose paths are relative.
pub fn unit_key(kind: UnitKind, name: &str) -> String {
    format!("/{kind}/{name}")
}
