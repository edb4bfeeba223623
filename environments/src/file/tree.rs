//! The tree of a TOML file, and how one tree is laid over another.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::template::address::Address;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, SourceText};

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct ConfigNode {
    pub(crate) data: Data,
    pub(crate) at: At,
}

/// A TOML value, or a value made by code. Dates are kept as text, since nothing in a project is a date.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date(String),
    Array(Vec<ConfigNode>),
    Table(Table),
    /// Made by code, and never a template.
    Value(Value),
}

impl Data {
    /// The type with its article, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Data::String(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a float",
            Data::Boolean(_) => "a boolean",
            Data::Date(_) => "a date",
            Data::Array(_) => "a list",
            Data::Table(_) => "a table",
            Data::Value(value) => match value.kind() {
                ValueKind::None | ValueKind::Undefined => "nothing",
                ValueKind::Bool => "a boolean",
                ValueKind::Number => "a number",
                ValueKind::String => "a string",
                ValueKind::Seq | ValueKind::Iterable => "a list",
                ValueKind::Map => "a table",
                _ if value.downcast_object_ref::<Address>().is_some() => "an address",
                _ => "a value",
            },
        }
    }
}

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(crate) struct KeyValue {
    pub(crate) key: At,
    pub(crate) node: ConfigNode,
}

/// A table, by key.
pub(crate) type Table = BTreeMap<String, KeyValue>;

/// Lays `upper` over `lower`: tables merge by key, values and lists replace.
pub(crate) fn merge(lower: Table, upper: Table) -> Table {
    let mut merged = lower;
    for (key, member) in upper {
        let member = match (merged.remove(&key), member) {
            (
                Some(KeyValue { node: ConfigNode { data: Data::Table(below), .. }, .. }),
                KeyValue { key, node: ConfigNode { data: Data::Table(above), at } },
            ) => KeyValue { key, node: ConfigNode { data: Data::Table(merge(below, above)), at } },
            (_, member) => member,
        };
        merged.insert(key, member);
    }
    merged
}

/// The tree of a parsed document; `None` if a number in it does not fit.
pub(super) fn table(table: DeTable<'_>, source: &Arc<SourceText>, problems: &mut Problems) -> Option<Table> {
    let mut complete = true;
    let mut members = Table::new();
    for (key, value) in table {
        let at = At::new(source, key.span());
        match node(value, source, problems) {
            Some(node) => {
                members.insert(key.into_inner().into_owned(), KeyValue { key: at, node });
            }
            None => complete = false,
        }
    }
    complete.then_some(members)
}

fn node(
    value: Spanned<DeValue<'_>>,
    source: &Arc<SourceText>,
    problems: &mut Problems,
) -> Option<ConfigNode> {
    let at = At::new(source, value.span());
    let data = match value.into_inner() {
        DeValue::String(text) => Data::String(text.into_owned()),
        DeValue::Integer(number) => Data::Integer(number_or(
            i64::from_str_radix(number.as_str(), number.radix()).ok(),
            &at,
            problems,
        )?),
        DeValue::Float(number) => Data::Float(number_or(number.as_str().parse().ok(), &at, problems)?),
        DeValue::Boolean(value) => Data::Boolean(value),
        DeValue::Datetime(date) => Data::Date(date.to_string()),
        DeValue::Array(items) => {
            let nodes: Vec<_> = items.into_iter().map(|item| node(item, source, problems)).collect();
            Data::Array(nodes.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(members) => Data::Table(table(members, source, problems)?),
    };
    Some(ConfigNode { data, at })
}

fn number_or<T>(number: Option<T>, at: &At, problems: &mut Problems) -> Option<T> {
    if number.is_none() {
        problems.push(Diagnostic::error("the number does not fit into 64 bits").at(at));
    }
    number
}
