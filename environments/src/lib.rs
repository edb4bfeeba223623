//! From the files of a batou project to a checked, configured and rendered environment.
//!
//! The stages, each with types of its own, in the order in which data flows through them:
//!
//! 1. `file`: TOML as trees whose every value knows its place (raw);
//! 2. `environment`, `definition`: names, paths, types and patterns are valid, `inherits` is merged (checked);
//! 3. `resolve`: which component runs on which host, with which overrides;
//! 4. `configure`, `world`: requirements are matched, every attribute and resource has its value (configured);
//! 5. `render`: bytes, modes, links and steps ([`Rendered`]).
//!
//! Everything happens on the controller, and no host is asked. Mistakes are collected, not thrown: one
//! evaluation shows all of them, each with its place ([`Diagnostic`]).

mod address;
mod attribute;
mod catalog;
mod cause;
mod component;
mod configure;
mod definition;
mod diagnostic;
mod dns;
mod environment;
mod evaluate;
mod explain;
mod facts;
mod file;
mod graph;
mod host;
mod interface;
mod inventory;
mod layers;
mod name;
mod notes;
mod origin;
mod overlay;
mod overrides;
mod path;
mod pattern;
mod project;
mod raw;
mod render;
mod resolve;
mod scope;
mod settings;
mod settle;
mod source;
mod sources;
mod starlark;
mod step;
mod template;
mod templates;
mod world;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
pub use dns::{Dns, DnsError, Family, Offline};
pub use evaluate::{Evaluation, Options, Values, evaluate, evaluate_with_values, settings};
pub use explain::{Explained, Explanation, SetAt, Typed};
pub use facts::{FactsLock, HostFacts};
pub use host::Host;
pub use notes::Notes;
pub use project::{Project, environment_names, project};
pub use render::{Content, Entry, Rendered};
pub use settings::{ConnectMethod, Settings};
pub use starlark::{
    Entry as StarlarkEntry, Parameter as StarlarkParameter, language as starlark_language,
    reference as starlark_reference,
};
pub use step::{Dependency, RenderedAssertions, RenderedScript, RenderedStep};
