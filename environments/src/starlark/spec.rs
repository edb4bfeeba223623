//! `attribute()`, and the dict that declares a component's attributes.

use std::collections::BTreeMap;
use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::dict::DictRef;
use starlark::values::{Heap, NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};

use crate::component::attribute::{self, AttributeDeclaration};
use crate::file::{self, ConfigNode, KeyValue, Table};
use crate::starlark::node;
use crate::starlark::sources::SourceTexts;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::At;

/// What `attribute()` returns: the table that component.toml would hold.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct AttributeSpec {
    #[allocative(skip)]
    pub(crate) node: ConfigNode,
}

starlark_simple_value!(AttributeSpec);

impl fmt::Display for AttributeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attribute()")
    }
}

#[starlark_value(type = "attribute")]
#[allow(clippy::elidable_lifetime_names, reason = "the macro wants the name")]
impl<'v> StarlarkValue<'v> for AttributeSpec {}

/// `attributes = {…}`: names, and defaults or `attribute()`.
pub(crate) fn declarations<'v>(
    given: Value<'v>,
    at: &At,
    sources: &SourceTexts,
    problems: &mut Problems,
    heap: Heap<'v>,
) -> Result<BTreeMap<String, AttributeDeclaration>, Stop> {
    let mut declarations = BTreeMap::new();
    if given.is_none() {
        return Ok(declarations);
    }
    let Some(dict) = DictRef::from_value(given) else {
        let message = format!("`attributes` must be a dict, not `{}`", given.get_type());
        return Err(Stop::mistake(message).help("write attributes = {\"port\": 8080}").at(at));
    };
    let own = subcomponent::own_names();
    for (name, value) in dict.iter() {
        let Some(name) = name.unpack_str() else {
            let message =
                format!("the names of attributes must be strings, and {} is not one", name.to_repr());
            return Err(Stop::mistake(message).at(at));
        };
        let key = sources.name_in(at, name);
        if own.iter().any(|taken| taken == name) {
            let message = format!("`{name}` cannot be an attribute's name");
            let advice = format!("`c.{name}` is built in; choose another name");
            problems.push(Diagnostic::error(message).at(&key).help(advice));
            continue;
        }
        let node = declared(name, value, &key, heap).map_err(|stop| stop.at(&key))?;
        if let Some(declaration) = attribute::check(name, &key, &node, problems) {
            declarations.insert(name.to_owned(), declaration);
        }
    }
    Ok(declarations)
}

/// A default or an `attribute()` as TOML would say it. There, a table describes an attribute; here, a dict is a
/// default.
fn declared<'v>(name: &str, value: Value<'v>, at: &At, heap: Heap<'v>) -> Result<ConfigNode, Stop> {
    if let Some(spec) = value.downcast_ref::<AttributeSpec>() {
        return Ok(spec.node.clone());
    }
    if value.is_none() {
        let message = format!("the attribute `{name}` needs a default or a type");
        return Err(Stop::mistake(message).help("write attribute(\"str\") for one that must be set"));
    }
    let default = node::node(value, name, at, heap)?;
    Ok(match default.data {
        file::Data::Table(_) => {
            let mut table = Table::new();
            insert(
                &mut table,
                "type",
                ConfigNode { data: file::Data::String("dict".to_owned()), at: at.clone() },
            );
            insert(&mut table, "default", default);
            ConfigNode { data: file::Data::Table(table), at: at.clone() }
        }
        _ => default,
    })
}

/// Adds a key, with the place of its value.
pub(crate) fn insert(table: &mut Table, name: &str, node: ConfigNode) {
    table.insert(name.to_owned(), KeyValue { key: node.at.clone(), node });
}
