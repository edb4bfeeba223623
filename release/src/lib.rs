//! What batou releases, as plain data: no engine of a user's language, no file and no connection.
//!
//! A [`Release`] names one [`Manifest`] a host. A manifest names the artifacts of the host's components and what is run
//! there ([`Step`]). The controller makes them, an agent carries them out, and both read what was written here.

mod causes;
mod fact;
mod instance;
mod manifest;
mod path;
mod release;
mod step;

pub use causes::{Causes, DECLARED_BY, step_key};
pub use fact::{Builtin, FactSource, FactSources, FactValue, Facts};
pub use instance::Instance;
pub use manifest::{Component, MANIFEST_FORMAT, Manifest, ManifestError, manifest_digest, step_fingerprint};
pub use path::{HostPath, HostPathError, ScriptPath};
pub use release::Release;
pub use step::{Assertions, Newer, STEP_TIMEOUT, Script, Step};
