//! How values print: as Python's `str()` and, within lists and maps, `repr()`.

use std::fmt::Write as _;

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Error, ErrorKind, Output, State};

use crate::bound::{DEEPEST, Growing, ensure};
use crate::escape::escaped;
use crate::group::Group;

/// Writes a value into the template's output: an engine's formatter.
///
/// # Errors
///
/// If the value is undefined, or nested too deep.
pub fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match (value.as_str(), state.auto_escape()) {
        (Some(text), _) if value.is_safe() => out.write_str(text).map_err(Error::from),
        (Some(text), AutoEscape::None) => out.write_str(text).map_err(Error::from),
        (_, AutoEscape::Html) => out.write_str(&escaped(state, &text(state, value)?)?).map_err(Error::from),
        (None, AutoEscape::None) => out.write_str(&text(state, value)?).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// `str(value)`
pub(crate) fn text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    write(state, &mut out, value, 0)?;
    Ok(out)
}

/// `repr(value)`
pub(crate) fn repr(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(state, &mut out, value, 1)?;
    Ok(out)
}

/// Refuses an undefined value.
pub(crate) fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

/// The error that an invalid value carries.
pub(crate) fn valid(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Invalid {
        return Ok(value);
    }
    let checked = Value::from(vec![value]).try_iter()?.checked().next();
    checked.unwrap_or_else(|| Err(Error::from(ErrorKind::InvalidOperation)))
}

fn write(state: &State<'_, '_>, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("lists and maps nested deeper than {DEEPEST} cannot be printed"),
        ));
    }
    ensure(state, out.len())?;
    match value.kind() {
        ValueKind::Number if !value.is_integer() => write_float(out, value),
        ValueKind::String if depth > 0 => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => return write_list(state, out, value, depth),
        ValueKind::Map if value.as_object().is_some() => return write_map(state, out, value, depth),
        ValueKind::Undefined => out.push_str(if depth > 0 { "Undefined" } else { "" }),
        ValueKind::Invalid => return valid(value.clone()).map(drop),
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

fn write_list(state: &State<'_, '_>, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    let tuple = value.is_tuple() || value.downcast_object_ref::<Group>().is_some();
    let (open, close) = if tuple { ('(', ')') } else { ('[', ']') };
    out.push(open);
    let mut count = 0;
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        if count > 0 {
            out.push_str(", ");
        }
        write(state, out, &item, depth + 1)?;
        count += 1;
    }
    if count == 1 && value.is_tuple() {
        out.push(',');
    }
    out.push(close);
    Ok(())
}

fn write_map(state: &State<'_, '_>, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (index, key) in value.try_iter()?.enumerate() {
        state.consume_fuel(1)?;
        if index > 0 {
            out.push_str(", ");
        }
        write(state, out, &key, depth + 1)?;
        out.push_str(": ");
        write(state, out, &value.get_item(&key)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn write_float(out: &mut String, value: &Value) {
    match f64::try_from(value.clone()) {
        Ok(float) => out.push_str(&float_text(float)),
        Err(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

/// `repr()` of a float. Rust's shortest form has the same digits and limits as Python's, but writes exponents
/// differently.
pub(crate) fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    let text = format!("{float:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => write_code(out, u32::from(c)),
        }
    }
    out.push(quote);
}

/// A text of this many blanks.
pub(crate) fn spaces(state: &State<'_, '_>, count: usize) -> Result<String, Error> {
    let mut spaces = Growing::new(state);
    spaces.fill(' ', count)?;
    Ok(spaces.finish())
}

fn write_code(out: &mut String, code: u32) {
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Python's `str.isprintable()`, but for characters that Unicode has not assigned.
pub(crate) fn is_printable(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0001}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}
