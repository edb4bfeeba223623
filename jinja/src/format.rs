//! `'%s' | format(x)` and `'{}'.format(x)`: the engine formats numbers, and texts are padded by characters, not by
//! bytes.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State};

use crate::arguments::soft_text;
use crate::bound::{Growing, ensure};
use crate::{number, print};

/// Like Python's `%`.
pub(crate) fn filter(
    state: &State<'_, '_>,
    format: &Value,
    given: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let text = soft_text(state, format)?;
    let given = given.into_values();
    let (positional, named): (&[Value], Kwargs) = from_args(&given)?;
    let mut values = positional.iter();
    let mut next = || values.next().ok_or_else(|| wrong("there are fewer values than `%` in the format"));
    let mut out = Growing::new(state);
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        out.push(before)?;
        let (spec, after) = ConversionSpec::parse(after)?;
        rest = after;
        if spec.conversion == '%' {
            out.push("%")?;
            continue;
        }
        let width = if spec.width == "*" { next()?.to_string() } else { spec.width.to_owned() };
        let precision =
            if spec.precision == ".*" { format!(".{}", next()?) } else { spec.precision.to_owned() };
        let value = match spec.name {
            Some(name) => &named.get::<Value>(name)?,
            None => next()?,
        };
        spec.write(&mut out, state, value, &width, &precision)?;
    }
    out.push(rest)?;
    if values.next().is_some() {
        return Err(wrong("there are more values than `%` in the format"));
    }
    Ok(out.finish())
}

/// One conversion: `%(name)-10.3s`.
struct ConversionSpec<'a> {
    name: Option<&'a str>,
    flags: &'a str,
    width: &'a str,
    /// With its dot.
    precision: &'a str,
    conversion: char,
}

impl<'a> ConversionSpec<'a> {
    /// Reads what follows a `%`; returns what follows the conversion, too.
    fn parse(text: &'a str) -> Result<(ConversionSpec<'a>, &'a str), Error> {
        let (name, text) = match text.strip_prefix('(').and_then(|text| text.split_once(')')) {
            Some((name, text)) => (Some(name), text),
            None => (None, text),
        };
        let (flags, text) = taken(text, |c| "#0- +".contains(c));
        let (width, text) = taken(text, |c| c.is_ascii_digit() || c == '*');
        let (precision, text) = if text.starts_with('.') {
            taken(text, |c| c.is_ascii_digit() || ".*".contains(c))
        } else {
            ("", text)
        };
        let (_, text) = taken(text, |c| "hlL".contains(c));
        let mut rest = text.chars();
        let conversion = rest.next().ok_or_else(|| wrong("the format ends within a `%`"))?;
        Ok((ConversionSpec { name, flags, width, precision, conversion }, rest.as_str()))
    }

    fn write(
        &self,
        out: &mut Growing<'_, '_, '_>,
        state: &State<'_, '_>,
        value: &Value,
        width: &str,
        precision: &str,
    ) -> Result<(), Error> {
        print::defined(value)?;
        let size = |digits: &str| digits.parse().unwrap_or(usize::MAX);
        let text = match self.conversion {
            's' => print::text(state, value)?,
            'r' | 'a' => print::repr(state, value)?,
            conversion => {
                let sizes = [width.trim_start_matches('-'), precision.trim_start_matches('.')];
                let sizes = sizes.into_iter().filter(|digits| !digits.is_empty()).map(size);
                ensure(state, sizes.fold(0, usize::saturating_add))?;
                let known = if conversion == 'u' { 'd' } else { conversion };
                let spec = format!("%{}{width}{precision}{known}", self.flags);
                let whole = if "diu".contains(conversion) { number::truncated(value) } else { None };
                let value = whole.as_ref().unwrap_or(value);
                return out.push(&format(FormatStyle::Printf, &spec, std::slice::from_ref(value))?);
            }
        };
        let most = precision.strip_prefix('.').map_or(usize::MAX, |digits| digits.parse().unwrap_or(0));
        let shown: String = text.chars().take(most).collect();
        let left = self.flags.contains('-') || width.starts_with('-');
        let width = width.trim_start_matches('-');
        let width = if width.is_empty() { 0 } else { size(width) };
        padded(out, &shown, width, ' ', if left { '<' } else { '>' })
    }
}

