//! Arguments by position or by name, as Python takes them.

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use crate::print;

/// The arguments of one call, in the order of their names; `None` where nothing was given.
pub(crate) struct Arguments(Vec<Option<Value>>);

impl Arguments {
    /// Assigns arguments to names. Too many arguments, and unknown ones, are errors.
    pub(crate) fn bind(names: &[&str], given: &[Value]) -> Result<Arguments, Error> {
        let (positional, keywords): (&[Value], Kwargs) = from_args(given)?;
        if positional.len() > names.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let mut values: Vec<Option<Value>> = positional.iter().cloned().map(Some).collect();
        for name in &names[positional.len()..] {
            values.push(if keywords.has(name) { Some(keywords.get::<Value>(name)?) } else { None });
        }
        keywords.assert_all_used()?;
        Ok(Arguments(values))
    }

    pub(crate) fn value(&self, index: usize) -> Option<&Value> {
        self.0.get(index)?.as_ref()
    }

    pub(crate) fn required(&self, index: usize) -> Result<&Value, Error> {
        self.value(index).ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    /// `None` for Python's `None` too.
    fn given(&self, index: usize) -> Option<&Value> {
        self.value(index).filter(|value| !value.is_none())
    }

    pub(crate) fn truth(&self, index: usize, default: bool) -> bool {
        self.value(index).map_or(default, Value::is_true)
    }

    pub(crate) fn integer(&self, index: usize) -> Result<Option<i64>, Error> {
        let Some(value) = self.given(index) else { return Ok(None) };
        if value.kind() == ValueKind::Bool {
            return Ok(Some(value.is_true().into()));
        }
        i64::try_from(value.clone()).map(Some)
    }

    /// Sizes below zero count as zero.
    pub(crate) fn size(&self, index: usize) -> Result<Option<usize>, Error> {
        Ok(self.integer(index)?.map(|size| usize::try_from(size).unwrap_or(0)))
    }

    /// A value that must already be a text.
    pub(crate) fn text(&self, index: usize) -> Result<Option<&str>, Error> {
        let Some(value) = self.given(index) else { return Ok(None) };
        match value.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a string is needed here, not a {}", value.kind()),
            )),
        }
    }

    pub(crate) fn required_text(&self, index: usize) -> Result<&str, Error> {
        self.text(index)?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    /// The arguments by name, for a filter of the engine that takes them by name only.
    pub(crate) fn named(&self, names: &[&str]) -> Kwargs {
        let given = names.iter().zip(&self.0);
        given
            .filter_map(|(name, value)| Some(((*name).to_owned(), attribute(name, value.clone()?))))
            .collect()
    }
}

/// The engine takes paths as texts, even if they are an index.
fn attribute(name: &str, value: Value) -> Value {
    if name == "attribute" && value.is_integer() { Value::from(value.to_string()) } else { value }
}

/// The value as the text that it prints as; an undefined one is an error.
pub(crate) fn soft_text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    print::defined(value)?;
    print::text(state, value)
}
