//! How the types that batou adds to Starlark become data: each says it of itself, so that what converts values knows none
//! of them.

use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;

use crate::starlark::stop::Stop;

/// A value that is data, or would be.
pub(crate) trait AsData {
    /// The same for templates and resources. `what` names it in messages.
    fn as_data(&self, what: &str) -> Result<Data, Stop>;
}

/// What such a type provides in the interpreter's `provide`.
#[derive(ProvidesStaticType)]
pub(crate) struct Convertible<'v>(pub(crate) &'v dyn AsData);
