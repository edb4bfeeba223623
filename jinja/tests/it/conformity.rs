//! A corpus of templates, and what Jinja2 makes of them.
//!
//! Each folder below `tests/templates` has a template `main`, those that it includes, its `variables.json`, and what
//! Jinja2 makes of it as `expected`. `BATOU_UPDATE_TEMPLATES=1` has Jinja2 write the latter again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Map;
use walkdir::WalkDir;

use super::common::{Case, with_jinja2};

const EXPECTED: &str = "expected";
const VARIABLES: &str = "variables.json";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn cases() -> BTreeMap<String, Case> {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), read(&folder))).collect()
}

fn read(folder: &Path) -> Case {
    let mut case = Case { templates: BTreeMap::new(), variables: Map::new() };
    for entry in WalkDir::new(folder).into_iter().map(Result::unwrap) {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        if !entry.file_type().is_file() || name == EXPECTED {
            continue;
        }
        let content = fs::read_to_string(entry.path()).unwrap();
        if name == VARIABLES {
            case.variables = serde_json::from_str(&content).unwrap();
        } else {
            case.templates.insert(name, content);
        }
    }
    case
}

fn expected(name: &str) -> PathBuf {
    corpus().join(name).join(EXPECTED)
}

/// Of a long text that differs, only the first differing line is shown.
fn compare(name: &str, made: &str, expected: &str) {
    for (number, (made, expected)) in made.lines().zip(expected.lines()).enumerate() {
        assert_eq!(made, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(made, expected, "{name}");
}

#[test]
fn templates_give_what_jinja2_gave() {
    let cases = cases();
    assert!(cases.len() > 80, "{} templates", cases.len());
    for (name, case) in cases {
        let made = case.render().unwrap_or_else(|error| panic!("{name}: {error:#}"));
        compare(&name, &made, &fs::read_to_string(expected(&name)).unwrap());
    }
}

#[test]
fn jinja2_gives_what_is_expected() {
    let Some(made) = with_jinja2(&cases()) else { return };
    let write = std::env::var_os("BATOU_UPDATE_TEMPLATES").is_some();
    for (name, made) in made {
        let text = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        if write {
            fs::write(expected(&name), &text).unwrap();
        }
        compare(&name, &fs::read_to_string(expected(&name)).unwrap(), &text);
    }
}
