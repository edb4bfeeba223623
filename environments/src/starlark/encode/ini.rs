//! Data as INI, as Python's configparser and most other readers take it.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::starlark::stop::Stop;

/// Sections with keys and values, an empty line between sections.
pub(crate) fn encode(json: &Json) -> Result<String, Stop> {
    let Json::Object(sections) = json else {
        return Err(Stop::mistake("an INI file must be a dict of sections"));
    };
    let mut text = String::new();
    for (name, section) in sections {
        let Json::Object(members) = section else {
            return Err(Stop::mistake(format!("the section `{name}` must be a dict")));
        };
        if name.is_empty() || name.contains([']', '[', '\n', '\r']) {
            return Err(Stop::mistake(format!("`{name}` cannot be the name of a section")));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "[{name}]");
        for (key, value) in members {
            member(&mut text, name, key, value)?;
        }
    }
    Ok(text)
}

fn member(text: &mut String, section: &str, key: &str, value: &Json) -> Result<(), Stop> {
    let breaks = key.contains(['=', ':', '\n', '\r', '[']) || key.starts_with(['#', ';']);
    if key.is_empty() || breaks || key.trim() != key {
        return Err(Stop::mistake(format!("`{key}` in [{section}] cannot be the name of a value")));
    }
    let lines: Vec<String> = match value {
        Json::Null => return Ok(()),
        Json::Array(items) => {
            let items: Result<Vec<String>, Stop> =
                items.iter().map(|item| plain(section, key, item)).collect();
            std::iter::once(String::new()).chain(items?).collect()
        }
        other => plain(section, key, other)?.split('\n').map(str::to_owned).collect(),
    };
    if lines.iter().skip(1).any(|line| line.trim().is_empty()) {
        let message = format!("`{key}` in [{section}] has an empty line, which would end it");
        return Err(Stop::mistake(message));
    }
    if lines.iter().skip(1).any(|line| line.trim_start().starts_with(['#', ';'])) {
        let message = format!("`{key}` in [{section}] has a line that would be a comment");
        return Err(Stop::mistake(message).help("only the first line of a value may begin with `#` or `;`"));
    }
    if lines.iter().any(|line| line.trim() != line) {
        let message = format!(
            "`{key}` in [{section}] has a line that begins or ends with spaces, which readers would drop"
        );
        return Err(Stop::mistake(message).help("INI has no quotes: remove them with strip()"));
    }
    let value = lines.join("\n    ");
    let space = if value.is_empty() || value.starts_with('\n') { "" } else { " " };
    let _ = writeln!(text, "{key} ={space}{value}");
    Ok(())
}

fn plain(section: &str, key: &str, value: &Json) -> Result<String, Stop> {
    match value {
        Json::String(text) if text.contains('\r') => {
            Err(Stop::mistake(format!("`{key}` in [{section}] contains a carriage return")))
        }
        Json::String(text) => Ok(text.clone()),
        Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
        _ => Err(Stop::mistake(format!(
            "`{key}` in [{section}] must be a string, a number, a boolean or a list of them"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sections_keep_their_order() {
        let json = serde_json::json!({
            "z": {"b": 1, "a": "x y", "list": ["one", 2], "no": null, "on": true}, "empty": {}
        });
        let wanted = "[z]\nb = 1\na = x y\nlist =\n    one\n    2\non = true\n\n[empty]\n";
        assert_eq!(encode(&json).unwrap(), wanted);
    }

    #[test]
    fn nothing_becomes_another_key_or_section() {
        for (bad, reason) in [
            (serde_json::json!({"a": 1}), "the section `a` must be a dict"),
            (serde_json::json!({"a]": {}}), "`a]` cannot be the name of a section"),
            (serde_json::json!({"a": {"b=c": 1}}), "`b=c` in [a] cannot be the name"),
            (serde_json::json!({"a": {"b": "x\n\ny = 1"}}), "has an empty line"),
            (serde_json::json!({"a": {"b": {"c": 1}}}), "`b` in [a] must be a string"),
            (serde_json::json!({"a": {"b": "x\n# y"}}), "would be a comment"),
            (serde_json::json!({"a": {"b": ["x", "; y"]}}), "would be a comment"),
            (serde_json::json!({"a": {"b": " x"}}), "begins or ends with spaces"),
            (serde_json::json!({"a": {"b": "x\n  y"}}), "begins or ends with spaces"),
            (serde_json::json!({"a": {"b ": 1}}), "`b ` in [a] cannot be the name"),
            (serde_json::json!([1]), "a dict of sections"),
        ] {
            let error = encode(&bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
