//! `json`, `yaml`, `toml` and `ini`: data as text. Members stand in the order in which they were made, so that the same
//! code gives the same bytes.

mod decoded;
mod ini;
mod yaml;

use minijinja::value::{Value as Data, ValueKind};
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::{Heap, Value};

use crate::starlark::context::CallContext;
use crate::starlark::convert;

use crate::starlark::stop::Stop;

#[starlark_module]
pub(crate) fn json(builder: &mut GlobalsBuilder) {
    /// A value as JSON. With `indent`, it has several lines, indented by that many spaces. Members keep their order,
    /// or are sorted with `sort_keys`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     json.encode({"port": 80, "on": True})  # gives {"port":80,"on":true}
    ///     json.encode({"b": 1, "a": [2]}, indent = 1, sort_keys = True)  # gives {\n "a": [\n  2\n ],\n "b": 1\n}
    /// ```
    fn encode<'v>(
        #[starlark(require = pos)] value: Value<'v>,
        #[starlark(require = named, default = 0)] indent: i32,
        #[starlark(require = named, default = false)] sort_keys: bool,
        heap: Heap<'v>,
    ) -> starlark::Result<String> {
        let json = json_of(&data(value, heap)?, sort_keys)?;
        let Some(indent) = usize::try_from(indent).ok().filter(|indent| (1..=16).contains(indent)) else {
            return Ok(json.to_string());
        };
        let spaces = " ".repeat(indent);
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&json, &mut serializer)
            .map_err(|error| Stop::mistake(format!("the value cannot be written as JSON: {error}")))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The value of a JSON text.
    ///
    /// ```starlark
    /// def configure(c):
    ///     json.decode("[1, true]")  # gives [1, True]
    /// ```
    fn decode<'v>(
        #[starlark(require = pos)] text: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        CallContext::of(eval)?;
        let json: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Stop::mistake(format!("the string is not JSON: {error}")))?;
        Ok(decoded::value(&json, eval.heap()))
    }
}

#[starlark_module]
pub(crate) fn yaml(builder: &mut GlobalsBuilder) {
    /// A value as YAML, in block style. Strings that YAML could take for something else are quoted.
    ///
    /// ```starlark
    /// def configure(c):
    ///     yaml.encode({"port": 80, "answer": "yes"})  # gives port: 80\nanswer: "yes"\n
    /// ```
    fn encode<'v>(#[starlark(require = pos)] value: Value<'v>, heap: Heap<'v>) -> starlark::Result<String> {
        Ok(self::yaml::encode(&json_of(&data(value, heap)?, false)?))
    }
}

#[starlark_module]
pub(crate) fn toml(builder: &mut GlobalsBuilder) {
    /// A dict as TOML. Tables come after plain values, as TOML demands.
    ///
    /// ```starlark
    /// def configure(c):
    ///     toml.encode({"port": 80})  # gives port = 80\n
    /// ```
    fn encode<'v>(#[starlark(require = pos)] value: Value<'v>, heap: Heap<'v>) -> starlark::Result<String> {
        let data = data(value, heap)?;
        if data.kind() != ValueKind::Map {
            return Err(Stop::mistake("a TOML document must be a dict").into());
        }
        let table = toml_of(&data, "value")?;
        ::toml::to_string(&table)
            .map_err(|error| Stop::mistake(format!("the value cannot be written as TOML: {error}")).into())
    }
}

#[starlark_module]
pub(crate) fn ini(builder: &mut GlobalsBuilder) {
    /// A dict of sections, each a dict, as INI: `{"main": {"port": 80}}`. A list becomes several lines; booleans are `true`
    /// and `false`; `None` leaves the key out.
    ///
    /// ```starlark
    /// def configure(c):
    ///     ini.encode({"main": {"port": 80, "on": True}})  # gives [main]\nport = 80\non = true\n
    /// ```
    fn encode<'v>(#[starlark(require = pos)] value: Value<'v>, heap: Heap<'v>) -> starlark::Result<String> {
        Ok(self::ini::encode(&json_of(&data(value, heap)?, false)?)?)
    }
}

/// Data as JSON; what JSON does not have becomes its text.
pub(crate) fn json_of(data: &Data, sort: bool) -> Result<serde_json::Value, Stop> {
    use serde_json::Value as Json;
    let failed = |_| Stop::Reported;
    Ok(match data.kind() {
        ValueKind::None | ValueKind::Undefined => Json::Null,
        ValueKind::Bool => Json::Bool(data.is_true()),
        ValueKind::Number => number(data)?,
        ValueKind::Seq | ValueKind::Iterable => {
            let items = data.try_iter().map_err(failed)?;
            Json::Array(items.map(|item| json_of(&item, sort)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let mut keys: Vec<Data> = data.try_iter().map_err(failed)?.collect();
            if sort {
                keys.sort();
            }
            let mut members = serde_json::Map::new();
            for key in keys {
                let value = data.get_item(&key).map_err(failed)?;
                if members.insert(key.to_string(), json_of(&value, sort)?).is_some() {
                    return Err(twice(&key));
                }
            }
            Json::Object(members)
        }
        _ => Json::String(data.to_string()),
    })
}

/// Two keys with the same text, `1` and `"1"` say.
fn twice(key: &Data) -> Stop {
    Stop::mistake(format!("two keys are written as `{key}`"))
        .help("keys are written as strings: choose another one")
}

fn number(data: &Data) -> Result<serde_json::Value, Stop> {
    if data.is_integer() {
        if let Ok(number) = i64::try_from(data.clone()) {
            return Ok(number.into());
        }
        if let Ok(number) = u64::try_from(data.clone()) {
            return Ok(number.into());
        }
    }
    let number = f64::try_from(data.clone()).unwrap_or(f64::NAN);
    let number = serde_json::Number::from_f64(number);
    number.map(Into::into).ok_or_else(|| Stop::mistake(format!("{data} cannot be written as a number")))
}

fn toml_of(data: &Data, path: &str) -> Result<::toml::Value, Stop> {
    use ::toml::Value as Toml;
    let refused = |what: &str| Stop::mistake(format!("`{path}` is {what}, which TOML does not have"));
    Ok(match data.kind() {
        ValueKind::None | ValueKind::Undefined => return Err(refused("None").help("leave the key out")),
        ValueKind::Bool => Toml::Boolean(data.is_true()),
        ValueKind::Number if data.is_integer() => {
            Toml::Integer(i64::try_from(data.clone()).map_err(|_| refused("larger than 64 bits"))?)
        }
        ValueKind::Number => Toml::Float(f64::try_from(data.clone()).unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = data.try_iter().map_err(|_| Stop::Reported)?.enumerate();
            Toml::Array(
                items
                    .map(|(index, item)| toml_of(&item, &format!("{path}[{index}]")))
                    .collect::<Result<_, _>>()?,
            )
        }
        ValueKind::Map => {
            let mut table = ::toml::Table::new();
            for key in data.try_iter().map_err(|_| Stop::Reported)? {
                let value = data.get_item(&key).map_err(|_| Stop::Reported)?;
                if table.insert(key.to_string(), toml_of(&value, &format!("{path}.{key}"))?).is_some() {
                    return Err(twice(&key));
                }
            }
            Toml::Table(table)
        }
        _ => Toml::String(data.to_string()),
    })
}

/// A value for the encoders.
fn data<'v>(value: Value<'v>, heap: Heap<'v>) -> starlark::Result<Data> {
    Ok(convert::data(value, "value", heap)?)
}
