//! Texts as parts of HTML.

use minijinja::{Error, State};

use crate::bound::{Growing, pay_for_text};

/// `markupsafe.escape()`
pub(crate) fn escaped(state: &State<'_, '_>, text: &str) -> Result<String, Error> {
    pay_for_text(state, text)?;
    let mut escaped = Growing::new(state);
    for c in text.chars() {
        match c {
            '&' => escaped.push("&amp;")?,
            '<' => escaped.push("&lt;")?,
            '>' => escaped.push("&gt;")?,
            '\'' => escaped.push("&#39;")?,
            '"' => escaped.push("&#34;")?,
            c => escaped.fill(c, 1)?,
        }
    }
    Ok(escaped.finish())
}
