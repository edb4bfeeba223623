//! A component or sub-component as a value of Starlark.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::NoSerialize;

use super::frame::{Frame, Offered, Stage};
use crate::starlark::as_data::AsData;
use crate::starlark::session::Session;
use crate::starlark::stop::Stop;

/// See the module.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Part {
    #[allocative(skip)]
    pub(super) frame: Arc<Frame>,
}

starlark_simple_value!(Part);

impl Part {
    pub(crate) fn new(frame: Arc<Frame>) -> Part {
        Part { frame }
    }

    /// The sub-component as a value for others, its attributes as they are here; `None` for the component itself.
    pub(crate) fn offered(&self) -> Result<Option<Data>, Stop> {
        let Some(kind) = self.frame.kind() else { return Ok(None) };
        if self.frame.stage() == Stage::Made {
            self.frame.set_stage(Stage::Provided);
        }
        let attributes = self.frame.arguments_for(kind)?;
        let Frame { name, at, .. } = self.frame.as_ref();
        let offered = Offered { kind: Arc::clone(kind), name: name.clone(), at: at.clone(), attributes };
        Ok(Some(Data::from_object(offered)))
    }

    pub(crate) fn frame(&self) -> &Arc<Frame> {
        &self.frame
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.frame.session
    }

    /// Only while `configure` of a component runs, it declares anything.
    pub(super) fn configuring(&self, what: &str) -> Result<&Arc<Frame>, Stop> {
        if self.frame.stage() == Stage::Configuring {
            return Ok(&self.frame);
        }
        let message = format!("{what}() of `{}` is called outside of its `configure`", self.frame.shown());
        Err(Stop::mistake(message)
            .help("declare it in the `configure` of its definition, or on the component that adds it"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.frame.shown())
    }
}

impl AsData for Part {
    fn as_data(&self, what: &str) -> Result<Data, Stop> {
        self.offered()?.ok_or_else(|| {
            Stop::mistake(format!("{what} is the component itself, which is no value"))
                .help("hand over its attributes, or a sub-component")
        })
    }
}
