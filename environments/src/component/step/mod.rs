//! Steps as they are declared.

mod check;
pub(crate) mod declaration;
pub(crate) mod trigger;

pub(crate) use check::check;
pub(crate) use declaration::StepDeclaration;
pub(crate) use trigger::Trigger;
