//! Templates, and the two engines that render them.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, UndefinedBehavior, context};
use serde_json::{Map, Value, json};

#[allow(dead_code, reason = "other test programs lack other things")]
#[path = "../../../tests/common/left_out.rs"]
mod left_out;
#[path = "../../../tests/common/python.rs"]
mod python;
#[path = "../../../tests/common/script.rs"]
mod script;

use left_out::{Lacking, left_out};

/// The fuel that the tests give a template: enough for each of them, and used up within a second.
const FUEL: u64 = 5_000_000;

/// A template with everything that it needs.
pub(crate) struct Case {
    /// The one that is rendered is called `main`.
    pub(crate) templates: BTreeMap<String, String>,
    /// The value of `component`.
    pub(crate) variables: Map<String, Value>,
}

impl Case {
    /// A template without others and without variables.
    pub(crate) fn new(template: &str) -> Case {
        Case { templates: BTreeMap::from([("main".to_owned(), template.to_owned())]), variables: Map::new() }
    }

    /// What minijinja makes of it. The options are those of `render.py`.
    pub(crate) fn render(&self) -> Result<String, Error> {
        let mut engine = Environment::new();
        batou_jinja::add_to(&mut engine);
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        engine.set_fuel(Some(FUEL));
        for (name, text) in &self.templates {
            engine.add_template(name, text)?;
        }
        engine.get_template("main")?.render(context! { component => value(&self.variables.clone().into()) })
    }
}

/// JSON as a value of the engine.
fn value(json: &Value) -> minijinja::Value {
    match json {
        Value::Null => ().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(value).collect(),
        Value::Object(members) => {
            minijinja::Value::from_pairs(members.iter().map(|(name, member)| (name.as_str(), value(member))))
        }
    }
}

/// What Jinja2 makes of each: its text, or its error. `None` if it is not installed, which is noted.
pub(crate) fn with_jinja2(
    cases: &BTreeMap<String, Case>,
) -> Option<BTreeMap<String, Result<String, String>>> {
    let python = python::python("python", "templates beside Jinja2")?;
    let given = cases.iter().map(|(name, case)| {
        (name.clone(), json!({ "templates": case.templates, "variables": case.variables }))
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render.py");
    let made = script::answer(&python, &script, &Value::Object(given.collect()));
    let made: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_value(made).unwrap();
    let outcome = |mut one: BTreeMap<String, String>| one.remove("text").ok_or_else(|| one["error"].clone());
    Some(made.into_iter().map(|(name, one)| (name, outcome(one))).collect())
}
