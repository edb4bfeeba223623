//! The component as code sees it: `c` in `configure`, and every sub-component.

pub(crate) mod configured;
mod methods;
mod provided;
mod value;

use std::sync::Arc;

use minijinja::value::Value as Data;
use starlark::environment::Methods;
use starlark::values::Demand;
use starlark::values::{Heap, StarlarkValue, Value, ValueLike, starlark_value};

use crate::component::declarations::LATER;
use crate::starlark::as_data::Convertible;
use crate::starlark::convert;
use crate::starlark::session::ConfigureSession;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::configured::{SubComponent, SubComponentOf};
use crate::starlark::subcomponent::provided::ProvidedSubComponent;
pub(crate) use methods::METHODS;
pub(crate) use value::SubComponentValue;

/// The built-in names of every component, which no attribute can take.
pub(crate) fn own_names() -> Vec<String> {
    let methods = METHODS.methods().documentation(starlark::typing::Ty::any());
    methods.members.keys().cloned().collect()
}

/// A sub-component that another component provides; `None` for other data.
pub(crate) fn adopt<'v>(data: &Data, session: &Arc<ConfigureSession>, heap: Heap<'v>) -> Option<Value<'v>> {
    let offered = data.downcast_object_ref::<ProvidedSubComponent>()?;
    let of = SubComponentOf::Definition(Arc::clone(&offered.kind));
    let (name, attributes) = (offered.name.clone(), offered.attributes.clone());
    Some(heap.alloc(SubComponentValue::new(SubComponent::new(session, of, name, &offered.at, attributes))))
}

#[starlark_value(type = "component")]
impl<'v> StarlarkValue<'v> for SubComponentValue {
    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(Convertible(self));
    }

    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let Some(value) = self.component.attribute(attribute) else {
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
        self.component.attribute_names()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other
            .downcast_ref::<SubComponentValue>()
            .is_some_and(|other| Arc::ptr_eq(&self.component, &other.component)))
    }

    fn add(&self, _rhs: Value<'v>, _heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let message = format!("nothing can be added to `{}` with `+`", self.component.shown());
        Some(Err(Stop::mistake(message).help("write c.add(Venv(\"py\"))").into()))
    }
}
