//! From the files of a batou project to a checked, configured and rendered environment.
//!
//! The stages, a folder each, with types of their own, in the order in which data flows through them:
//!
//! 1. `text`, `template`, `file`: TOML as trees whose every value knows its place (raw);
//! 2. `project`, `component`, `starlark`: names, paths, types and patterns are valid, `inherits` is merged (checked);
//! 3. `model`: which component runs on which host, with which overrides, and who requires what from whom;
//! 4. `values`, `rounds`: every attribute and resource has its value (configured);
//! 5. `render`: bytes, modes, links and units ([`Rendered`]).
//!
//! Everything happens on the controller, and no host is asked. Mistakes are collected, not thrown: one
//! evaluation shows all of them, each with its place ([`Diagnostic`]).

mod component;
mod evaluate;
mod file;
mod model;
mod notes;
mod project;
mod render;
mod rounds;
mod starlark;
mod template;
mod text;
mod values;

pub use evaluate::{
    Evaluation, Options, Values, evaluate, evaluate_with_values, explain, former_host, policy,
};
pub use notes::Notes;
pub use project::facts::{FactsLock, HostFacts};
pub use project::host::Host;
pub use project::policy::{ConnectMethod, Policy};
pub use project::{NAME_HELP, Project, environment_names, is_project_name, project};
pub use render::{Content, Dependency, Entry, Rendered, RenderedUnit};
pub use starlark::{
    StarlarkEntry, StarlarkParameter, language as starlark_language, reference as starlark_reference,
};
pub use template::dns::{Dns, DnsError, Family, Offline};
pub use text::diagnostic::{Diagnostic, Diagnostics, Location, SetPlace, Severity, nearest};
pub use values::explain::{Explained, ExplainedEnvironment, Explanation, SetAt, Typed};
