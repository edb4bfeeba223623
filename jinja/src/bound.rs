//! Bounds for texts that are made here: the engine charges for a result only once it exists, which may be too late.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind, State};

/// How deep lists and maps may be nested in a value that is printed or written as JSON: far deeper than any template
/// needs, and shallow enough for the stack of any thread.
pub const DEEPEST: usize = 100;

/// How many bytes one unit of fuel pays for.
const BYTES: u64 = 64;

/// Refuses to make a text that the remaining fuel would not pay for.
pub(crate) fn ensure(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    match state.fuel_levels() {
        Some((_, left)) if bytes as u64 / BYTES >= left => Err(Error::from(ErrorKind::OutOfFuel)),
        _ => Ok(()),
    }
}

/// The items of a list, each paid for: a list may be far longer than the text that makes it, as a range is.
pub(crate) fn items(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    for item in value.try_iter()?.checked() {
        state.consume_fuel(1)?;
        items.push(item?);
    }
    Ok(items)
}

/// Pays for as many values as are to be made.
pub(crate) fn pay(state: &State<'_, '_>, count: usize) -> Result<(), Error> {
    state.consume_fuel(count as u64)
}

/// Pays for looking at each character of a text: far more than the engine charges for having it.
pub(crate) fn pay_for_text(state: &State<'_, '_>, text: &str) -> Result<(), Error> {
    state.consume_fuel(text.len() as u64 / 8)
}

/// A text that grows as far as there is fuel for it.
pub(crate) struct Growing<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    text: String,
}

impl<'a, 'b, 'c> Growing<'a, 'b, 'c> {
    pub(crate) fn new(state: &'a State<'b, 'c>) -> Self {
        Growing { state, text: String::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> Result<(), Error> {
        ensure(self.state, self.text.len().saturating_add(text.len()))?;
        self.text.push_str(text);
        Ok(())
    }

    /// The same character many times.
    pub(crate) fn fill(&mut self, fill: char, times: usize) -> Result<(), Error> {
        ensure(self.state, self.text.len().saturating_add(times.saturating_mul(fill.len_utf8())))?;
        self.text.extend(std::iter::repeat_n(fill, times));
        Ok(())
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}
