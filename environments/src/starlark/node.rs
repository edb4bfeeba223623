//! The arguments of a call as the table that component.toml would hold, each with its place.

use starlark::collections::SmallMap;
use starlark::values::dict::DictRef;
use starlark::values::float::StarlarkFloat;
use starlark::values::list::ListRef;
use starlark::values::structs::StructRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, UnpackValue, Value, ValueLike};

use crate::file::{self, ConfigNode, KeyValue, Table};
use crate::starlark::convert;
use crate::starlark::handle::ItemHandle;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::text::source::At;

/// The named arguments of a call; those that are `None` count as not given.
pub(crate) fn table<'v>(
    arguments: &SmallMap<String, Value<'v>>,
    site: &Site,
    heap: Heap<'v>,
) -> Result<Table, Stop> {
    let mut table = Table::new();
    for (name, value) in arguments {
        if value.is_none() {
            continue;
        }
        let at = site.value(name);
        let node = node(*value, name, &at, heap).map_err(|stop| stop.at(&at))?;
        table.insert(name.clone(), KeyValue { key: site.key(name), node });
    }
    Ok(table)
}

/// A value as a part of a file: strings may be templates, as in TOML.
pub(crate) fn node<'v>(value: Value<'v>, what: &str, at: &At, heap: Heap<'v>) -> Result<ConfigNode, Stop> {
    let data = if let Some(text) = value.unpack_str() {
        file::Data::String(text.to_owned())
    } else if let Some(flag) = value.unpack_bool() {
        file::Data::Boolean(flag)
    } else if let Some(float) = value.downcast_ref::<StarlarkFloat>() {
        file::Data::Float(float.0)
    } else if let Some(number) = integer(value) {
        file::Data::Integer(number)
    } else if let Some(handle) = value.downcast_ref::<ItemHandle>() {
        file::Data::String(handle.text())
    } else if let Some(list) = ListRef::from_value(value) {
        array(list.content(), what, at, heap)?
    } else if let Some(tuple) = TupleRef::from_value(value) {
        array(tuple.content(), what, at, heap)?
    } else if let Some(members) = members(value) {
        file::Data::Table(members_table(members, what, at, heap)?)
    } else {
        file::Data::Value(convert::data(value, what, heap)?)
    };
    Ok(ConfigNode { data, at: at.clone() })
}

fn integer(value: Value<'_>) -> Option<i64> {
    if value.get_type() != "int" {
        return None;
    }
    i64::unpack_value(value).ok().flatten()
}

fn array<'v>(items: &[Value<'v>], what: &str, at: &At, heap: Heap<'v>) -> Result<file::Data, Stop> {
    let items: Result<Vec<ConfigNode>, Stop> = items
        .iter()
        .enumerate()
        .map(|(index, item)| node(*item, &deeper(what, &format!("[{index}]"))?, at, heap))
        .collect();
    Ok(file::Data::Array(items?))
}

/// The name of a part for messages; refuses what holds itself.
fn deeper(what: &str, step: &str) -> Result<String, Stop> {
    const LONGEST: usize = 2000;
    if what.len() > LONGEST {
        let name = what.split(['[', '.']).next().unwrap_or(what);
        return Err(Stop::mistake(format!("`{name}` is nested too deeply")));
    }
    Ok(format!("{what}{step}"))
}

/// The members of a dict with names only, or of a struct.
fn members(value: Value<'_>) -> Option<Vec<(String, Value<'_>)>> {
    if let Some(dict) = DictRef::from_value(value) {
        return dict.iter().map(|(key, value)| Some((key.unpack_str()?.to_owned(), value))).collect();
    }
    let fields = StructRef::from_value(value)?;
    Some(fields.iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
}

fn members_table<'v>(
    members: Vec<(String, Value<'v>)>,
    what: &str,
    at: &At,
    heap: Heap<'v>,
) -> Result<Table, Stop> {
    let mut table = Table::new();
    for (name, value) in members {
        let node = node(value, &deeper(what, &format!(".{name}"))?, at, heap)?;
        table.insert(name, KeyValue { key: at.clone(), node });
    }
    Ok(table)
}
