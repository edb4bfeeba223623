//! The schema of lines and the chapter about them: made from the types, for the book.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{FORMAT, Line};

const SCHEMA: &str = "docs/src/reference/json.schema.json";
const CHAPTER: &str = "docs/src/reference/json.md";

/// What stands below it in the chapter is made from the schema.
const MARKER: &str = "<!-- from the code -->\n";

/// `BATOU_UPDATE_DOCS=1` writes both anew.
#[test]
fn the_schema_and_its_chapter_are_what_the_code_says() {
    let schema = schema();
    let chapter = read(CHAPTER);
    let (head, _) = chapter.split_once(MARKER).expect("the marker of what is made from the code");
    for (path, text) in [
        (SCHEMA, serde_json::to_string_pretty(&schema).unwrap() + "\n"),
        (CHAPTER, format!("{head}{MARKER}{}", reference(&schema))),
    ] {
        if std::env::var_os("BATOU_UPDATE_DOCS").is_some() {
            fs::write(file(path), &text).unwrap();
        }
        assert!(read(path) == text, "{path} is old: run this test with BATOU_UPDATE_DOCS=1");
    }
}

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_default()
}

/// The schema of a line. Which format it has is said by no variant, so it is added to each.
fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Line<'_>>().to_value();
    let format = json!({ "description": "The number of the format.", "const": FORMAT });
    for variant in schema["oneOf"].as_array_mut().unwrap() {
        let others = variant["properties"].as_object_mut().unwrap();
        let mut all = Map::from_iter([("format".to_owned(), format.clone())]);
        all.append(others);
        *others = all;
        variant["required"].as_array_mut().unwrap().insert(0, json!("format"));
    }
    spaced(&mut schema);
    without_null(&mut schema);
    json!({
        "$schema": schema["$schema"],
        "title": "A line of batou --json",
        "description": schema["description"],
        "oneOf": schema["oneOf"],
        "$defs": schema["$defs"],
    })
}

/// Fields that may be absent are never `null`, which the types cannot say.
fn without_null(schema: &mut Value) {
    if let Value::Object(members) = schema {
        let required = members.get("required").cloned().unwrap_or_default();
        let is_required =
            |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let fields = members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
        for (_, field) in fields.filter(|(name, _)| !is_required(name)) {
            if let Some(either) = field["anyOf"].as_array() {
                let mut one = json!({ "description": field["description"] });
                one.as_object_mut().unwrap().extend(either[0].as_object().unwrap().clone());
                *field = one;
            } else if let Some(types) = field["type"].as_array() {
                field["type"] = types[0].clone();
            }
        }
    }
    match schema {
        Value::Object(members) => members.iter_mut().for_each(|(_, member)| without_null(member)),
        Value::Array(members) => members.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Joins the lines of each description: they are comments, which are wrapped for readers of the code.
fn spaced(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => *text = text.replace('\n', " "),
                    other => spaced(other),
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(spaced),
        _ => {}
    }
}

/// What the chapter says of types, their fields, and what these are made of.
fn reference(schema: &Value) -> String {
    let variants = schema["oneOf"].as_array().unwrap();
    let mut text = "\n## Types\n\n| `type` | what it is |\n|---|---|\n".to_owned();
    for variant in variants {
        let (name, what) = (name(variant), description(variant));
        let _ = writeln!(text, "| [`{name}`](#{name}) | {what} |");
    }
    for variant in variants {
        let _ = writeln!(text, "\n### {}\n\n{}", name(variant), description(variant));
        fields(&mut text, variant);
    }
    text.push_str("\n## Parts of lines\n");
    for (name, part) in schema["$defs"].as_object().unwrap() {
        let _ = writeln!(text, "\n### {name}\n\n{}", description(part));
        fields(&mut text, part);
        for word in part["oneOf"].as_array().into_iter().flatten() {
            let _ = write!(text, "\n- `{}`: {}", word["const"].as_str().unwrap(), description(word));
        }
        if part["oneOf"].is_array() {
            text.push('\n');
        }
    }
    text
}

fn name(variant: &Value) -> &str {
    variant["properties"]["type"]["const"].as_str().unwrap()
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_else(|| panic!("no description: {schema}"))
}

/// The table of an object's fields, without those that every line has.
fn fields(text: &mut String, object: &Value) {
    let fields = object["properties"].as_object().into_iter().flatten();
    let own: Vec<_> = fields.filter(|(name, _)| !["type", "format"].contains(&name.as_str())).collect();
    if own.is_empty() {
        return;
    }
    text.push_str("\n| field | is | |\n|---|---|---|\n");
    for (name, field) in own {
        let is_required = object["required"].as_array().unwrap().iter().any(|one| one == name);
        let what = description(field);
        assert!(is_required || what.contains("bsent") || is_status(object), "when is {name} absent?");
        let _ = writeln!(text, "| `{name}` | {} | {what} |", kind(field));
    }
}

/// The description of `status` says at once which of its fields are absent.
fn is_status(object: &Value) -> bool {
    object["properties"]["type"]["const"] == "status"
}

/// What a value is, in words.
fn kind(schema: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.trim_start_matches("#/$defs/");
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(pair) = schema["prefixItems"].as_array() {
        return format!("pair of {}", plural(&kind(&pair[0])));
    }
    let kind = match &schema["type"] {
        Value::Array(several) => several[0].as_str().unwrap(),
        one => one.as_str().unwrap_or_else(|| panic!("no type: {schema}")),
    };
    match kind {
        "array" => format!("list of {}", plural(&self::kind(&schema["items"]))),
        "object" => format!("object of {}", plural(&self::kind(&schema["additionalProperties"]))),
        "integer" => "number".to_owned(),
        other => other.to_owned(),
    }
}

/// Parts of lines are named as the schema names them.
fn plural(kind: &str) -> String {
    if kind.starts_with('[') { kind.to_owned() } else { format!("{kind}s") }
}
