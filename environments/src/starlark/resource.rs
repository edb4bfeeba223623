//! `c.provide`, `c.require` and `c.require_one`.

use minijinja::value::Value as Data;
use starlark::values::{Heap, Value};

use crate::component::item::{Item, ItemKind};
use crate::file::{self, ConfigNode, KeyValue, Table};
use crate::starlark::convert;
use crate::starlark::declare::Call;
use crate::starlark::phantom::Phantom;
use crate::starlark::session::RunMode;
use crate::starlark::stop::Stop;
use crate::text::source::At;

/// The arguments of `c.require`.
#[allow(clippy::struct_excessive_bools, reason = "as they are given")]
pub(crate) struct RequireCall<'a, 'v> {
    pub(crate) key: &'a str,
    pub(crate) host: Option<Value<'v>>,
    pub(crate) strict: bool,
    pub(crate) reverse: bool,
    pub(crate) dirty: bool,
    pub(crate) sort: Option<Value<'v>>,
    pub(crate) one: bool,
}

/// Offers a value.
pub(crate) fn provide<'v>(call: &Call<'_>, key: &str, value: Value<'v>, heap: Heap<'v>) -> Result<(), Stop> {
    let at = call.site.either(1, "value");
    let value = match call.component.session.mode {
        RunMode::Phantom => Data::from(()),
        RunMode::Normal => convert::data(value, "value", heap).map_err(|stop| stop.at(&at))?,
    };
    let mut table = Table::new();
    insert(&mut table, "key", file::Data::String(key.to_owned()), &call.site.either(0, "key"));
    insert(&mut table, "value", file::Data::Value(value), &at);
    push(call, ItemKind::Provide, table);
    Ok(())
}

/// Asks for values, and declares that they are needed.
pub(crate) fn require<'v>(
    call: &Call<'_>,
    wanted: &RequireCall<'_, 'v>,
    heap: Heap<'v>,
) -> Result<Vec<Value<'v>>, Stop> {
    let session = &call.component.session;
    let host_at = call.site.value("host");
    let host = wanted.host.filter(|host| !host.is_none());
    let host = host.map(|host| host_name(host).map_err(|stop| stop.at(&host_at))).transpose()?;
    push(call, ItemKind::Require, table(call, wanted, host.as_deref(), &host_at));
    let mut values = session.placement.provided(wanted.key, host.as_deref());
    if values.is_empty() && wanted.strict {
        return match session.mode {
            RunMode::Normal => Err(Stop::Waiting),
            RunMode::Phantom => Ok(vec![heap.alloc(Phantom)]),
        };
    }
    if wanted.one && values.len() > 1 {
        // Who they are is reported where requirements are matched.
        return Err(Stop::Waiting);
    }
    if let Some(field) = wanted.sort.filter(|sort| !sort.is_none()) {
        sort(&mut values, field, wanted.key).map_err(|stop| stop.at(&call.site.value("sort")))?;
    }
    values.iter().map(|value| convert::value(value, session, heap)).collect()
}

/// `host` of a requirement: a name, or one of `c.environment.hosts`.
fn host_name(host: Value<'_>) -> Result<String, Stop> {
    if let Some(name) = host.unpack_str() {
        return Ok(name.to_owned());
    }
    if host.get_type() == "namespace" {
        return Ok(host.to_str());
    }
    let message = format!("`host` must be a host's name, not `{}`", host.get_type());
    Err(Stop::mistake(message)
        .help("write host = \"same\", host = \"web01\", or give one of c.environment.hosts"))
}

fn table(call: &Call<'_>, wanted: &RequireCall<'_, '_>, host: Option<&str>, host_at: &At) -> Table {
    let mut table = Table::new();
    insert(&mut table, "key", file::Data::String(wanted.key.to_owned()), &call.site.either(0, "key"));
    if let Some(host) = host {
        insert(&mut table, "host", file::Data::String(host.to_owned()), host_at);
    }
    let flags = [
        ("one", wanted.one, false),
        ("strict", wanted.strict, true),
        ("reverse", wanted.reverse, false),
        ("dirty", wanted.dirty, false),
    ];
    for (name, given, default) in flags {
        if given != default {
            insert(&mut table, name, file::Data::Boolean(given), &call.site.value(name));
        }
    }
    table
}

fn sort(values: &mut [Data], field: Value<'_>, key: &str) -> Result<(), Stop> {
    let Some(field) = field.unpack_str() else {
        let message = format!("`sort` must be the name of a field, not `{}`", field.get_type());
        return Err(Stop::mistake(message).help("for another order use sorted(…, key = …)"));
    };
    let missing = |value: &Data| value.get_attr(field).map_or(true, |found| found.is_undefined());
    if values.iter().any(missing) {
        return Err(Stop::mistake(format!("not every value of `{key}` has a field `{field}` to sort by")));
    }
    values.sort_by_cached_key(|value| value.get_attr(field).unwrap_or_default());
    Ok(())
}

fn insert(table: &mut Table, name: &str, data: file::Data, at: &At) {
    let node = ConfigNode { data, at: at.clone() };
    table.insert(name.to_owned(), KeyValue { key: at.clone(), node });
}

fn push(call: &Call<'_>, kind: ItemKind, table: Table) {
    let by = call.component.caller();
    call.component.session.push(Item { kind, table, at: call.site.at.clone(), by });
}
