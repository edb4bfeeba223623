//! What a host answered, as plain data within bounds.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Problems};
use crate::file::{Data, Node};

/// A list in a list in a table counts three: more levels than this are refused.
const DEEPEST: usize = 24;
/// The most bytes that one fact may have.
const LARGEST: usize = 1 << 20;
/// What a value takes beside its text.
const OVERHEAD: usize = 8;

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
    /// Takes in what a host said, within bounds of depth and size. What is `null` is left out, as TOML has no word
    /// for it; nothing but `null` is refused.
    pub fn from_json(json: serde_json::Value) -> Result<FactValue, String> {
        let mut room = LARGEST;
        convert(json, DEEPEST, &mut room)?.ok_or_else(|| "it is null".to_owned())
    }

    /// A part of facts.lock.
    pub(super) fn from_node(node: &Node, problems: &mut Problems) -> Option<FactValue> {
        let mut refuse = |what: &str| {
            problems.push(Diagnostic::error(format!("a fact cannot be {what}")).at(&node.at));
            None
        };
        match &node.data {
            Data::String(text) => Some(FactValue::Text(text.clone())),
            Data::Integer(number) => Some(FactValue::Integer(*number)),
            Data::Float(number) if !number.is_finite() => refuse(&number.to_string()),
            Data::Float(number) => Some(FactValue::Float(*number)),
            Data::Boolean(value) => Some(FactValue::Boolean(*value)),
            Data::Array(items) => {
                let values = items.iter().map(|item| Self::from_node(item, problems));
                values.collect::<Option<Vec<_>>>().map(FactValue::List)
            }
            Data::Table(table) => {
                let pair = |(key, member): (&String, &crate::file::Member)| {
                    Some((key.clone(), Self::from_node(&member.node, problems)?))
                };
                table.iter().map(pair).collect::<Option<BTreeMap<_, _>>>().map(FactValue::Table)
            }
            Data::Date(_) => refuse("a date"),
            Data::Value(_) => refuse(node.data.kind()),
        }
    }

    /// As templates see it.
    pub(super) fn to_template(&self) -> Value {
        match self {
            FactValue::Text(text) => Value::from(text.as_str()),
            FactValue::Integer(number) => Value::from(*number),
            FactValue::Float(number) => Value::from(*number),
            FactValue::Boolean(value) => Value::from(*value),
            FactValue::List(items) => items.iter().map(Self::to_template).collect(),
            FactValue::Table(table) => {
                Value::from_pairs(table.iter().map(|(key, value)| (key.clone(), value.to_template())))
            }
        }
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
