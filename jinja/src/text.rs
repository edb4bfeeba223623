//! Filters over texts: `indent`, `wordwrap`, `truncate`, `center`, `wordcount`.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::arguments::{Arguments, soft_text};
use crate::bound::{Growing, pay, pay_for_text};
use crate::wrap::{Wrapping, wrap};

/// The width of a terminal, less one.
const WIDTH: usize = 79;

pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_filter("indent", indent);
    engine.add_filter("wordwrap", wordwrap);
    engine.add_filter("truncate", truncate);
    engine.add_filter("center", center);
    engine.add_filter("wordcount", wordcount);
}

/// Lines as Python's `str.splitlines()` sees them, without their ends.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    lines_with_ends(text).map(|(line, _)| line)
}

/// Each line, and how many bytes end it.
pub(crate) fn lines_with_ends(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = rest.find(ends_line).unwrap_or(rest.len());
        let end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(0, char::len_utf8)
        };
        let (line, after) = rest.split_at(at);
        rest = &after[end..];
        Some((line, end))
    })
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The end of the last line is kept, as an empty last line that is not indented.
fn indent(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = Arguments::bind(&["width", "first", "blank"], &given.into_values())?;
    let with = match arguments.value(0).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => crate::print::spaces(state, arguments.size(0)?.unwrap_or(4))?,
    };
    let text = soft_text(state, value)? + "\n";
    pay_for_text(state, &text)?;
    let (first, blank) = (arguments.truth(1, false), arguments.truth(2, false));
    let mut indented = Growing::new(state);
    for (index, line) in lines(&text).enumerate() {
        if index > 0 {
            indented.push("\n")?;
        }
        if (index == 0 && first) || (index > 0 && (blank || !line.is_empty())) {
            indented.push(&with)?;
        }
        indented.push(line)?;
    }
    Ok(indented.finish())
}

fn wordwrap(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let arguments = Arguments::bind(&names, &given.into_values())?;
    let wrapping = Wrapping {
        width: arguments.size(0)?.unwrap_or(WIDTH),
        break_long_words: arguments.truth(1, true),
        break_on_hyphens: arguments.truth(3, true),
    };
    if wrapping.width == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "the width of `wordwrap` must be above zero"));
    }
    let end = arguments.text(2)?.unwrap_or("\n");
    let text = soft_text(state, value)?;
    pay_for_text(state, &text)?;
    // Chunks take more room than the characters in them.
    pay(state, text.len())?;
    let mut wrapped = Growing::new(state);
    for (index, line) in lines(&text).enumerate() {
        if index > 0 {
            wrapped.push(end)?;
        }
        for (index, part) in wrap(line, &wrapping).into_iter().enumerate() {
            if index > 0 {
                wrapped.push(end)?;
            }
            wrapped.push(&part)?;
        }
    }
    Ok(wrapped.finish())
}

fn truncate(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = Arguments::bind(&["length", "killwords", "end", "leeway"], &given.into_values())?;
    let length = arguments.size(0)?.unwrap_or(255);
    let end = arguments.text(2)?.unwrap_or("...");
    let leeway = arguments.size(3)?.unwrap_or(5);
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        let message = format!("a text of {length} characters has no room for its end `{end}`");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    };
    let text = soft_text(state, value)?;
    if text.chars().nth(length.saturating_add(leeway)).is_none() {
        return Ok(text);
    }
    let cut = text.char_indices().nth(kept).map_or(text.as_str(), |(at, _)| &text[..at]);
    let cut = match cut.rsplit_once(' ') {
        Some((words, _)) if !arguments.truth(1, false) => words,
        _ => cut,
    };
    Ok(format!("{cut}{end}"))
}

fn center(state: &State<'_, '_>, value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = Arguments::bind(&["width"], &given.into_values())?;
    let text = soft_text(state, value)?;
    centered(state, &text, arguments.size(0)?.unwrap_or(80), ' ')
}

/// As Python does it: which side gets the odd character depends on the width.
pub(crate) fn centered(state: &State<'_, '_>, text: &str, width: usize, fill: char) -> Result<String, Error> {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    let mut centered = Growing::new(state);
    centered.fill(fill, left)?;
    centered.push(text)?;
    centered.fill(fill, missing - left)?;
    Ok(centered.finish())
}

fn wordcount(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    let text = soft_text(state, value)?;
    pay_for_text(state, &text)?;
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut inside = false;
    Ok(text.chars().filter(|c| !std::mem::replace(&mut inside, word(c)) && inside).count())
}
