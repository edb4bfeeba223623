//! Attributes: what environments can set on a component, and how a value is converted to the declared type.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::{Value, ValueKind};

use crate::file::{ConfigNode, Data, TableReader};
use crate::template::address::{Address, NetLoc};
use crate::text::diagnostic::{Diagnostic, Problems, listed};
use crate::text::name::is_identifier;
use crate::text::source::At;

/// The built-in names of `component`.
pub(crate) const RESERVED: [&str; 5] = ["artifact", "features", "name", "path", "state"];

/// The type of an attribute's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Str,
    Int,
    Float,
    Bool,
    List,
    Dict,
    Address,
    Path,
    Literal,
    Choice(Vec<String>),
}

const TYPES: [&str; 10] =
    ["str", "int", "float", "bool", "list", "dict", "address", "path", "literal", "choice"];

/// An attribute as its component declares it.
#[derive(Debug, Clone)]
pub(crate) struct AttributeDeclaration {
    pub(crate) kind: Type,
    pub(crate) default: Option<ConfigNode>,
    /// What the attribute is for.
    pub(crate) doc: Option<String>,
    pub(crate) at: At,
}

/// Checks one entry of `[attributes]`: a default, or a table with `type` and `default`.
pub(crate) fn check(
    name: &str,
    key: &At,
    node: &ConfigNode,
    problems: &mut Problems,
) -> Option<AttributeDeclaration> {
    if !is_identifier(name) || RESERVED.contains(&name) {
        let message = format!("`{name}` cannot be an attribute's name");
        let help = if RESERVED.contains(&name) {
            format!("`component.{name}` is built in; choose another name")
        } else {
            "use letters, digits and `_`".to_owned()
        };
        problems.push(Diagnostic::error(message).at(key).help(help));
        return None;
    }
    let Data::Table(table) = &node.data else {
        let kind = plain_type(node, problems)?;
        return Some(AttributeDeclaration { kind, default: Some(node.clone()), doc: None, at: key.clone() });
    };
    let mut reader = TableReader::new(table, &node.at, format!("the attribute `{name}`"), problems);
    let default = reader.node("default").cloned();
    let kind = declared_type(&mut reader, default.as_ref());
    let doc = reader.text("doc").map(|text| text.value);
    reader.finish();
    Some(AttributeDeclaration { kind: kind?, default, doc, at: key.clone() })
}

/// The type of a default that is given without a type.
fn plain_type(node: &ConfigNode, problems: &mut Problems) -> Option<Type> {
    match &node.data {
        Data::String(_) => Some(Type::Str),
        Data::Integer(_) => Some(Type::Int),
        Data::Float(_) => Some(Type::Float),
        Data::Boolean(_) => Some(Type::Bool),
        Data::Array(_) => Some(Type::List),
        Data::Table(_) => Some(Type::Dict),
        Data::Date(_) => {
            problems.push(
                Diagnostic::error("an attribute cannot be a date").at(&node.at).help("write it as a string"),
            );
            None
        }
        Data::Value(value) => made_type(value, &node.at, problems),
    }
}

/// The type of a default that code made.
fn made_type(value: &Value, at: &At, problems: &mut Problems) -> Option<Type> {
    Some(match value.kind() {
        ValueKind::String => Type::Str,
        ValueKind::Bool => Type::Bool,
        ValueKind::Number if value.is_integer() => Type::Int,
        ValueKind::Number => Type::Float,
        ValueKind::Seq | ValueKind::Iterable => Type::List,
        ValueKind::Map => Type::Dict,
        _ if value.downcast_object_ref::<Address>().is_some() => Type::Address,
        _ => {
            let message = format!("{} cannot be the default of an attribute", shown(value));
            problems.push(Diagnostic::error(message).at(at).help("name the attribute's type"));
            return None;
        }
    })
}

