//! The schema of `--json` in the book, which every line that a test has batou print is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::sandbox::BATOU;

const LOCATION: &str = "https://batou.invalid/json.schema.json";

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference/json.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
});

/// The schema of each type of line by itself: what is wrong with a line is not told for all the types that it does not have.
static COMPILED: LazyLock<(Schemas, BTreeMap<String, SchemaIndex>)> = LazyLock::new(|| {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(LOCATION, SCHEMA.clone()).unwrap();
    let variants = SCHEMA["oneOf"].as_array().unwrap().iter().enumerate();
    let compile = |(number, variant): (usize, &Value)| {
        let name = variant["properties"]["type"]["const"].as_str().unwrap().to_owned();
        (name, compiler.compile(&format!("{LOCATION}#/oneOf/{number}"), &mut schemas).unwrap())
    };
    let types = variants.map(compile).collect();
    (schemas, types)
});

/// The types that lines can have.
pub(crate) fn types() -> BTreeSet<String> {
    COMPILED.1.keys().cloned().collect()
}

/// Whether a line is one that the schema has, and else why not.
pub(crate) fn validate(line: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let (schemas, types) = &*COMPILED;
    let index = value["type"].as_str().and_then(|name| types.get(name)).ok_or("it has no known type")?;
    schemas.validate(&value, *index).map_err(|error| error.to_string())
}

/// Holds what a command printed against the schema, if it is batou and was asked for JSON. What precedes batou is another
/// program's, and what follows `--` is not for batou. If it was killed, the last line may be cut off.
pub(super) fn validate_output(command: &Command, stdout: &str, killed: bool) {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let own = words.iter().skip_while(|word| **word != BATOU).take_while(|word| **word != "--");
    if !own.into_iter().any(|word| *word == "--json") {
        return;
    }
    for line in stdout.split_inclusive('\n').filter(|line| !killed || line.ends_with('\n')) {
        if let Err(why) = validate(line) {
            panic!("{command:?}\nprinted {line}which its schema does not have: {why}");
        }
    }
}
