//! A step as it is declared.

use std::collections::BTreeMap;

use crate::component::unit::Trigger;
use crate::text::source::{At, Text};

/// `[[step]]`
#[derive(Debug)]
pub(crate) struct StepDeclaration {
    pub(crate) name: String,
    pub(crate) verify: Verify,
    pub(crate) update: Option<Text>,
    pub(crate) script: Option<ScriptDeclaration>,
    pub(crate) revert: Option<Text>,
    pub(crate) irreversible: bool,
    pub(crate) timeout: u64,
    pub(crate) directory: Option<Text>,
    pub(crate) environment: BTreeMap<String, Text>,
    pub(crate) creates: Option<Text>,
    pub(crate) unless: Option<Text>,
    pub(crate) only_if_path: Option<Text>,
    pub(crate) triggers: Vec<Trigger>,
}

/// `verify`, as a command or a table.
#[derive(Debug, Default)]
pub(crate) struct Verify {
    pub(crate) command: Option<Text>,
    pub(crate) script: Option<ScriptDeclaration>,
    pub(crate) path: Option<Text>,
    pub(crate) newer: Option<NewerDeclaration>,
    pub(crate) unchanged: Vec<Trigger>,
}

/// `newer` and `than`
#[derive(Debug)]
pub(crate) struct NewerDeclaration {
    pub(crate) path: Text,
    pub(crate) than: Vec<Text>,
}

/// `script` and `arguments`
#[derive(Debug)]
pub(crate) struct ScriptDeclaration {
    pub(crate) path: String,
    pub(crate) at: At,
    pub(crate) arguments: Vec<Text>,
}
