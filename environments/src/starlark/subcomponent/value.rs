//! A component or sub-component as a value of Starlark.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::NoSerialize;

use super::configured::{Stage, SubComponent};
use super::provided::ProvidedSubComponent;
use crate::starlark::as_data::AsData;
use crate::starlark::session::ConfigureSession;
use crate::starlark::stop::Stop;

/// A component or sub-component, as a value of Starlark.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct SubComponentValue {
    #[allocative(skip)]
    pub(super) component: Arc<SubComponent>,
}

starlark_simple_value!(SubComponentValue);

impl SubComponentValue {
    pub(crate) fn new(component: Arc<SubComponent>) -> SubComponentValue {
        SubComponentValue { component }
    }

    /// The sub-component as a value for others, with its attributes as they are here; `None` for the component itself.
    pub(crate) fn offered(&self) -> Result<Option<Data>, Stop> {
        let Some(kind) = self.component.kind() else { return Ok(None) };
        if self.component.stage() == Stage::Made {
            self.component.set_stage(Stage::Provided);
        }
        let attributes = self.component.arguments_for(kind)?;
        let SubComponent { name, at, .. } = self.component.as_ref();
        let offered =
            ProvidedSubComponent { kind: Arc::clone(kind), name: name.clone(), at: at.clone(), attributes };
        Ok(Some(Data::from_object(offered)))
    }

    pub(crate) fn component(&self) -> &Arc<SubComponent> {
        &self.component
    }

    pub(super) fn session(&self) -> &Arc<ConfigureSession> {
        &self.component.session
    }

    /// The component, if its `configure` is running: it can declare nothing at any other time.
    pub(super) fn configuring(&self, what: &str) -> Result<&Arc<SubComponent>, Stop> {
        if self.component.stage() == Stage::Configuring {
            return Ok(&self.component);
        }
        let message = format!("{what}() of `{}` is called outside its `configure`", self.component.shown());
        Err(Stop::mistake(message)
            .help("declare it in the `configure` of its definition, or on the component that adds it"))
    }
}

impl fmt::Display for SubComponentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.component.shown())
    }
}

impl AsData for SubComponentValue {
    fn as_data(&self, what: &str) -> Result<Data, Stop> {
        self.offered()?.ok_or_else(|| {
            Stop::mistake(format!("{what} is the component itself, which is not a value"))
                .help("give its attributes, or a sub-component")
        })
    }
}
