//! What a declared file, folder, symlink or step is for the code that declared it.

use std::fmt;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::Demand;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::component::item::ItemKind;
use crate::starlark::as_data::{AsData, Convertible};
use crate::starlark::stop::Stop;

/// A declared item, as a value of Starlark.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct ItemHandle {
    #[allocative(skip)]
    pub(crate) kind: ItemKind,
    /// A path relative to the component; a step's name.
    pub(crate) name: String,
    /// The component's path on the host.
    pub(crate) component: String,
}

starlark_simple_value!(ItemHandle);

impl ItemHandle {
    /// The path on the host, which stays the same across releases; a step's name.
    pub(crate) fn text(&self) -> String {
        match self.kind {
            ItemKind::Unit(_) => self.name.clone(),
            _ => format!("{}/{}", self.component, self.name),
        }
    }
}

impl fmt::Display for ItemHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// What `c.file()`, `c.directory()`, `c.symlink()` and `c.step()` return. As a string, and where a string is wanted,
/// it is its path; in `triggers` it stands for the item itself.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The path on the host, which stays the same across releases: below `c.path`. A step has none.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.file("nginx.conf").path  # gives /srv/shop/current/app/nginx.conf
    /// ```
    #[starlark(attribute)]
    fn path(this: &ItemHandle) -> starlark::Result<String> {
        match this.kind {
            ItemKind::Unit(kind) => Err(Stop::mistake(format!("the {kind} `{}` has no path", this.name))
                .help(format!("a {kind} has a `name`"))
                .into()),
            _ => Ok(this.text()),
        }
    }

    /// The path relative to the component, as it was given; a step's name.
    #[starlark(attribute)]
    fn name(this: &ItemHandle) -> starlark::Result<String> {
        Ok(this.name.clone())
    }
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::handle", methods);

impl AsData for ItemHandle {
    fn as_data(&self, _what: &str) -> Result<Data, Stop> {
        Ok(Data::from(self.text()))
    }
}

#[starlark_value(type = "handle")]
impl<'v> StarlarkValue<'v> for ItemHandle {
    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(Convertible(self));
    }

    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        let same = |other: &ItemHandle| other.kind == self.kind && other.text() == self.text();
        Ok(other.downcast_ref::<ItemHandle>().is_some_and(same))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        std::hash::Hash::hash(&self.text(), hasher);
        Ok(())
    }
}
