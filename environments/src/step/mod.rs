//! Steps as they are declared, and as they are rendered.

mod artifact;
mod check;
mod declaration;
mod trigger;

pub(crate) use artifact::BuiltArtifact;
pub use artifact::Describe;
pub(crate) use check::check;
pub(crate) use declaration::StepDeclaration;
pub(crate) use trigger::Trigger;
