//! Source texts of the project, places in them, and the diagnostics shown there.

pub(crate) mod diagnostic;
pub(crate) mod name;
pub(crate) mod origin;
pub(crate) mod source;
