//! All Starlark of a project, loaded: what runs share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use starlark::values::OwnedFrozenValue;

use crate::starlark::definition::data::DefinitionData;
use crate::starlark::sources::SourceTexts;

/// See the module.
#[derive(Debug)]
pub(crate) struct StarlarkProgram {
    /// The project's folder.
    pub(crate) root: PathBuf,
    pub(crate) sources: Arc<SourceTexts>,
    /// By the number of the definition.
    pub(crate) functions: BTreeMap<usize, Functions>,
}

/// The code of a component or definition. It is kept apart from its values: those lie in the file's memory, which this
/// keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Functions {
    pub(crate) configure: Option<OwnedFrozenValue>,
    /// What is done besides on hosts of a platform.
    pub(crate) platforms: BTreeMap<String, Platform>,
}

/// What a platform adds.
#[derive(Debug, Clone)]
pub(crate) enum Platform {
    /// Called with the component.
    Function(OwnedFrozenValue),
    /// Added to it.
    Definition(Arc<DefinitionData>),
}
