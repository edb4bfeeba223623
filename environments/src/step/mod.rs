//! Steps as they are declared, and as they are rendered.

mod artifact;
mod check;
mod declaration;
mod rendered;
mod trigger;

pub(crate) use check::check;
pub(crate) use declaration::StepDeclaration;
pub use rendered::{Dependency, RenderedAssertions, RenderedScript, RenderedStep};
pub(crate) use trigger::Trigger;
