//! What of the style in CONTRIBUTING.md can be counted: a name means one type, and files and functions stay short.
//!
//! Each exception stands here with its reason, and no longer than it is one.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::common::counted;
use source::{Function, Source, sources};

/// Names of several types, and why each of them has no other name. Not those within tests.
const TWICE: &[(&str, &str)] = &[
    ("Args", "each command has its own"),
    ("Error", "each crate has its own"),
    ("File", "as in the standard library, and as in Starlark"),
];

/// Functions (`PATH NAME`) that are long or want much, and why.
const FUNCTIONS: &[(&str, &str)] = &[
    ("environments/src/starlark/builtins.rs component", "the parameters of a function of Starlark"),
    ("environments/src/starlark/subcomponent/methods.rs require", "the parameters of a function of Starlark"),
    (
        "environments/src/starlark/subcomponent/methods.rs require_one",
        "the parameters of a function of Starlark",
    ),
];

/// Files that are long without their tests, and why.
const FILES: &[(&str, &str)] = &[];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const PARAMETERS: usize = 5;

/// Fails with one line for each that is found and not excepted, and for each exception that is none.
#[track_caller]
fn none_but(found: &BTreeMap<String, String>, exceptions: &[(&str, &str)], list: &str, advice: &str) {
    let excepted: BTreeSet<&str> = exceptions.iter().map(|(name, _)| *name).collect();
    assert_eq!(excepted.len(), exceptions.len(), "{list} names one twice");
    let new: Vec<String> = found
        .iter()
        .filter(|(name, _)| !excepted.contains(name.as_str()))
        .map(|(name, where_)| format!("  {name}: {where_}\n"))
        .collect();
    let old: Vec<String> = exceptions
        .iter()
        .filter(|(name, _)| !found.contains_key(*name))
        .map(|(name, _)| format!("  {name}\n"))
        .collect();
    let mut message = String::new();
    if !new.is_empty() {
        message += &format!("\n{advice}\n{}", new.concat());
    }
    if !old.is_empty() {
        message +=
            &format!("\nNo exceptions any more, to be removed from {list} in {}:\n{}", file!(), old.concat());
    }
    assert!(message.is_empty(), "{message}");
}

/// Where each type is defined, by name.
fn types(sources: &[Source]) -> BTreeMap<&str, Vec<String>> {
    let mut types: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources {
        for place in &source.types {
            types.entry(&place.name).or_default().push(format!("{}:{}", source.path, place.line));
        }
    }
    types
}

#[test]
fn a_name_means_one_type() {
    let sources = sources();
    let types = types(&sources);
    assert!(types.len() > 300, "only {} were found", types.len());
    let twice = types.into_iter().filter(|(_, places)| places.len() > 1);
    let twice = twice.map(|(name, places)| (name.to_owned(), places.join(", "))).collect();
    let advice = "Defined more than once. Give each the word that says what it is; if there is truly none, add the name \
                  to TWICE in tests/style.rs, with the reason:";
    none_but(&twice, TWICE, "TWICE", advice);
}

fn functions(sources: &[Source]) -> impl Iterator<Item = (&Source, &Function)> {
    sources.iter().flat_map(|source| source.functions.iter().map(move |function| (source, function)))
}

#[test]
fn functions_are_short_and_want_little() {
    let sources = sources();
    assert!(functions(&sources).count() > 1500, "only {} were found", functions(&sources).count());
    let found = functions(&sources)
        .filter(|(_, function)| function.lines > FUNCTION_LINES || function.parameters > PARAMETERS)
        .map(|(source, function)| {
            let Function { place, lines, parameters, .. } = function;
            let said = format!("{lines} lines, {parameters} parameters, in line {}", place.line);
            (format!("{} {}", source.path, place.name), said)
        })
        .collect();
    let advice = format!(
        "Longer than {FUNCTION_LINES} lines, or with more than {PARAMETERS} parameters. Make several of it, or a type of \
         what belongs together; else add it to FUNCTIONS in tests/style.rs, with the reason:"
    );
    none_but(&found, FUNCTIONS, "FUNCTIONS", &advice);
}

#[test]
fn files_are_about_one_thing() {
    let sources = sources();
    assert!(sources.len() > 200, "only {} were found", sources.len());
    let long = sources.iter().filter(|source| source.lines > FILE_LINES);
    let long = long.map(|source| (source.path.clone(), format!("{} lines", source.lines))).collect();
    let advice = format!(
        "Longer than {FILE_LINES} lines without tests. It is about two things: give each its file; else add it to FILES \
         in tests/style.rs, with the reason:"
    );
    none_but(&long, FILES, "FILES", &advice);
}

/// Below this, a text is read beside the input that it is about.
const SNAPSHOT_LINES: usize = 40;

#[test]
fn short_snapshots_stand_in_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = |entry: &DirEntry| !["target", ".git"].map(OsStr::new).contains(&entry.file_name());
    let entries = WalkDir::new(root).into_iter().filter_entry(outside).map(Result::unwrap);
    let mut found = BTreeMap::new();
    for entry in entries.filter(|entry| entry.path().extension() == Some(OsStr::new("snap"))) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let (_, text) = text.split_once("\n---\n").unwrap();
        let lines = text.lines().count();
        if lines <= SNAPSHOT_LINES {
            let path = entry.path().strip_prefix(root).unwrap().display().to_string();
            found.insert(path, format!("{lines} lines"));
        }
    }
    let advice = "Short enough to stand in the test. Remove the file, write `assert_snapshot!(…, @\"\")`, and have \
                  `cargo insta test --accept` fill it in:";
    none_but(&found, &[], "no list", advice);
}

/// How large the crates are, and what in them is at the limits: `make measures` prints it.
#[test]
#[ignore = "it prints, and proves nothing"]
fn measures() {
    let sources = sources();
    let names: BTreeSet<&str> = sources.iter().map(|source| source.package.as_str()).collect();
    counted("crate          files  lines  longest  functions  longest  > 60 lines  >= 5 parameters  tuples");
    for name in names {
        let files = || sources.iter().filter(|source| source.package == name);
        let functions: Vec<&Function> = files().flat_map(|source| &source.functions).collect();
        let lines: usize = files().map(|source| source.lines).sum();
        counted(&format!(
            "{name:<14} {:>5} {lines:>6} {:>8} {:>10} {:>8} {:>11} {:>16} {:>7}",
            files().count(),
            files().map(|source| source.lines).max().unwrap(),
            functions.len(),
            functions.iter().map(|function| function.lines).max().unwrap(),
            functions.iter().filter(|function| function.lines > FUNCTION_LINES).count(),
            functions.iter().filter(|function| function.parameters >= PARAMETERS).count(),
            functions.iter().map(|function| function.tuples).sum::<usize>(),
        ));
    }
    for (source, function) in functions(&sources).filter(|(_, function)| function.tuples > 0) {
        counted(&format!(
            "a tuple as parameters: {}:{} {}",
            source.path, function.place.line, function.place.name
        ));
    }
    let types = types(&sources);
    let twice = types.iter().filter(|(_, places)| places.len() > 1);
    counted(&format!("{} names of types, {} of them with more than one meaning", types.len(), twice.count()));
}
