//! Steps as they are declared.

mod check;
mod declaration;

pub(crate) use check::check;
pub(crate) use declaration::{NewerDeclaration, ScriptDeclaration, StepDeclaration, Verify};
