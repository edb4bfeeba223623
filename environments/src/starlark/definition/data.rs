//! A definition: what its sub-components have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::component::attribute::AttributeDeclaration;
use crate::text::source::At;

/// What `definition()` declares, without its code.
#[derive(Debug)]
pub(crate) struct DefinitionData {
    /// Finds its functions in the program.
    pub(crate) number: usize,
    /// The global variable that it is assigned to first.
    pub(crate) name: OnceLock<String>,
    pub(crate) attributes: BTreeMap<String, AttributeDeclaration>,
    /// Relative to the project: where its files are; the library has none.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) at: At,
    pub(crate) doc: String,
}

impl DefinitionData {
    /// `Venv`
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or("definition", String::as_str)
    }

    /// `Venv("py")`
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}(\"{name}\")", self.name())
    }
}
