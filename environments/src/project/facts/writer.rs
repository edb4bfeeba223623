//! Facts as TOML for people to review: one line per value, each with its full name, sorted, and only characters that a
//! terminal shows as they are.

use std::fmt::Write as _;

use batou_release::FactValue;

/// The lines of a value: `os.id = "debian"`; a list has one line per item.
pub(super) fn lines(name: &str, value: &FactValue) -> String {
    let mut text = String::new();
    write(&mut text, &key(name), value);
    text
}

/// The value's parts, each on a line of its own: an item of a list as `disks[] = "sda"`.
pub(super) fn parts(name: &str, value: &FactValue) -> Vec<String> {
    match value {
        FactValue::Table(table) if !table.is_empty() => {
            table.iter().flat_map(|(below, value)| parts(&format!("{name}.{}", key(below)), value)).collect()
        }
        FactValue::List(items) if !items.is_empty() => {
            items.iter().map(|item| format!("{name}[] = {}", inline(item))).collect()
        }
        _ => vec![format!("{name} = {}", inline(value))],
    }
}

fn write(text: &mut String, name: &str, value: &FactValue) {
    match value {
        FactValue::Table(table) if !table.is_empty() => {
            for (below, value) in table {
                write(text, &format!("{name}.{}", key(below)), value);
            }
        }
        FactValue::List(items) if !items.is_empty() => {
            let _ = writeln!(text, "{name} = [");
            for item in items {
                let _ = writeln!(text, "    {},", inline(item));
            }
            text.push_str("]\n");
        }
        _ => {
            let _ = writeln!(text, "{name} = {}", inline(value));
        }
    }
}

/// A value on one line.
fn inline(value: &FactValue) -> String {
    match value {
        FactValue::Text(text) => quoted(text),
        FactValue::Integer(number) => number.to_string(),
        // `{:?}` always writes a point or an exponent, so that TOML reads a float again.
        FactValue::Float(number) => format!("{number:?}"),
        FactValue::Boolean(value) => value.to_string(),
        FactValue::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        FactValue::Table(table) if table.is_empty() => "{}".to_owned(),
        FactValue::Table(table) => {
            let pair = |(name, value): (&String, &FactValue)| format!("{} = {}", key(name), inline(value));
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A key, quoted where it has to be.
pub(super) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_hidden(c) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Control characters, and those that are invisible or reorder the text around them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
