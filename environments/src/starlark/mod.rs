//! `component.star`: components as code.
//!
//! A file is loaded once, with what it loads, and frozen; each run of a component's `configure` has values of its own
//! and gives items, exactly those that component.toml would give. Nothing that code can reach reads a clock, a random
//! number, the network or files outside of the project, so a run with the same answers gives the same items.
//!
//! Definitions and functions that files keep are found in the [`program::StarlarkProgram`] by number, so that values
//! in the memory of one file never hold values of another.

#![allow(
    clippy::unnecessary_wraps,
    clippy::too_many_arguments,
    reason = "functions that the interpreter calls give a Result, and take their arguments one by one"
)]
#![allow(unsafe_code, reason = "the derives of the interpreter's traits write it; none is written by hand")]

mod as_data;
mod builtins;
mod component;
mod configure;
mod context;
mod convert;
mod declare;
mod definition;
mod encode;
mod fields;
mod files;
mod handle;
mod hashing;
mod library;
mod limits;
mod loader;
mod namespace;
mod netloc;
mod node;
mod phantom;
mod placement;
mod places;
mod program;
mod project;
mod reference;
mod report;
mod resource;
mod run;
mod session;
mod site;
mod sources;
mod spec;
mod stop;
mod subcomponent;
mod syntax;
mod text;
mod trace;
mod wording;

pub(crate) use component::StarlarkComponent;
pub(crate) use limits::LARGEST;
pub(crate) use placement::Placement;
pub(crate) use project::load;
pub use reference::{StarlarkEntry, StarlarkParameter, language, reference};
pub(crate) use run::{ConfigureRun, run};
pub(crate) use session::RunMode;
pub(crate) use stop::Stop;
