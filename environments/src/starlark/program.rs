//! All Starlark code of a project, loaded and shared by all runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use starlark::values::OwnedFrozenValue;

use crate::starlark::definition::data::DefinitionData;
use crate::starlark::sources::SourceTexts;

/// The Starlark code of a project, loaded.
#[derive(Debug)]
pub(crate) struct StarlarkProgram {
    /// The project's folder.
    pub(crate) root: PathBuf,
    pub(crate) sources: Arc<SourceTexts>,
    /// By the number of the definition.
    pub(crate) functions: BTreeMap<usize, Functions>,
}

/// The code of a component or definition. It keeps the file's memory alive, so it must not lie in that memory: it is
/// kept apart from the values there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Functions {
    pub(crate) configure: Option<OwnedFrozenValue>,
    /// What is added on hosts of a platform.
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
