//! What Jinja2 has and minijinja has not, or has otherwise: filters, tests, Python's methods, and how values print.
//!
//! Templates come from batou 2, Ansible or Salt, whose authors know Jinja2. The corpus below tests/templates compares
//! with it, byte by byte. What makes a text here asks [`bound::ensure`] before it grows, so that nothing escapes the
//! bounds of the engine.

mod arguments;
mod bound;
mod encode;
mod format;
mod functions;
mod json;
mod list;
mod methods;
pub(crate) mod nesting;
mod number;
mod print;
mod string;
mod text;
mod wrap;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

/// Gives an engine all of it.
pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.set_formatter(print::print);
    engine.set_unknown_method_callback(methods::call);
    number::add_to(engine);
    list::add_to(engine);
    text::add_to(engine);
    functions::add_to(engine);
    string::add_to(engine);
    encode::add_to(engine);
    engine.add_filter("format", format::filter);
    engine.add_test("sequence", is_sequence);
    engine.add_test("iterable", is_iterable);
}

/// As in Jinja2, whatever has a length and items: texts and maps too.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
}

/// As a loop sees it: `None` is not.
fn is_iterable(value: &Value) -> Result<bool, Error> {
    print::defined(value)?;
    Ok(!value.is_none() && value.try_iter().is_ok())
}
