//! A component that a file of Starlark declares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::component::attribute::AttributeDeclaration;
use crate::starlark::program::StarlarkProgram;
use crate::template::cause::UsedValues;
use crate::text::source::{At, Text};

/// What is known about it before it is placed on hosts.
#[derive(Debug)]
pub(crate) struct StarlarkComponent {
    pub(crate) name: String,
    /// Its file, as a path from the project's root.
    pub(crate) file: String,
    /// The folder of its file, relative to the project.
    pub(crate) folder: PathBuf,
    /// The call of `component()`, or the function `configure`.
    pub(crate) at: At,
    pub(crate) attributes: BTreeMap<String, AttributeDeclaration>,
    pub(crate) features: Vec<Text>,
    /// What the component is for.
    pub(crate) doc: Option<String>,
    /// The files that its code is made of, or has read while it was loaded, and their digests.
    pub(crate) causes: UsedValues,
    /// Finds its functions in the program.
    pub(crate) number: usize,
    pub(crate) program: Arc<StarlarkProgram>,
}
