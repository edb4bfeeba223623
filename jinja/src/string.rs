//! Python's methods of texts that minijinja's `pycompat` lacks or does differently.

use minijinja::value::{Rest, Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::arguments::{Arguments, soft_text};
use crate::bound::{Growing, pay, pay_for_text};
use crate::{format, print, text};

/// Filters of the same names, which Jinja2 does not have.
pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_filter("split", |state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>| {
        split(state, &soft_text(state, value)?, &given.into_values(), false)
    });
    engine.add_filter("lines", |state: &State<'_, '_>, value: &Value| {
        splitlines(state, &soft_text(state, value)?, &[])
    });
}

/// `None` if the method is not one of these.
pub(crate) fn call(
    state: &mut State<'_, '_>,
    value: &str,
    method: &str,
    given: &[Value],
) -> Option<Result<Value, Error>> {
    Some(match method {
        "format" => format::method(state, value, given).map(Value::from),
        "replace" => replace(state, value, given),
        "join" => join(state, value, given),
        "split" | "rsplit" => split(state, value, given, method == "rsplit"),
        "splitlines" => splitlines(state, value, given),
        "partition" | "rpartition" => partition(value, given, method == "rpartition"),
        "startswith" | "endswith" | "find" | "rfind" | "index" | "rindex" | "count" => {
            search(state, value, method, given)
        }
        "removeprefix" | "removesuffix" => remove(value, given, method == "removeprefix"),
        "ljust" | "rjust" | "center" => justify(state, value, method, given),
        "zfill" => zfill(state, value, given),
        "expandtabs" => expandtabs(state, value, given),
        "title" | "swapcase" | "casefold" | "isidentifier" | "isprintable" | "istitle" | "isdecimal" => {
            plain(value, method, given)
        }
        _ => return None,
    })
}

fn plain(value: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    Arguments::bind(&[], given)?;
    Ok(match method {
        "title" => Value::from(title(value)),
        "swapcase" => Value::from(swapcase(value)),
        "casefold" => Value::from(value.to_lowercase().replace('ß', "ss")),
        "istitle" => Value::from(value.chars().any(char::is_alphabetic) && title(value) == value),
        "isprintable" => Value::from(value.chars().all(print::is_printable)),
        "isdecimal" => Value::from(!value.is_empty() && value.chars().all(|c| c.is_ascii_digit())),
        _ => Value::from(identifier(value)),
    })
}

/// Whether Python takes it for an identifier, except for letters that only Python counts.
fn identifier(value: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    value.chars().all(word) && value.starts_with(|c: char| !c.is_numeric())
}

/// Every run of letters begins with a capital, also after an apostrophe or a digit.
fn title(value: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(value.len());
    for c in value.chars() {
        match (c.is_alphabetic(), inside) {
            (true, true) => titled.extend(c.to_lowercase()),
            (true, false) => titled.extend(c.to_uppercase()),
            (false, _) => titled.push(c),
        }
        inside = c.is_alphabetic();
    }
    titled
}

fn swapcase(value: &str) -> String {
    let mut swapped = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_uppercase() {
            swapped.extend(c.to_lowercase());
        } else {
            swapped.extend(c.to_uppercase());
        }
    }
    swapped
}

fn replace(state: &mut State<'_, '_>, value: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["old", "new", "count"], given)?;
    let (old, new) = (arguments.required_text(0)?, arguments.required_text(1)?);
    let count = arguments.integer(2)?.unwrap_or(-1);
    state.apply_filter("replace", &[value.into(), old.into(), new.into(), count.into()])
}

fn join(state: &State<'_, '_>, value: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["iterable"], given)?;
    let mut joined = Growing::new(state);
    for (index, item) in arguments.required(0)?.try_iter()?.enumerate() {
        state.consume_fuel(1)?;
        if index > 0 {
            joined.push(value)?;
        }
        joined.push(&soft_text(state, &item)?)?;
    }
    Ok(Value::from(joined.finish()))
}