fn declared_type(reader: &mut TableReader<'_, '_>, default: Option<&ConfigNode>) -> Option<Type> {
    let choices = reader.texts("choices");
    let has_choices = reader.has("choices");
    let Some(text) = reader.text("type") else {
        return match default {
            _ if reader.has("type") => None,
            Some(_) if has_choices => {
                Some(Type::Choice(choices.into_iter().map(|text| text.value).collect()))
            }
            Some(node) => plain_type(node, reader.problems),
            None => {
                let help = "write { type = \"dict\", default = { … } } for a table, otherwise name a type";
                reader.problems.push(
                    Diagnostic::error("an attribute needs a type or a default").at(reader.at()).help(help),
                );
                None
            }
        };
    };
    let kind = match text.value.as_str() {
        "str" => Type::Str,
        "int" => Type::Int,
        "float" => Type::Float,
        "bool" => Type::Bool,
        "list" => Type::List,
        "dict" => Type::Dict,
        "address" => Type::Address,
        "path" => Type::Path,
        "literal" => Type::Literal,
        "choice" if !choices.is_empty() => {
            Type::Choice(choices.iter().map(|text| text.value.clone()).collect())
        }
        "choice" => {
            let message = "an attribute of the type `choice` needs `choices`";
            reader
                .problems
                .push(Diagnostic::error(message).at(&text.at).help("add choices = [\"a\", \"b\"]"));
            return None;
        }
        "secret" => {
            let message = "attributes of the type `secret` are not supported yet";
            reader.problems.push(Diagnostic::error(message).at(&text.at));
            return None;
        }
        other => {
            let help = match crate::text::diagnostic::nearest(other, TYPES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the types are {}", listed(TYPES)),
            };
            reader
                .problems
                .push(Diagnostic::error(format!("unknown type `{other}`")).at(&text.at).help(help));
            return None;
        }
    };
    if has_choices && !matches!(kind, Type::Choice(_)) {
        reader.problems.push(Diagnostic::error("only the type `choice` can have `choices`").at(&text.at));
    }
    Some(kind)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Str => "str",
            Type::Int => "int",
            Type::Float => "float",
            Type::Bool => "bool",
            Type::List => "list",
            Type::Dict => "dict",
            Type::Address => "address",
            Type::Path => "path",
            Type::Literal => "literal",
            Type::Choice(choices) => return write!(f, "choice of {}", choices.join(", ")),
        };
        f.write_str(name)
    }
}

impl Type {
    /// What a value must be, for messages.
    fn wanted(&self) -> String {
        match self {
            Type::Str => "a string".to_owned(),
            Type::Int => "an integer".to_owned(),
            Type::Float => "a number".to_owned(),
            Type::Bool => "true or false".to_owned(),
            Type::List => "a list".to_owned(),
            Type::Dict => "a table".to_owned(),
            Type::Address => "an address, as host:port".to_owned(),
            Type::Path => "a path".to_owned(),
            Type::Literal => "a TOML value".to_owned(),
            Type::Choice(choices) => format!("one of {}", listed(choices.iter().map(String::as_str))),
        }
    }

    /// Converts a value to this type, or says why it cannot be. `written` means that the value is written in a file as
    /// it is: a number or boolean becomes a string only if a template gave it.
    pub(crate) fn convert(
        &self,
        value: &Value,
        written: bool,
        address: impl Fn(NetLoc) -> Address,
    ) -> Result<Value, String> {
        let text = value.as_str().map(str::to_owned);
        let converted = match self {
            Type::Str | Type::Path => string(value, text, written),
            Type::Int => integer(value, text.as_deref()),
            Type::Float => float(value, text.as_deref()),
            Type::Bool => boolean(value, text.as_deref()),
            Type::List => list(value, text.as_deref()),
            Type::Dict => (value.kind() == ValueKind::Map).then(|| value.clone()),
            Type::Literal => match text {
                Some(text) => literal(&text),
                None => Some(value.clone()),
            },
            Type::Choice(choices) => string(value, text, written)
                .filter(|value| choices.iter().any(|choice| Some(choice.as_str()) == value.as_str())),
            Type::Address if value.downcast_object_ref::<Address>().is_some() => Some(value.clone()),
            Type::Address => match location(value, text.as_deref()) {
                Some(Ok(location)) => Some(Value::from_object(address(location))),
                Some(Err(reason)) => return Err(reason),
                None => None,
            },
        };
        if *self == Type::Path {
            match converted.as_ref().and_then(Value::as_str) {
                Some("") => return Err("must be a path, not an empty string".to_owned()),
                Some(path) if path.contains('\0') => {
                    return Err("must be a path, which cannot contain a NUL character".to_owned());
                }
                _ => {}
            }
        }
        converted.ok_or_else(|| format!("must be {}, not {}", self.wanted(), shown(value)))
    }
}

