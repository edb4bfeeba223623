//! Texts of the project, places in them, and the mistakes that are shown there.

pub(crate) mod diagnostic;
pub(crate) mod name;
pub(crate) mod operand;
pub(crate) mod source;
