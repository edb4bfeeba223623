//! Python's methods of texts, maps and lists.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::arguments::Arguments;
use crate::{print, string};

/// Methods that change a list or a map in Python. In a template, values do not change.
const CHANGING: [&str; 13] = [
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "popitem",
    "clear",
    "sort",
    "reverse",
    "update",
    "setdefault",
    "add",
    "discard",
];

/// Called for a method that the value itself does not have.
pub(crate) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    given: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => {
            if let Some(result) = string::call(state, text, method, given) {
                return result;
            }
        }
        (ValueKind::Map | ValueKind::Seq | ValueKind::Iterable, _) if CHANGING.contains(&method) => {
            return Err(unchangeable(value, method));
        }
        (ValueKind::Map | ValueKind::Seq | ValueKind::Iterable, _) if method == "copy" => {
            Arguments::bind(&[], given)?;
            return Ok(value.clone());
        }
        (ValueKind::Map, _) if method == "get" => return get(value, given),
        (ValueKind::Seq | ValueKind::Iterable, _) if method == "index" => return index(state, value, given),
        (ValueKind::Seq | ValueKind::Iterable, _) if method == "count" => return count(state, value, given),
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, given)
}

fn unchangeable(value: &Value, method: &str) -> Error {
    let instead = match (value.kind(), method) {
        (ValueKind::Map, "update" | "setdefault") => "make a new one: `{% set b = dict(a, key=1) %}`",
        (ValueKind::Map, _) => "make a new one with `dict()`",
        (_, "append" | "extend" | "insert") => "make a new one: `{% set b = a + [1] %}`",
        (_, "sort") => "make a new one: `a | sort`",
        (_, "reverse") => "make a new one: `a | reverse`",
        _ => "make a new one, with a slice or with `select` and `reject`",
    };
    let message =
        format!("`{method}` would change a value, and values do not change in a template: {instead}");
    Error::new(ErrorKind::InvalidOperation, message)
}

fn get(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["key", "default"], given)?;
    let found = value.get_item(arguments.required(0)?)?;
    if !found.is_undefined() {
        return Ok(found);
    }
    Ok(arguments.value(1).cloned().unwrap_or_else(|| Value::from(())))
}

fn count(state: &State<'_, '_>, value: &Value, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["value"], given)?;
    let wanted = arguments.required(0)?;
    let mut count = 0;
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        count += usize::from(print::valid(item)? == *wanted);
    }
    Ok(Value::from(count))
}

fn index(state: &State<'_, '_>, value: &Value, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["value"], given)?;
    let wanted = arguments.required(0)?;
    for (index, item) in value.try_iter()?.enumerate() {
        state.consume_fuel(1)?;
        if print::valid(item)? == *wanted {
            return Ok(Value::from(index));
        }
    }
    Err(Error::new(ErrorKind::InvalidOperation, format!("{wanted} is not in the list")))
}
