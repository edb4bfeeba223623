//! Filters over lists, which take their arguments by position too, as in Jinja2, and refuse items that lack the
//! attribute which they look at; and `join`.

use std::borrow::Cow;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::arguments::{Arguments, soft_text};
use crate::bound::{Growing, items};
use crate::group::Group;
use crate::print;

pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_filter("sort", sort);
    engine.add_filter("dictsort", dictsort);
    engine.add_filter("unique", unique);
    engine.add_filter("min", min);
    engine.add_filter("max", max);
    engine.add_filter("groupby", groupby);
    engine.add_filter("sum", sum);
    engine.add_filter("selectattr", selectattr);
    engine.add_filter("rejectattr", rejectattr);
    engine.add_filter("join", join);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("string", soft_text);
}

fn sort(state: &State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["reverse", "case_sensitive", "attribute"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let value = having(state, value, arguments.value(2), true)?;
    minijinja::filters::sort(state, value, arguments.named(&names))
}

fn dictsort(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["case_sensitive", "by", "reverse"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    if let Some(by) = arguments.text(1)?.filter(|by| !["key", "value"].contains(by)) {
        let message = format!("`dictsort` sorts by \"key\" or \"value\", not by \"{by}\"");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    print::defined(value)?;
    state.consume_fuel(value.len().unwrap_or_default() as u64)?;
    let sorted = minijinja::filters::dictsort(value, arguments.named(&names))?;
    sorted.try_iter()?.map(|item| pair(&item)).collect::<Result<Vec<Value>, Error>>().map(Value::from)
}

/// A list of two as a tuple.
fn pair(value: &Value) -> Result<Value, Error> {
    let items: Vec<Value> = value.try_iter()?.collect();
    Ok(Value::from(minijinja::value::Tuple::from(items)))
}

fn unique(state: &State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["case_sensitive", "attribute"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let value = having(state, value, arguments.value(1), false)?;
    minijinja::filters::unique(state, value, arguments.named(&names))
}

fn min(state: &State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["case_sensitive", "attribute"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let value = having(state, value, arguments.value(1), false)?;
    minijinja::filters::min(state, value, arguments.named(&names))
}

fn max(state: &State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["case_sensitive", "attribute"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let value = having(state, value, arguments.value(1), false)?;
    minijinja::filters::max(state, value, arguments.named(&names))
}

fn default(value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let arguments = Arguments::bind(&["default_value", "boolean"], &given.into_values())?;
    if value.is_undefined() || (arguments.truth(1, false) && !value.is_true()) {
        return Ok(arguments.value(0).cloned().unwrap_or_else(|| Value::from("")));
    }
    print::valid(value.clone())
}

fn groupby(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["attribute", "default", "case_sensitive"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    print::defined(value)?;
    let attribute = arguments.value(0).filter(|_| arguments.value(1).is_none());
    let items = having(state, Value::from(items(state, value)?), attribute, false)?;
    let groups = minijinja::filters::groupby(items, None, arguments.named(&names))?;
    let groups = groups.try_iter()?.checked().map(|group| Ok(Value::from_object(Group::new(&group?)?)));
    groups.collect::<Result<Vec<Value>, Error>>().map(Value::from)
}

fn sum(state: &State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let names = ["attribute", "start"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let value = having(state, value, arguments.value(0), false)?;
    minijinja::filters::sum(state, value, None, None, arguments.named(&names))
}

/// Tests that an undefined value can pass or fail; the others need a value.
const OF_UNDEFINED: [&str; 14] = [
    "boolean",
    "callable",
    "defined",
    "false",
    "float",
    "integer",
    "mapping",
    "none",
    "number",
    "sameas",
    "sequence",
    "string",
    "true",
    "undefined",
];

fn selectattr(
    state: &mut State<'_, '_>,
    value: Value,
    attribute: &Value,
    test: Option<Cow<'_, str>>,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Vec<Value>, Error> {
    let value = tested(state, value, attribute, test.as_deref())?;
    let attribute = Cow::Owned(attribute.to_string());
    minijinja::filters::selectattr(state, value, attribute, test, arguments)
}

fn rejectattr(
    state: &mut State<'_, '_>,
    value: Value,
    attribute: &Value,
    test: Option<Cow<'_, str>>,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Vec<Value>, Error> {
    let value = tested(state, value, attribute, test.as_deref())?;
    let attribute = Cow::Owned(attribute.to_string());
    minijinja::filters::rejectattr(state, value, attribute, test, arguments)
}

fn tested(
    state: &State<'_, '_>,
    value: Value,
    attribute: &Value,
    test: Option<&str>,
) -> Result<Value, Error> {
    let tolerant = test.is_some_and(|test| OF_UNDEFINED.contains(&test));
    having(state, value, Some(attribute).filter(|_| !tolerant), false)
}

/// The items, each of which must have the attribute that a filter looks at: an item without it would silently be left
/// out, or stay where it is.
fn having(
    state: &State<'_, '_>,
    value: Value,
    attribute: Option<&Value>,
    several: bool,
) -> Result<Value, Error> {
    let Some(attribute) = attribute.filter(|path| !path.is_none()) else { return Ok(value) };
    print::defined(&value)?;
    let items = items(state, &value)?;
    let paths: Vec<Value> = match attribute.as_str() {
        Some(text) if several => text.split(',').map(|path| Value::from(path.trim())).collect(),
        _ => vec![attribute.clone()],
    };
    for (item, path) in items.iter().flat_map(|item| paths.iter().map(move |path| (item, path))) {
        let item = print::valid(item.clone())?;
        if at_path(&item, path)?.is_undefined() {
            let message = format!("an item of the list has no `{path}`");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    }
    Ok(Value::from(items))
}

/// As in Jinja2, but an undefined item is an error.
fn join(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = Arguments::bind(&["d", "attribute"], &given.into_values())?;
    print::defined(value)?;
    let between =
        arguments.value(0).map(|between| soft_text(state, between)).transpose()?.unwrap_or_default();
    let items = value.try_iter().map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("a {} cannot be joined", value.kind()))
    })?;
    let mut joined = Growing::new(state);
    for (index, item) in items.enumerate() {
        state.consume_fuel(1)?;
        if index > 0 {
            joined.push(&between)?;
        }
        let item = print::valid(item)?;
        let part = arguments.value(1).filter(|path| !path.is_none()).map(|path| at_path(&item, path));
        joined.push(&soft_text(state, &part.transpose()?.unwrap_or(item))?)?;
    }
    Ok(joined.finish())
}

/// The value at a path like `address.0.port`.
fn at_path(item: &Value, path: &Value) -> Result<Value, Error> {
    let Some(text) = path.as_str() else { return item.get_item(path) };
    text.split('.').try_fold(item.clone(), |value, part| match part.parse::<usize>() {
        Ok(index) if value.kind() != ValueKind::Map => value.get_item_by_index(index),
        _ => value.get_attr(part),
    })
}
