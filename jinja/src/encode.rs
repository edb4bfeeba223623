//! Filters that write values for other languages: `urlencode`, `xmlattr`, `escape`.

use std::fmt::Write as _;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::arguments::{Arguments, soft_text};
use crate::bound::{Growing, ensure, items, pay_for_text};
use crate::escape::escaped;
use crate::functions::pair;
use crate::json::tojson;
use crate::print;

pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_filter("tojson", tojson);
    engine.add_filter("urlencode", urlencode);
    engine.add_filter("xmlattr", xmlattr);
    engine.add_filter("escape", escape);
    engine.add_filter("e", escape);
    engine.add_filter("forceescape", forceescape);
}

/// Encodes a text, or pairs as the query of a URL.
fn urlencode(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    print::defined(value)?;
    let pairs = match value.kind() {
        ValueKind::Map => {
            let keys = items(state, value)?;
            keys.into_iter()
                .map(|key| Ok((key.clone(), value.get_item(&key)?)))
                .collect::<Result<Vec<_>, Error>>()?
        }
        ValueKind::Seq | ValueKind::Iterable => {
            items(state, value)?.iter().map(pair).collect::<Result<_, _>>()?
        }
        _ => return quoted(state, &soft_text(state, value)?, "_.-~/", false),
    };
    let mut query = Growing::new(state);
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            query.push("&")?;
        }
        query.push(&quoted(state, &soft_text(state, key)?, "_.-~", true)?)?;
        query.push("=")?;
        query.push(&quoted(state, &soft_text(state, value)?, "_.-~", true)?)?;
    }
    Ok(query.finish())
}

fn quoted(state: &State<'_, '_>, text: &str, safe: &str, plus: bool) -> Result<String, Error> {
    pay_for_text(state, text)?;
    ensure(state, text.len().saturating_mul(3))?;
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || safe.contains(c) => quoted.push(c),
            ' ' if plus => quoted.push('+'),
            _ => {
                let _ = write!(quoted, "%{byte:02X}");
            }
        }
    }
    Ok(quoted)
}

/// For HTML and XML; what is marked as safe stays.
fn escape(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.is_safe() { Ok(value.clone()) } else { forceescape(state, value) }
}

/// Escapes again what is marked as safe.
fn forceescape(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    Ok(Value::from_safe_string(escaped(state, &soft_text(state, value)?)?))
}

fn xmlattr(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = Arguments::bind(&["autospace"], &given.into_values())?;
    if value.kind() != ValueKind::Map {
        return Err(Error::new(ErrorKind::InvalidOperation, "`xmlattr` needs a map"));
    }
    let mut attributes = Growing::new(state);
    let mut before = if arguments.truth(0, true) { " " } else { "" };
    for key in items(state, value)? {
        let value = value.get_item(&key)?;
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let name = soft_text(state, &key)?;
        if name.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            let message = format!("`{name}` cannot be the name of an attribute");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let value = if value.is_safe() {
            soft_text(state, &value)?
        } else {
            escaped(state, &soft_text(state, &value)?)?
        };
        attributes.push(before)?;
        attributes.push(&format!("{}=\"{value}\"", escaped(state, &name)?))?;
        before = " ";
    }
    Ok(attributes.finish())
}
