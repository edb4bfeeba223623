//! The component as code sees it: `c` in `configure`, and every sub-component.

pub(crate) mod frame;
mod methods;

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::environment::Methods;
use starlark::eval::Evaluator;
use starlark::starlark_simple_value;
use starlark::values::{Heap, NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};

use crate::component::definition::LATER;
use crate::starlark::convert;
use crate::starlark::declare::Call;
use crate::starlark::session::Session;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::frame::{Frame, Of, Offered, Stage};
pub(crate) use methods::METHODS;

/// See the module.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Part {
    #[allocative(skip)]
    frame: Arc<Frame>,
}

starlark_simple_value!(Part);

/// The names that every component has by itself, which no attribute can take.
pub(crate) fn own_names() -> Vec<String> {
    let methods = METHODS.methods().documentation(starlark::typing::Ty::any());
    methods.members.keys().cloned().collect()
}

impl Part {
    pub(crate) fn new(frame: Arc<Frame>) -> Part {
        Part { frame }
    }

    /// A sub-component that another component provides.
    pub(crate) fn adopted(offered: &Offered, session: &Arc<Session>) -> Part {
        let of = Of::Definition(Arc::clone(&offered.kind));
        let (name, attributes) = (offered.name.clone(), offered.attributes.clone());
        Part::new(Frame::new(session, of, name, &offered.at, attributes))
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

    fn session(&self) -> &Arc<Session> {
        &self.frame.session
    }

    /// Only while `configure` of a component runs, it declares anything.
    fn configuring(&self, what: &str) -> Result<&Arc<Frame>, Stop> {
        if self.frame.stage() == Stage::Configuring {
            return Ok(&self.frame);
        }
        let message = format!("{what}() of `{}` is called outside of its `configure`", self.frame.shown());
        Err(Stop::mistake(message)
            .help("declare it in the `configure` of its definition, or on the component that adds it"))
    }

    fn call(&self, name: &str, eval: &Evaluator<'_, '_, '_>) -> Result<Call<'_>, Stop> {
        let frame = self.configuring(name)?;
        Ok(Call { frame, site: Site::of(eval, frame.session.sources()) })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.frame.shown())
    }
}

#[starlark_value(type = "component")]
impl<'v> StarlarkValue<'v> for Part {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let Some(value) = self.frame.attribute(attribute) else {
            if LATER.contains(&attribute) {
                let stop = Stop::mistake(format!("`c.{attribute}` is not supported yet"));
                self.session().note(stop.help("remove it for now"));
            }
            return None;
        };
        let value = value.and_then(|data| convert::value(&data, self.session(), heap));
        value.map_err(|stop| self.session().note(stop)).ok()
    }

    fn dir_attr(&self) -> Vec<String> {
        self.frame.attribute_names()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Part>().is_some_and(|other| Arc::ptr_eq(&self.frame, &other.frame)))
    }

    fn add(&self, _rhs: Value<'v>, _heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let message = format!("nothing can be added to `{}` with `+`", self.frame.shown());
        Some(Err(Stop::mistake(message).help("write c.add(Venv(\"py\"))").into()))
    }
}
