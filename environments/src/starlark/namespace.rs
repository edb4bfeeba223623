//! What templates see, for Starlark: the host, the environment, settings. A value is looked up when code asks for it, and
//! noted as used, as it is in templates.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::{Value as Data, ValueKind};
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::Demand;
use starlark::values::list::AllocList;
use starlark::values::{Heap, NoSerialize, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::starlark::as_data::{AsData, Convertible};
use crate::starlark::convert;
use crate::starlark::session::ConfigureSession;
use crate::starlark::stop::Stop;
use crate::template;
use crate::template::elsewhere::REPORTED;

/// A part of what templates see, such as `c.host`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Namespace {
    #[allocative(skip)]
    data: Data,
    #[allocative(skip)]
    session: Arc<ConfigureSession>,
    /// As it is written, for messages.
    name: String,
    /// Whether tables in it are looked up as well; else they become dicts.
    nested: bool,
}

starlark_simple_value!(Namespace);

impl Namespace {
    /// A part of a scope; what is in it is looked up as well if `nested`.
    pub(crate) fn new(data: Data, name: String, session: &Arc<ConfigureSession>, nested: bool) -> Namespace {
        Namespace { data, session: Arc::clone(session), name, nested }
    }

    fn find<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let found = self.data.get_attr(name).ok().filter(|found| !found.is_undefined())?;
        self.shown(&found, name, heap).map_err(|stop| self.session.note(stop)).ok()
    }

    fn shown<'v>(&self, found: &Data, name: &str, heap: Heap<'v>) -> Result<Value<'v>, Stop> {
        match found.kind() {
            ValueKind::Invalid => Err(invalid(found)),
            ValueKind::Map if self.nested => {
                let name = format!("{}.{name}", self.name);
                Ok(heap.alloc(Namespace::new(found.clone(), name, &self.session, true)))
            }
            ValueKind::Seq if self.nested => {
                let items = found.try_iter().map_err(|_| Stop::Reported)?;
                let items: Result<Vec<Value<'v>>, Stop> =
                    items.map(|item| self.shown(&item, name, heap)).collect();
                Ok(heap.alloc(AllocList(items?)))
            }
            _ => convert::value(found, &self.session, heap),
        }
    }

    fn names(&self) -> Vec<String> {
        self.data.try_iter().into_iter().flatten().map(|key| key.to_string()).collect()
    }
}

/// Why a value of a template is invalid. The engine says so only in the value's text.
pub(crate) fn invalid(found: &Data) -> Stop {
    let text = found.to_string();
    let text = text.strip_prefix("<invalid value: ").and_then(|text| text.strip_suffix('>')).unwrap_or(&text);
    let text = text.strip_prefix("invalid operation: ").unwrap_or(text);
    if text == REPORTED { Stop::Reported } else { Stop::mistake(text) }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.data.get_attr("name").ok();
        match name.as_ref().and_then(Data::as_str) {
            Some(name) => f.write_str(name),
            None => f.write_str("namespace"),
        }
    }
}

/// `c.host`, `c.environment` and `c.settings`, and what is in them: values by name, as `c.host.fqdn` or
/// `c.host.data["alias"]`. A `for` loop goes over the names.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The value of a name, or `default` where there is none.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.settings.get("nothing", "-")  # gives -
    /// ```
    fn get<'v>(
        this: &Namespace,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = pos)] default: Option<Value<'v>>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        Ok(this.find(name, heap).or(default).unwrap_or(Value::new_none()))
    }
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::namespace", methods);

impl AsData for Namespace {
    fn as_data(&self, _what: &str) -> Result<Data, Stop> {
        template::plain_value(self.data.clone()).map_err(|_| Stop::Reported)
    }
}

#[starlark_value(type = "namespace")]
impl<'v> StarlarkValue<'v> for Namespace {
    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(Convertible(self));
    }

    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        self.find(attribute, heap)
    }

    fn dir_attr(&self) -> Vec<String> {
        self.names()
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let found = index.unpack_str().and_then(|name| self.find(name, heap));
        found.ok_or_else(|| {
            let names = self.names();
            let near = index
                .unpack_str()
                .and_then(|name| crate::text::diagnostic::nearest(name, names.iter().map(String::as_str)));
            let stop = Stop::mistake(format!("`{}` has no {}", self.name, index.to_repr()));
            match near {
                Some(near) => stop.help(format!("did you mean \"{near}\"?")).into(),
                None => stop.into(),
            }
        })
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.unpack_str().is_some_and(|name| self.names().iter().any(|known| known == name)))
    }

    fn iterate_collect(&self, heap: Heap<'v>) -> starlark::Result<Vec<Value<'v>>> {
        Ok(self.names().into_iter().map(|name| heap.alloc(name)).collect())
    }

    fn length(&self) -> starlark::Result<i32> {
        Ok(i32::try_from(self.names().len()).unwrap_or(i32::MAX))
    }
}
