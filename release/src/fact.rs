//! Facts: what hosts are asked about themselves, and what they answer, as plain data within bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The deepest nesting that is accepted: a list in a list in a table is three levels deep.
const DEEPEST: usize = 24;
/// The most bytes that one fact may have.
const LARGEST: usize = 1 << 20;
/// How many bytes a value counts besides its text.
const OVERHEAD: usize = 8;

/// What is asked of every host, by the fact's name.
pub type FactSources = BTreeMap<String, FactSource>;

/// What one host answered, by the fact's name.
pub type Facts = BTreeMap<String, FactValue>;

/// Where a host takes a fact from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactSource {
    /// The agent knows how.
    Builtin(Builtin),
    /// The paths of the files that match a pattern: a sorted list.
    Files {
        /// Absolute; `*`, `?`, `[…]` and `{…}` match within one name.
        pattern: String,
    },
    /// What a command prints: a text without the white space around it, or JSON.
    Command {
        /// For `/bin/sh`.
        command: String,
        /// Whether its output is JSON.
        json: bool,
        /// Seconds that it may take.
        timeout: u32,
    },
}

/// What the agent finds out by itself, without a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// The lists `v4` and `v6`: its addresses, except temporary ones and those that only mean something on the host
    /// or its link.
    Addresses,
    /// The processor's kind, as `uname -m` says it.
    Architecture,
    /// The name that the host gives itself.
    Hostname,
    /// Bytes of memory.
    Memory,
    /// `/etc/os-release`, with its names in lower case.
    OsRelease,
    /// How many processors there are.
    Processors,
}

impl Builtin {
    /// Each with its name in batou.toml.
    pub const ALL: [(&'static str, Builtin); 6] = [
        ("addresses", Builtin::Addresses),
        ("architecture", Builtin::Architecture),
        ("hostname", Builtin::Hostname),
        ("memory", Builtin::Memory),
        ("os-release", Builtin::OsRelease),
        ("processors", Builtin::Processors),
    ];

    /// Its name in batou.toml.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, builtin)| *builtin == self).map_or("", |(name, _)| name)
    }
}

impl FactSource {
    /// Whether both ask for the same: how long a host may take does not matter.
    pub fn means(&self, other: &FactSource) -> bool {
        match (self, other) {
            (
                FactSource::Command { command, json, .. },
                FactSource::Command { command: other, json: or_json, .. },
            ) => command == other && json == or_json,
            _ => self == other,
        }
    }

    /// As it is written in `[facts]`, without what does not affect the answer.
    pub fn written(&self) -> FactValue {
        let pair = |key: &str, text: &String| (key.to_owned(), FactValue::Text(text.clone()));
        match self {
            FactSource::Builtin(builtin) => FactValue::Text(builtin.name().to_owned()),
            FactSource::Files { pattern } => FactValue::Table(BTreeMap::from([pair("files", pattern)])),
            FactSource::Command { command, json, .. } => {
                let mut table = BTreeMap::from([pair("command", command)]);
                if *json {
                    table.insert("json".to_owned(), FactValue::Boolean(true));
                }
                FactValue::Table(table)
            }
        }
    }
}

/// A fact's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FactValue {
    /// Any text; control characters are possible.
    Text(String),
    /// A whole number of 64 bits.
    Integer(i64),
    /// Any other number; never NaN or infinite.
    Float(f64),
    /// Yes or no.
    Boolean(bool),
    /// Values in their order.
    List(Vec<FactValue>),
    /// Values by name.
    Table(BTreeMap<String, FactValue>),
}

impl FactValue {
    /// Converts what a host answered, within limits of depth and size. `null` is left out, since TOML has no word for
    /// it; an answer that is just `null` is refused.
    pub fn from_json(json: serde_json::Value) -> Result<FactValue, String> {
        let mut room = LARGEST;
        convert(json, DEEPEST, &mut room)?.ok_or_else(|| "it is null".to_owned())
    }
}

fn convert(json: serde_json::Value, depth: usize, room: &mut usize) -> Result<Option<FactValue>, String> {
    use serde_json::Value as Json;

    if depth == 0 {
        return Err(format!("it is nested more than {DEEPEST} deep"));
    }
    let text = if let Json::String(text) = &json { text.len() } else { 0 };
    take(room, text + OVERHEAD)?;
    let value = match json {
        Json::Null => return Ok(None),
        Json::Bool(value) => FactValue::Boolean(value),
        Json::String(text) => FactValue::Text(text),
        Json::Number(number) => match (number.as_i64(), number.is_f64()) {
            (Some(number), _) => FactValue::Integer(number),
            (None, true) => FactValue::Float(number.as_f64().unwrap_or_default()),
            (None, false) => return Err(format!("the number {number} does not fit into 64 bits")),
        },
        Json::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                list.extend(convert(item, depth - 1, room)?);
            }
            FactValue::List(list)
        }
        Json::Object(members) => {
            let mut table = BTreeMap::new();
            for (key, member) in members {
                take(room, key.len())?;
                let value = convert(member, depth - 1, room)?;
                table.extend(value.map(|value| (key, value)));
            }
            FactValue::Table(table)
        }
    };
    Ok(Some(value))
}

fn take(room: &mut usize, bytes: usize) -> Result<(), String> {
    let left = room.checked_sub(bytes);
    *room = left.ok_or_else(|| format!("it is larger than {} KiB", LARGEST >> 10))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn json_becomes_plain_data_without_nulls() {
        let value = FactValue::from_json(json!({"b": [1, null, -2.5, "x"], "a": null, "c": true})).unwrap();
        let list = vec![FactValue::Integer(1), FactValue::Float(-2.5), FactValue::Text("x".into())];
        let table = BTreeMap::from([
            ("b".to_owned(), FactValue::List(list)),
            ("c".to_owned(), FactValue::Boolean(true)),
        ]);
        assert_eq!(value, FactValue::Table(table));
    }

    #[test]
    fn what_has_no_bounds_is_refused() {
        let refused = |json| FactValue::from_json(json).unwrap_err();
        assert_eq!(refused(json!(null)), "it is null");
        assert!(refused(json!(u64::MAX)).contains("does not fit into 64 bits"));
        let deep = (0..DEEPEST).fold(json!(1), |inner, _| json!([inner]));
        assert!(refused(deep).contains("nested more than 24 deep"));
        let shallow = (0..DEEPEST - 1).fold(json!(1), |inner, _| json!([inner]));
        assert!(FactValue::from_json(shallow).is_ok());
        assert!(refused(json!("x".repeat(LARGEST))).contains("larger than 1024 KiB"));
        assert!(refused(json!(vec![0; LARGEST / 4])).contains("larger"));
        assert!(refused(json!({ "x".repeat(LARGEST): 1 })).contains("larger"));
    }
}