/// Splits a text after its first characters that belong together.
fn taken(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn padded(
    out: &mut Growing<'_, '_, '_>,
    text: &str,
    width: usize,
    fill: char,
    align: char,
) -> Result<(), Error> {
    let missing = width.saturating_sub(text.chars().count());
    let left = match align {
        '>' => missing,
        '^' => missing / 2,
        _ => 0,
    };
    out.fill(fill, left)?;
    out.push(text)?;
    out.fill(fill, missing - left)
}

/// Like Python's `str.format()`.
pub(crate) fn method(state: &State<'_, '_>, text: &str, given: &[Value]) -> Result<String, Error> {
    let given: Vec<Value> = given.iter().map(|value| printed(state, value)).collect::<Result<_, _>>()?;
    let mut out = Growing::new(state);
    let mut automatic = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        out.push(before)?;
        if after.starts_with("{{") || after.starts_with("}}") {
            out.push(&after[..1])?;
            rest = &after[2..];
            continue;
        }
        let end = after
            .find('}')
            .filter(|end| *end > 0)
            .ok_or_else(|| wrong("there is a single `{` or `}` in the format"))?;
        let (name, spec) = after[1..end].split_once(':').unwrap_or((&after[1..end], ""));
        let name = if name.is_empty() || name.starts_with(['.', '[']) {
            automatic += 1;
            format!("{}{name}", automatic - 1)
        } else {
            name.to_owned()
        };
        field(&mut out, state, &name, spec, &given)?;
        rest = &after[end + 1..];
    }
    out.push(rest)?;
    Ok(out.finish())
}

fn field(
    out: &mut Growing<'_, '_, '_>,
    state: &State<'_, '_>,
    name: &str,
    spec: &str,
    given: &[Value],
) -> Result<(), Error> {
    let sizes = spec.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let sizes = sizes.map(|digits| digits.parse().unwrap_or(usize::MAX));
    ensure(state, sizes.fold(0, usize::saturating_add))?;
    let formatted = |spec: &str| format(FormatStyle::StrFormat, &format!("{{{name}{spec}}}"), given);
    let plain = formatted("")?;
    // Only a text can be anything but ASCII.
    match Padding::parse(spec).filter(|_| !plain.is_ascii()) {
        Some(padding) => {
            let shown: String = plain.chars().take(padding.precision).collect();
            padded(out, &shown, padding.width, padding.fill, padding.align)
        }
        None if spec.is_empty() => out.push(&plain),
        None => out.push(&formatted(&format!(":{spec}"))?),
    }
}

/// What the format of a text can say: `*^10.3s`.
struct Padding {
    fill: char,
    align: char,
    width: usize,
    precision: usize,
}

impl Padding {
    fn parse(spec: &str) -> Option<Padding> {
        let mut first = spec.chars();
        let (fill, align, rest) = match (first.next(), first.next()) {
            (Some(fill), Some(align)) if "<>^".contains(align) => (fill, align, first.as_str()),
            (Some(align), _) if "<>^".contains(align) => (' ', align, &spec[1..]),
            _ => (' ', '<', spec),
        };
        let (width, rest) = taken(rest, |c| c.is_ascii_digit());
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => taken(rest, |c| c.is_ascii_digit()),
            None => ("", rest),
        };
        if !matches!(rest, "" | "s") {
            return None;
        }
        let number =
            |digits: &str, absent| if digits.is_empty() { Some(absent) } else { digits.parse().ok() };
        Some(Padding { fill, align, width: number(width, 0)?, precision: number(precision, usize::MAX)? })
    }
}

/// Lists and tuples as they print, unless a part of them is asked for by its index.
fn printed(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    print::defined(value)?;
    match value.kind() {
        ValueKind::Number if !value.is_integer() => Ok(value.clone()),
        ValueKind::Iterable => print::text(state, value).map(Value::from),
        _ => print::valid(value.clone()),
    }
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
