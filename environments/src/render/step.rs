//! A step whose texts are rendered, before it is known what the files are that it depends on.

use std::collections::BTreeMap;

use batou_release::{HostPath, Newer, ScriptPath};
use serde::{Deserialize, Serialize};

/// A step of a rendered component: [`batou_release::Step`] with what it depends on in place of digests of that. The
/// component's artifact is [`ARTIFACT_TOKEN`](batou_release::ARTIFACT_TOKEN) in all its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedStep {
    /// Unique within its component.
    pub name: String,
    /// The sub-components that declare it, as `Venv("py")`, from the outside to the inside; empty for the component's
    /// own.
    pub breadcrumb: Vec<String>,
    /// Succeeds when there is nothing to do.
    pub verify: Option<String>,
    /// Does it.
    pub update: Option<String>,
    /// Undoes it when the release is rolled back.
    pub revert: Option<String>,
    /// A rollback does not pass it.
    pub irreversible: bool,
    /// Seconds that each command may take.
    pub timeout: u64,
    /// Where the commands run; by default the component's state folder.
    pub directory: Option<String>,
    /// Added to the commands' environment.
    pub environment: BTreeMap<String, String>,
    /// Does it, in place of `update`.
    pub script: Option<RenderedScript>,
    /// What must hold besides the command of `verify`.
    pub assertions: RenderedAssertions,
    /// Nothing is run while this exists, and it must exist after the update.
    pub creates: Option<HostPath>,
    /// Nothing else is run while this command succeeds.
    pub unless: Option<String>,
    /// The step is skipped where this does not exist.
    pub only_if_path: Option<HostPath>,
    /// What the step depends on besides its own texts: by each trigger as declared.
    pub triggers: BTreeMap<String, Dependency>,
}

/// A file of the component that is run, without a shell. The step depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedScript {
    /// Of a file among the component's entries.
    pub path: ScriptPath,
    /// What it is called with.
    pub arguments: Vec<String>,
}

/// What a `verify` says besides its command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedAssertions {
    /// Exists.
    pub path: Option<HostPath>,
    /// Exists, and is not older than others.
    pub newer: Option<Newer>,
    /// As [`RenderedStep::triggers`]: the same as when the step last converged.
    pub unchanged: BTreeMap<String, Dependency>,
    /// Succeeds.
    pub script: Option<RenderedScript>,
}

/// What a trigger names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dependency {
    /// Paths of entries of the component, sorted: their content, mode and kind.
    Entries(Vec<String>),
    /// A value: 64 hex digits of its digest.
    Value(String),
}
