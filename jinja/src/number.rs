//! Numbers: `int`, `float`, `round`, `filesizeformat`.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind};

use crate::arguments::Arguments;
use crate::print;

pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_filter("int", int);
    engine.add_filter("float", float);
    engine.add_filter("round", round);
    engine.add_filter("filesizeformat", filesizeformat);
}

/// Anything that is not a number becomes the default.
fn int(value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    print::defined(value)?;
    let arguments = Arguments::bind(&["default", "base"], &given.into_values())?;
    let default = || arguments.value(0).cloned().unwrap_or_else(|| Value::from(0));
    let base = arguments.integer(1)?.unwrap_or(10);
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => as_float(value).and_then(whole).unwrap_or_else(default),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let number = parse_int(text, base).map(Value::from);
            number.or_else(|| parse_float(text).and_then(whole)).unwrap_or_else(default)
        }
        _ => default(),
    })
}

fn float(value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    print::defined(value)?;
    let arguments = Arguments::bind(&["default"], &given.into_values())?;
    let number = value.as_str().map_or_else(|| as_float(value), parse_float);
    Ok(number.map(Value::from).or_else(|| arguments.value(0).cloned()).unwrap_or_else(|| Value::from(0.0)))
}

/// A number or a truth value as a float, which may be less exact.
fn as_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        // The text is exact where the engine's own conversion refuses what a float cannot hold.
        ValueKind::Number => f64::try_from(value.clone()).ok().or_else(|| value.to_string().parse().ok()),
        _ => None,
    }
}

/// The float rounded to an integer, towards zero.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(float: f64) -> Option<Value> {
    (float.abs() < 1.7e38).then(|| Value::from(float.trunc() as i128))
}

/// The integer part of a float; `None` for anything else.
pub(crate) fn truncated(value: &Value) -> Option<Value> {
    let float = value.kind() == ValueKind::Number && !value.is_integer();
    as_float(value).filter(|_| float).and_then(whole)
}

/// Like Python's `float()`, which accepts blanks around a number, single underscores between digits, and the names
/// that Rust has for infinity.
fn parse_float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

fn without_underscores(text: &str) -> Option<String> {
    let mut before = None;
    let mut characters = text.chars().peekable();
    let mut plain = String::with_capacity(text.len());
    while let Some(c) = characters.next() {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        match c {
            '_' if digit(before) && digit(characters.peek().copied()) => {}
            '_' => return None,
            c => plain.push(c),
        }
        before = Some(c);
    }
    Some(plain)
}

/// Python's `int(text, base)`; base 0 reads the base from the prefix.
fn parse_int(text: &str, base: i64) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = digits.get(..2).and_then(|prefix| match prefix {
        "0x" | "0X" => Some(16),
        "0o" | "0O" => Some(8),
        "0b" | "0B" => Some(2),
        _ => None,
    });
    let (base, digits) = match (base, prefixed) {
        (0, Some(found)) => (found, &digits[2..]),
        (0, None) => (10, digits),
        (base, Some(found)) if base == i64::from(found) => (found, &digits[2..]),
        (base, _) => (u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?, digits),
    };
    let digits =
        without_underscores(digits.strip_prefix('_').filter(|_| prefixed.is_some()).unwrap_or(digits))?;
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    i128::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

/// Rounds as the engine does, except that `ceil` and `floor` make a float of an integer, because Jinja2 divides
/// there.
fn round(value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["precision", "method"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    print::defined(value)?;
    let directed = matches!(arguments.text(1)?, Some("ceil" | "floor"));
    let value = match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if directed => as_float(value).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    };
    minijinja::filters::round(value, None, None, arguments.named(&names))
}

const PREFIXES: [(&str, &str); 8] = [
    ("kB", "KiB"),
    ("MB", "MiB"),
    ("GB", "GiB"),
    ("TB", "TiB"),
    ("PB", "PiB"),
    ("EB", "EiB"),
    ("ZB", "ZiB"),
    ("YB", "YiB"),
];

fn filesizeformat(value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    print::defined(value)?;
    let arguments = Arguments::bind(&["binary"], &given.into_values())?;
    let binary = arguments.truth(0, false);
    let bytes = value.as_str().map_or_else(|| as_float(value), parse_float).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("`{value}` is not a size in bytes"))
    })?;
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    #[expect(clippy::float_cmp, reason = "exactly one byte")]
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{:.0} Bytes", bytes.trunc()));
    }
    let mut unit = base;
    let mut shown = PREFIXES[0];
    for prefix in PREFIXES {
        shown = prefix;
        unit *= base;
        if bytes < unit {
            break;
        }
    }
    let name = if binary { shown.1 } else { shown.0 };
    Ok(format!("{:.1} {name}", base * bytes / unit))
}
