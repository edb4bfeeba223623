//! What agents report when they could not do what they were asked.

use serde::{Deserialize, Serialize};

use super::UnitRun;

/// Why an agent could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// A sentence that names its subject, and the causes below it.
    pub message: String,
    /// What was run for the unit that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<UnitRun>>,
}

/// What kind of failure an [`AgentError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The controller broke the protocol, or has another version.
    Protocol,
    /// The target directory holds the release of another project or environment.
    Foreign,
    /// The home directory is not the one that the configuration relies on.
    Home,
    /// Another release than expected is current.
    Moved,
    /// The lock is needed and not held.
    Unlocked,
    /// An object is damaged or missing.
    Damaged,
    /// The disk is full.
    Full,
    /// A unit could not be made to hold.
    Unit,
    /// Any other failure of the host.
    Host,
}
