//! A fact's value in facts.lock and in templates.

use std::collections::BTreeMap;

use batou_release::FactValue;
use minijinja::Value;

use crate::file::{ConfigNode, Data, KeyValue};
use crate::text::diagnostic::{Diagnostic, Problems};

/// The fact that a part of facts.lock holds.
pub(super) fn from_node(node: &ConfigNode, problems: &mut Problems) -> Option<FactValue> {
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
            let values = items.iter().map(|item| from_node(item, problems));
            values.collect::<Option<Vec<_>>>().map(FactValue::List)
        }
        Data::Table(table) => {
            let pair =
                |(key, member): (&String, &KeyValue)| Some((key.clone(), from_node(&member.node, problems)?));
            table.iter().map(pair).collect::<Option<BTreeMap<_, _>>>().map(FactValue::Table)
        }
        Data::Date(_) => refuse("a date"),
        Data::Value(_) => refuse(node.data.kind()),
    }
}

/// A fact as templates see it.
pub(super) fn to_template(fact: &FactValue) -> Value {
    match fact {
        FactValue::Text(text) => Value::from(text.as_str()),
        FactValue::Integer(number) => Value::from(*number),
        FactValue::Float(number) => Value::from(*number),
        FactValue::Boolean(value) => Value::from(*value),
        FactValue::List(items) => items.iter().map(to_template).collect(),
        FactValue::Table(table) => {
            Value::from_pairs(table.iter().map(|(key, value)| (key.clone(), to_template(value))))
        }
    }
}
