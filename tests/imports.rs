//! Which files lead to which, by what they import: arrows between the folders of the environments go downwards only, and
//! files that lead back to themselves are few and known. What runs on simulated machines gets files, threads and time from
//! `system` alone.

mod code;
mod graph;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use graph::Graph;
use walkdir::WalkDir;

/// The sources of the crates. `system` is not among them: what it gives asks its simulation, which is made of what it gives.
const CRATES: [&str; 6] = ["store/src", "release/src", "agent/src", "jinja/src", "environments/src", "src"];

/// The stages of an evaluation, each of which knows those before it. `notes` and `evaluate` are files: what every stage
/// tells, and what calls them all.
const STAGES: [&str; 12] = [
    "notes",
    "text",
    "template",
    "file",
    "project",
    "component",
    "starlark",
    "model",
    "values",
    "rounds",
    "render",
    "evaluate",
];

/// A circle that may be: its files, and why.
struct Circle {
    of: &'static str,
    files: &'static [&'static str],
    why: &'static str,
}

const CIRCLES: [Circle; 1] = [Circle {
    of: "agent/src",
    files: &["unit", "unit::step"],
    why: "each kind of unit is called by what all kinds have in common, and uses it",
}];

/// What is done to the machine past `system`, as the words and signs of Rust. The methods of `Path` that look at files are
/// refused by `clippy.toml`, which knows types.
const PAST_SYSTEM: [&str; 13] = [
    "std::fs",
    "std::os::unix::fs",
    "rustix::fs",
    "std::thread",
    "std::sync::mpsc",
    "std::process::id",
    "std::{",
    "Instant::now",
    "SystemTime::now",
    "UNIX_EPOCH.elapsed",
    "rayon::",
    "tempfile::",
    "walkdir::",
];

/// Files that do so nevertheless, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("agent/src/command.rs", "std::fs", "the pipes of programs, of which a simulated one has none"),
    ("agent/src/facts/builtin.rs", "std::thread", "how many processors the machine has"),
    ("agent/src/serve.rs", "rustix::fs", "the umask, which is the process's"),
];

fn graph(of: &str) -> Graph {
    Graph::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(of))
}

#[test]
fn no_stage_imports_one_above_it() {
    let graph = graph("environments/src");
    let stage = |module: &str| {
        let first = module.split("::").next().unwrap_or_default();
        STAGES.iter().position(|stage| *stage == first)
    };
    let (mut upwards, mut downwards) = (Vec::new(), 0);
    for (from, to) in graph.edges().filter(|(from, _)| !from.is_empty()) {
        let rank = |module| stage(module).unwrap_or_else(|| panic!("`{module}` is in no stage"));
        if rank(to) > rank(from) {
            upwards.push(format!("{from} imports {to}"));
        }
        downwards += usize::from(rank(to) < rank(from));
    }
    assert!(upwards.is_empty(), "a stage knows only those before it:\n{}", upwards.join("\n"));
    assert!(downwards > 100, "only {downwards} imports were found: are they read?");
}

#[test]
fn files_that_lead_back_to_themselves_are_few_and_known() {
    let found: BTreeSet<(String, Vec<String>)> = CRATES
        .iter()
        .flat_map(|of| graph(of).circles().into_iter().map(|files| ((*of).to_owned(), files)))
        .collect();
    let known: BTreeSet<(String, Vec<String>)> = CIRCLES
        .iter()
        .map(|circle| (circle.of.to_owned(), circle.files.iter().map(|file| (*file).to_owned()).collect()))
        .collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    let arrows = |(of, files): &(String, Vec<String>)| {
        let graph = graph(of);
        let within = |file: &str| files.iter().any(|one| one == file);
        let edges = graph.edges().filter(|(from, to)| within(from) && within(to));
        edges.map(|(from, to)| format!("  {from} -> {to}\n")).collect::<String>()
    };
    let shown: String =
        new.iter().map(|circle| format!("{}: {:?}\n{}", circle.0, circle.1, arrows(circle))).collect();
    assert!(CIRCLES.iter().all(|circle| !circle.why.is_empty()), "each circle has its reason");
    assert!(new.is_empty(), "these files lead back to themselves:\n{shown}");
    assert!(gone.is_empty(), "these circles are open: take them off the list: {gone:?}");
}

#[test]
fn files_threads_and_time_are_had_from_system() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for file in ["store/src", "agent/src"].iter().flat_map(|of| WalkDir::new(root.join(of))) {
        let path = file.unwrap().into_path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "rs")
            || name.contains("/tests/")
            || name.ends_with("/tests.rs")
        {
            continue;
        }
        let words = code::tokens(&fs::read_to_string(&path).unwrap());
        for past in PAST_SYSTEM {
            let wanted = code::tokens(past);
            if words.windows(wanted.len()).any(|some| *some == *wanted) {
                found.insert((name.clone(), past));
            }
        }
    }
    let excepted: BTreeSet<_> =
        EXCEPTIONS.iter().map(|(file, past, _)| ((*file).to_owned(), *past)).collect();
    let new: Vec<_> = found.difference(&excepted).collect();
    let old: Vec<_> = excepted.difference(&found).collect();
    assert!(EXCEPTIONS.iter().all(|(_, _, why)| !why.is_empty()), "each exception has its reason");
    assert!(new.is_empty(), "these do not ask `batou_system`, and so escape a simulation: {new:#?}");
    assert!(old.is_empty(), "these are no exceptions any more: take them off the list: {old:#?}");
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let graph = Graph::of(&[
        ("", "mod a;\nmod b;\npub use a::One;\nuse a::{self, Two as Other};"),
        ("a", "use crate::b::{Deep, inner::*};\nuse std::fmt;\nfn f() { \"crate::c::C\"; /* crate::c */ }"),
        ("b", "pub use inner::Deep; // crate::c\nmod inner;"),
        ("b::inner", "use super::super::c::{C, D};\n#[cfg(test)]\nmod tests { use crate::a::One; }"),
        ("c", "fn f() -> char { '\"' }\nfn g() { crate::One; r#\"crate::b::X\"#; }"),
    ]);
    let edges: Vec<String> = graph.edges().map(|(from, to)| format!("{from}->{to}")).collect();
    assert_eq!(edges, ["->a", "a->b::inner", "b::inner->c", "c->a"]);
    assert_eq!(graph.circles(), [["a", "b::inner", "c"]]);
}