fn split(state: &State<'_, '_>, value: &str, given: &[Value], right: bool) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["sep", "maxsplit"], given)?;
    let most = arguments.integer(1)?.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    pay_for_text(state, value)?;
    let expected = match arguments.text(0)? {
        Some(separator) => value.matches(separator).take(most).count(),
        None => value.split_whitespace().take(most).count(),
    };
    pay(state, expected)?;
    let parts: Vec<&str> = match (arguments.text(0)?, right) {
        (Some(""), _) => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        (Some(separator), false) => value.splitn(most.saturating_add(1), separator).collect(),
        (Some(separator), true) => {
            let mut parts: Vec<&str> = value.rsplitn(most.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        (None, false) => split_blanks(value, most),
        (None, true) => rsplit_blanks(value, most),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn split_blanks(value: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).filter(|_| parts.len() < most).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    parts
}

fn rsplit_blanks(value: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = value.trim_end();
    while !rest.is_empty() {
        let blank = rest.char_indices().rfind(|(_, c)| c.is_whitespace()).filter(|_| parts.len() < most);
        let start = blank.map_or(0, |(at, c)| at + c.len_utf8());
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    parts.reverse();
    parts
}

fn splitlines(state: &State<'_, '_>, value: &str, given: &[Value]) -> Result<Value, Error> {
    let keep = Arguments::bind(&["keepends"], given)?.truth(0, false);
    let mut at = 0;
    pay_for_text(state, value)?;
    pay(state, text::lines(value).count())?;
    let lines = text::lines_with_ends(value).map(|(line, end)| {
        let start = at;
        at += line.len() + end;
        Value::from(if keep { &value[start..at] } else { line })
    });
    Ok(lines.collect())
}

fn partition(value: &str, given: &[Value], right: bool) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["sep"], given)?;
    let separator = arguments.required_text(0)?;
    if separator.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    let found = if right { value.rsplit_once(separator) } else { value.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if right => ["", "", value],
        None => [value, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// Looks for a text in a part of the value, with positions in characters.
fn search(state: &State<'_, '_>, value: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["sub", "start", "end"], given)?;
    let Some((part, skipped)) = part(value, arguments.integer(1)?, arguments.integer(2)?) else {
        return missing(method);
    };
    let wanted = arguments.required(0)?;
    if let "startswith" | "endswith" = method {
        return affix(state, part, wanted, method);
    }
    let wanted = arguments.required_text(0)?;
    let at = match method {
        "count" if wanted.is_empty() => return Ok(Value::from(part.chars().count() + 1)),
        "count" => return Ok(Value::from(part.matches(wanted).count())),
        "find" | "index" => part.find(wanted),
        _ => part.rfind(wanted),
    };
    at.map_or_else(|| missing(method), |at| Ok(Value::from(skipped + part[..at].chars().count())))
}

fn missing(method: &str) -> Result<Value, Error> {
    match method {
        "index" | "rindex" => Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
        "count" => Ok(Value::from(0)),
        "find" | "rfind" => Ok(Value::from(-1)),
        _ => Ok(Value::from(false)),
    }
}

/// A slice of a text, and how many characters are before it; `None` if it begins behind the end.
fn part(value: &str, start: Option<i64>, end: Option<i64>) -> Option<(&str, usize)> {
    let length = value.chars().count();
    let position = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let start = start.map_or(0, position);
    let end = end.map_or(length, position).min(length);
    if start > end {
        return None;
    }
    let byte = |position: usize| value.char_indices().nth(position).map_or(value.len(), |(at, _)| at);
    Some((&value[byte(start)..byte(end)], start))
}

fn affix(state: &State<'_, '_>, part: &str, wanted: &Value, method: &str) -> Result<Value, Error> {
    let matches = |wanted: &Value| match (wanted.as_str(), method) {
        (Some(wanted), "startswith") => Ok(part.starts_with(wanted)),
        (Some(wanted), _) => Ok(part.ends_with(wanted)),
        (None, _) => {
            let message = format!("`{method}` needs a string or a tuple of strings, not a {}", wanted.kind());
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
    };
    if matches!(wanted.kind(), ValueKind::Seq | ValueKind::Iterable) {
        for wanted in wanted.try_iter()? {
            state.consume_fuel(1)?;
            if matches(&wanted)? {
                return Ok(Value::from(true));
            }
        }
        return Ok(Value::from(false));
    }
    matches(wanted).map(Value::from)
}

fn remove(value: &str, given: &[Value], prefix: bool) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["affix"], given)?;
    let affix = arguments.required_text(0)?;
    let rest = if prefix { value.strip_prefix(affix) } else { value.strip_suffix(affix) };
    Ok(Value::from(rest.unwrap_or(value)))
}

fn justify(state: &State<'_, '_>, value: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["width", "fillchar"], given)?;
    arguments.required(0)?;
    let width = arguments.size(0)?.unwrap_or(0);
    let mut characters = arguments.text(1)?.unwrap_or(" ").chars();
    let (Some(fill), None) = (characters.next(), characters.next()) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "the fill must be exactly one character"));
    };
    if method == "center" {
        return text::centered(state, value, width, fill).map(Value::from);
    }
    let missing = width.saturating_sub(value.chars().count());
    let (left, right) = if method == "rjust" { (missing, 0) } else { (0, missing) };
    let mut justified = Growing::new(state);
    justified.fill(fill, left)?;
    justified.push(value)?;
    justified.fill(fill, right)?;
    Ok(Value::from(justified.finish()))
}

fn zfill(state: &State<'_, '_>, value: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["width"], given)?;
    arguments.required(0)?;
    let missing = arguments.size(0)?.unwrap_or(0).saturating_sub(value.chars().count());
    let (sign, digits) = value.split_at(usize::from(value.starts_with(['-', '+'])));
    let mut filled = Growing::new(state);
    filled.push(sign)?;
    filled.fill('0', missing)?;
    filled.push(digits)?;
    Ok(Value::from(filled.finish()))
}

fn expandtabs(state: &State<'_, '_>, value: &str, given: &[Value]) -> Result<Value, Error> {
    let size = Arguments::bind(&["tabsize"], given)?.size(0)?.unwrap_or(8);
    pay_for_text(state, value)?;
    let mut expanded = Growing::new(state);
    let mut column = 0;
    for c in value.chars() {
        match c {
            '\t' => {
                let missing = if size == 0 { 0 } else { size - column % size };
                expanded.fill(' ', missing)?;
                column += missing;
            }
            c => {
                expanded.fill(c, 1)?;
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(Value::from(expanded.finish()))
}
