//! Jinja2 for minijinja: what Jinja2 has and minijinja lacks, or does differently.
//!
//! minijinja reads and runs the language of Jinja2, but a template that was written for Jinja2 may still give another
//! text there, or none: filters are missing or take their arguments by name only, texts lack most of Python's
//! methods, and lists, maps, floats and `None` print as they do in Rust. [`add_to`] closes that gap:
//!
//! ```
//! let mut engine = minijinja::Environment::new();
//! batou_jinja::add_to(&mut engine);
//! let text = engine.render_str("{{ 'a,b'.split(',') }} {{ 'on %s' | format(none) }} {{ 1e16 | round(2, 'floor') }}", ())?;
//! assert_eq!(text, "['a', 'b'] on None 1e+16");
//! # Ok::<(), minijinja::Error>(())
//! ```
//!
//! How an engine treats undefined names, escapes texts, finds templates and ends lines remains the caller's choice.
//!
//! # Bounds
//!
//! A template of one line can make a text of many gigabytes (`'x'.ljust(10 ** 10)`), and minijinja charges fuel for a
//! value only once the value exists. The functions here therefore check first whether the remaining fuel would pay
//! for it. So an engine with fuel ([`minijinja::Environment::set_fuel`]) is bounded in memory too; one without is
//! not. Lists and maps are printed, and written as JSON, only up to a depth of [`DEEPEST`].
//!
//! # How it is tested
//!
//! `tests/templates` holds templates and what Jinja2 makes of them, which must be the same byte by byte.
//! `tests/it/different.rs` lists the differences that are intended.

mod arguments;
mod bound;
mod encode;
mod escape;
mod format;
mod functions;
mod group;
mod json;
mod list;
mod methods;
mod number;
mod print;
mod string;
mod text;
mod wrap;

pub use bound::DEEPEST;
pub use print::print;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

/// Adds everything to an engine: filters, tests, functions, methods and the formatter. It replaces whatever the
/// engine has under the same names, its formatter, and its callback for unknown methods.
pub fn add_to(engine: &mut Environment<'_>) {
    // First: most of what it adds is replaced below.
    minijinja_contrib::add_to_environment(engine);
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

/// As in Jinja2, anything that has a length and items, including texts and maps.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
}

/// Whether a loop can go over it: `None` is not iterable.
fn is_iterable(value: &Value) -> Result<bool, Error> {
    print::defined(value)?;
    Ok(!value.is_none() && value.try_iter().is_ok())
}