fn shown(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => excerpt(value.as_str().unwrap_or_default()),
        ValueKind::Number => value.to_string(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Seq | ValueKind::Iterable => "a list".to_owned(),
        ValueKind::Map => "a table".to_owned(),
        ValueKind::None => "none".to_owned(),
        ValueKind::Plain => format!("`{value}`"),
        other => other.to_string(),
    }
}

/// A text on one line, cut if it is long.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 100;
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(end, _)| end);
    let more = if end < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", text[..end].replace('\n', "\\n"))
}

fn string(value: &Value, text: Option<String>, written: bool) -> Option<Value> {
    match value.kind() {
        ValueKind::String => text.map(Value::from),
        ValueKind::Number | ValueKind::Bool if !written => Some(Value::from(value.to_string())),
        ValueKind::Plain => Some(Value::from(value.to_string())),
        _ => None,
    }
}

fn integer(value: &Value, text: Option<&str>) -> Option<Value> {
    match text {
        Some(text) => text.trim().parse::<i64>().ok().map(Value::from),
        None => value.is_integer().then(|| value.clone()),
    }
}

fn float(value: &Value, text: Option<&str>) -> Option<Value> {
    match text {
        Some(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
        None if value.is_number() => f64::try_from(value.clone()).ok().map(Value::from),
        None => None,
    }
}

fn boolean(value: &Value, text: Option<&str>) -> Option<Value> {
    match text.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("true" | "yes" | "on" | "1") => Some(Value::from(true)),
        Some("false" | "no" | "off" | "0") => Some(Value::from(false)),
        Some(_) => None,
        None => (value.kind() == ValueKind::Bool).then(|| value.clone()),
    }
}

/// A list, or a string of items separated by commas or line ends, as in batou 2.
fn list(value: &Value, text: Option<&str>) -> Option<Value> {
    match text {
        Some(text) => {
            let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(Value::from).collect())
        }
        None => matches!(value.kind(), ValueKind::Seq).then(|| value.clone()),
    }
}

fn literal(text: &str) -> Option<Value> {
    let mut problems = Problems::default();
    let source = crate::text::source::SourceText::new("", format!("value = {text}"));
    let (mut table, _) = crate::file::parse(&source, &mut problems)?;
    let member = table.remove("value")?;
    table.is_empty().then(|| plain(&member.node))
}

/// A value as it is written in a file; strings are not evaluated as templates.
pub(crate) fn plain(node: &ConfigNode) -> Value {
    match &node.data {
        Data::String(text) | Data::Date(text) => Value::from(text.as_str()),
        Data::Integer(number) => Value::from(*number),
        Data::Float(number) => Value::from(*number),
        Data::Boolean(value) => Value::from(*value),
        Data::Array(items) => items.iter().map(plain).collect(),
        Data::Table(table) => {
            let pairs: BTreeMap<String, Value> =
                table.iter().map(|(key, member)| (key.clone(), plain(&member.node))).collect();
            Value::from_pairs(pairs)
        }
        Data::Value(value) => value.clone(),
    }
}

fn location(value: &Value, text: Option<&str>) -> Option<Result<NetLoc, String>> {
    if let Some(location) = value.downcast_object_ref::<NetLoc>() {
        return Some(Ok(location.clone()));
    }
    text.map(|text| text.parse::<NetLoc>().map_err(|error| error.to_string()))
}
