//! Data as YAML: block style, two spaces a level.

use std::fmt::Write;

use serde_json::Value as Json;

/// A document, with a line end.
pub(crate) fn encode(json: &Json) -> String {
    let mut text = String::new();
    match json {
        Json::Object(members) if !members.is_empty() => mapping(&mut text, json, 0),
        Json::Array(items) if !items.is_empty() => sequence(&mut text, json, 0),
        other => {
            let _ = writeln!(text, "{}", scalar(other));
        }
    }
    text
}

fn mapping(text: &mut String, json: &Json, level: usize) {
    for (key, value) in json.as_object().into_iter().flatten() {
        let _ = write!(text, "{}{}:", "  ".repeat(level), string(key));
        below(text, value, level);
    }
}

fn sequence(text: &mut String, json: &Json, level: usize) {
    for item in json.as_array().into_iter().flatten() {
        let _ = write!(text, "{}-", "  ".repeat(level));
        match item {
            Json::Object(members) if !members.is_empty() => {
                // The first member stands beside the dash.
                let mut inner = String::new();
                mapping(&mut inner, item, level + 1);
                let _ = write!(text, " {}", inner.trim_start());
            }
            _ => below(text, item, level),
        }
    }
}

/// What comes after a key or a dash.
fn below(text: &mut String, value: &Json, level: usize) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            text.push('\n');
            mapping(text, value, level + 1);
        }
        Json::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, value, level + 1);
        }
        other => {
            let _ = writeln!(text, " {}", scalar(other));
        }
    }
}

fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) => string(text),
        Json::Number(number) => self::number(&number.to_string()),
        // `[]`, `{}`, `null` and booleans are the same as in JSON.
        other => other.to_string(),
    }
}

/// In YAML 1.1, a number without a point is not a float, whatever its exponent.
fn number(json: &str) -> String {
    match json.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => json.to_owned(),
    }
}

/// A string, in double quotes unless it cannot be taken for anything else.
fn string(text: &str) -> String {
    const WORDS: [&str; 11] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    let safe = begins && text.chars().all(plain) && !text.ends_with(' ');
    if safe && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    quoted(text)
}

/// A string in double quotes. Line ends of all kinds are escaped, and whatever YAML does not allow literally, which is
/// more than in JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\n' => write!(quoted, "\\n"),
            '\t' => write!(quoted, "\\t"),
            '\r' => write!(quoted, "\\r"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => write!(quoted, "\\x{:02x}", u32::from(c)),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(quoted, "\\u{:04x}", u32::from(c))
            }
            other => write!(quoted, "{other}"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for text in [
            "yes", "No", "1", "1.5", "-x", "a: b", "a #b", "", " a", "a ", "~", "null", "*x", "a\nb", "0x1",
            "é",
        ] {
            assert!(string(text).starts_with('"'), "{text}");
        }
        for text in ["web01", "/srv/app", "a b", "x.y-z"] {
            assert_eq!(string(text), text);
        }
    }

    #[test]
    fn what_yaml_reads_otherwise_than_json_is_written_otherwise() {
        assert_eq!(string("a\u{7f}\u{85}\u{2028}\u{feff}\n\"\\"), r#""a\x7f\x85\u2028\ufeff\n\"\\""#);
        let floats = [1e300, 1.5e-300, 1.0, 0.1].map(|float| scalar(&serde_json::json!(float)));
        assert_eq!(floats, ["1.0e+300", "1.5e-300", "1.0", "0.1"]);
    }

    #[test]
    fn lists_and_tables_nest() {
        let json = serde_json::json!({
            "a": [1, [2, 3], {"b": {"c": []}, "d": "e"}], "f": {}, "g": [[{"h": null}]]
        });
        let wanted = "a:\n  - 1\n  -\n    - 2\n    - 3\n  - b:\n      c: []\n    d: e\nf: {}\ng:\n  -\n    - h: null\n";
        assert_eq!(encode(&json), wanted);
    }
}
