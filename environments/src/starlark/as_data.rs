//! How the types that batou adds to Starlark become data. Each type converts itself, so that `convert` need not know
//! any of them.

use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;

use crate::starlark::stop::Stop;

/// A value of Starlark that can become data.
pub(crate) trait AsData {
    /// The value for templates and resources. `what` names it in messages.
    fn as_data(&self, what: &str) -> Result<Data, Stop>;
}

/// What such a type hands out in the interpreter's `provide`.
#[derive(ProvidesStaticType)]
pub(crate) struct Convertible<'v>(pub(crate) &'v dyn AsData);
