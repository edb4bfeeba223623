//! What code can ask the evaluation around it, about the component on a host that it configures. It is all that
//! Starlark knows of the model.

use minijinja::value::Value as Data;

use crate::component::item::Caller;
use crate::starlark::stop::Stop;
use crate::template::address::{Address, NetLoc};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;

/// A component on a host, for the run of its `configure`. Whatever is asked for is noted as used.
pub(crate) trait Placement: Send + Sync {
    /// `host/component`, for messages.
    fn subject(&self) -> String;

    /// The platform of the host.
    fn platform(&self) -> Option<String>;

    /// What templates of the component see.
    fn scope(&self) -> Data;

    /// The value of one of the component's attributes; `None` if it has none of this name.
    fn attribute(&self, name: &str) -> Option<Result<Data, Stop>>;

    /// What others provide under a key, by host, component and order of declaration: on all hosts, or on one, which is
    /// named or is `same`. A value that cannot be computed yet is left out.
    fn provided(&self, key: &str, host: Option<&str>) -> Vec<Data>;

    /// The address of a location, as the environment requires addresses to be.
    fn address(&self, location: NetLoc) -> Address;

    /// The value of a text that may be a template.
    fn evaluate(&self, text: &str, at: &At, scope: &Data) -> Result<Data, Stop>;

    /// What a template file renders to, found as the caller means it. A mistake about a file that cannot be read has
    /// no place.
    fn render(&self, file: &str, caller: &Caller, scope: &Data) -> Result<String, Stop>;

    /// The diagnostic with the places that set the values that it is about.
    fn advised(&self, diagnostic: Diagnostic) -> Diagnostic;
}
