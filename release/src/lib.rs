//! What batou releases, as plain data: no engine of a user's language, no file and no connection.
//!
//! A [`Release`] names one [`Manifest`] a host. A manifest names the artifacts of the host's components and what is
//! run there ([`Unit`]). The controller makes them and an agent carries them out, and both use the types of this
//! crate.

mod artifact_path;
mod causes;
mod fact;
mod format;
mod host;
mod host_release;
mod instance;
mod layout;
mod manifest;
mod path;
mod release;
mod unit;

pub use artifact_path::{ARTIFACT_TOKEN, artifact_mark, is_artifact_whole, show_artifact};
pub use causes::{Causes, DECLARED_BY, unit_key};
pub use fact::{Builtin, FactSource, FactSources, FactValue, Facts};
pub use format::{Format, FormatError};
pub use host::{HostName, HostNameError, Participant, Role};
pub use host_release::HostRelease;
pub use instance::Instance;
pub use layout::{HostLayout, HostLayoutError};
pub use manifest::{Component, MANIFEST_FORMAT, Manifest, manifest_digest};
pub use path::{HostPath, HostPathError, ScriptPath};
pub use release::Release;
pub use unit::{Assertions, Newer, STEP_TIMEOUT, Script, Step, Unit, UnitId, UnitKind};
