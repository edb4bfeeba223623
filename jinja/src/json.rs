//! The filter `tojson`, with Jinja2's settings: keys are sorted, and characters that are not ASCII or have a meaning
//! in HTML are escaped.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, State};

use crate::DEEPEST;
use crate::arguments::Arguments;
use crate::bound::{Growing, items, pay_for_text};
use crate::print;

pub(crate) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    given: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["indent"], &given.into_values())?;
    let indent = match arguments.value(0).and_then(Value::as_str) {
        Some(text) => Some(text.to_owned()),
        None => arguments.size(0)?.map(|width| print::spaces(state, width)).transpose()?,
    };
    let mut json = Json { state, out: Growing::new(state), indent };
    json.value(value, 0)?;
    Ok(Value::from_safe_string(json.out.finish()))
}

struct Json<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    out: Growing<'a, 'b, 'c>,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<String>,
}

impl Json<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            let message = format!("lists and maps nested deeper than {DEEPEST} cannot be written as JSON");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.out.push("null"),
            ValueKind::Bool => self.out.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push(&number(self.state, value)?),
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth),
            ValueKind::Map => self.map(value, depth),
            ValueKind::Undefined => print::defined(value),
            ValueKind::Invalid => print::valid(value.clone()).map(drop),
            _ => self.text(&print::text(self.state, value)?),
        }
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.out.push("[")?;
        let mut empty = true;
        for item in value.try_iter()? {
            self.part(empty, depth)?;
            self.value(&item, depth + 1)?;
            empty = false;
        }
        self.close(empty, depth, "]")
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys = items(self.state, value)?;
        keys.sort();
        self.out.push("{")?;
        for (index, key) in keys.iter().enumerate() {
            self.part(index == 0, depth)?;
            self.key(key)?;
            self.out.push(": ")?;
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.close(keys.is_empty(), depth, "}")
    }

    /// Keys are texts in JSON.
    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match key.kind() {
            ValueKind::None => self.text("null"),
            ValueKind::Bool => self.text(if key.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let number = number(self.state, key)?;
                self.text(&number)
            }
            _ => self.text(&print::text(self.state, key)?),
        }
    }

    /// Writes what comes before a part of a list or map.
    fn part(&mut self, first: bool, depth: usize) -> Result<(), Error> {
        if !first {
            self.out.push(if self.indent.is_some() { "," } else { ", " })?;
        }
        self.line(depth + 1)
    }

    fn close(&mut self, empty: bool, depth: usize, with: &str) -> Result<(), Error> {
        if !empty {
            self.line(depth)?;
        }
        self.out.push(with)
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        let Some(indent) = &self.indent else { return Ok(()) };
        self.out.push("\n")?;
        (0..depth).try_for_each(|_| self.out.push(indent))
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        pay_for_text(self.state, text)?;
        self.out.push("\"")?;
        for c in text.chars() {
            match c {
                '"' => self.out.push("\\\"")?,
                '\\' => self.out.push("\\\\")?,
                '\n' => self.out.push("\\n")?,
                '\r' => self.out.push("\\r")?,
                '\t' => self.out.push("\\t")?,
                '\u{8}' => self.out.push("\\b")?,
                '\u{c}' => self.out.push("\\f")?,
                '<' | '>' | '&' | '\'' | '\0'..='\u{1f}' | '\u{7f}'.. => self.escaped(c)?,
                c => self.out.fill(c, 1)?,
            }
        }
        self.out.push("\"")
    }

    fn escaped(&mut self, c: char) -> Result<(), Error> {
        c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| self.out.push(&format!("\\u{unit:04x}")))
    }
}

fn number(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    Ok(match print::text(state, value)?.as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        number => number.to_owned(),
    })
}
