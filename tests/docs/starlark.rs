//! The reference of what there is in Starlark: written from the functions themselves, and checked.

use std::fmt::Write as _;
use std::fs;

use batou_environments::{StarlarkEntry, starlark_language, starlark_reference};

use super::markdown::{Chapter, Piece};
use super::project::{self, Project};
use super::{chapter, root};

pub(super) const CHAPTER: &str = "reference/starlark.md";
const PATH: &str = "docs/src/reference/starlark.md";

/// What stands below is made from the code.
const MARKER: &str = "<!-- from the code -->\n";

/// Before each example.
const EXAMPLE: &str = "<!-- file: components/app/component.star -->\n";

/// For an example that declares its components by `component()`; others have the environment of the whole chapter.
const ENVIRONMENT: &str =
    "<!-- file: environments/dev/environment.toml\n[hosts]\nweb01 = [COMPONENTS]\n-->\n";

/// What entries belong to, the title of their part, and what it begins with.
const PARTS: [(&str, &str, &str); 11] = [
    ("", "Functions", "At the top of a file, in functions, and in `configure`, as each of them says."),
    (
        "c",
        "The component",
        "`c` in `configure(c)`, and every sub-component. Its attributes are `c.NAME`. `options` are the keys of the same name in [component.toml](component.md).",
    ),
    ("definition", "Definitions", "What `definition()` gives. Calling it makes a sub-component."),
    (
        "file",
        "Files, folders, links and steps",
        "What `c.file`, `c.directory`, `c.symlink` and `c.step` give. As a string it is its path.",
    ),
    (
        "address",
        "Addresses",
        "What `address()` gives, and attributes of this type. As a string it is `host:port`, or `[v6]:port`.",
    ),
    (
        "namespace",
        "Host, environment and settings",
        "`c.host`, `c.environment` and `c.settings` give values by name: `c.host.fqdn`, `c.host.data[\"alias\"]`.",
    ),
    ("json", "json", ""),
    ("yaml", "yaml", ""),
    ("toml", "toml", ""),
    ("ini", "ini", ""),
    ("hashing", "hashing", ""),
];

/// `BATOU_UPDATE_DOCS=1` writes the chapter anew.
#[test]
fn the_reference_of_starlark_is_what_the_code_says() {
    let path = root().join(PATH);
    let written = fs::read_to_string(&path).unwrap();
    let (head, _) = written.split_once(MARKER).expect("the marker of what is made from the code");
    let text = format!("{head}{MARKER}{}", generated());
    if std::env::var_os("BATOU_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == text, "{PATH} is old: run this test with BATOU_UPDATE_DOCS=1");
}

fn generated() -> String {
    let entries = starlark_reference();
    let mut text = String::new();
    for (of, title, intro) in PARTS {
        let _ = writeln!(text, "\n## {title}");
        if !intro.is_empty() {
            let _ = writeln!(text, "\n{intro}");
        }
        let own: Vec<_> = entries.iter().filter(|entry| entry.of == of).collect();
        assert!(!own.is_empty(), "nothing belongs to {of:?}");
        for entry in own {
            function(&mut text, entry);
        }
    }
    let known = |entry: &&StarlarkEntry| PARTS.iter().any(|(of, ..)| *of == entry.of);
    assert_eq!(entries.iter().filter(known).count(), entries.len(), "a part of the chapter is missing");
    language(&mut text);
    text
}

/// One function or value.
fn function(text: &mut String, entry: &StarlarkEntry) {
    assert!(!entry.doc.is_empty(), "{}.{} has no documentation", entry.of, entry.name);
    let dot = if entry.of.is_empty() { "" } else { "." };
    let _ = writeln!(
        text,
        "\n### {}{dot}{}\n\n```text\n{}{dot}{}\n```\n",
        entry.of, entry.name, entry.of, entry.signature
    );
    let _ =
        writeln!(text, "{}", entry.doc.trim().replace("```starlark\n", &format!("{EXAMPLE}```starlark\n")));
    text.push_str(&environment(&entry.doc));
}

/// The environment of an example, with the components that it names; empty if it names none.
fn environment(doc: &str) -> String {
    let declared = doc.split("component(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: Vec<_> = declared.map(|name| format!("{:?}", name.replace("%d", "1"))).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("\n{}", ENVIRONMENT.replace("COMPONENTS", &names.join(", ")))
}

/// What Starlark has by itself, a line each.
fn language(text: &mut String) {
    text.push_str("\n## Starlark itself\n\nThe functions and methods of the language; [its specification](https://github.com/bazelbuild/starlark/blob/master/spec.md) has the details.\n");
    let mut last = None;
    for entry in starlark_language() {
        if last.as_ref() != Some(&entry.of) {
            let _ = writeln!(
                text,
                "\n| {} | |\n|---|---|",
                if entry.of.is_empty() { "functions" } else { &entry.of }
            );
            last = Some(entry.of.clone());
        }
        if ["False", "None", "True"].contains(&entry.name.as_str()) {
            continue;
        }
        let first = summary(&entry.doc);
        let _ =
            writeln!(text, "| `{}` | {} |", entry.signature.replace('|', "\\|"), first.replace('|', "\\|"));
    }
}

/// The first paragraph of the interpreter's own documentation, which often begins with a link.
fn summary(doc: &str) -> String {
    let first = doc.split("\n\n").next().and_then(|first| first.split("```").next()).unwrap_or_default();
    let first =
        first.split_once("): ").filter(|(link, _)| link.starts_with('[')).map_or(first, |(_, rest)| rest);
    first.trim().replace('\n', " ")
}

/// A line `EXPRESSION  # gives TEXT` in an example is true: `str(EXPRESSION)` is the text.
#[test]
fn examples_give_what_they_say() {
    let page: Chapter = chapter(PATH);
    let (mut checked, mut examples) = (0, 0);
    for one in Project::of(&page, 3) {
        let [mut files] = one.forms().try_into().unwrap();
        examples += one
            .pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Block { info, .. } if info == "starlark"))
            .count();
        for (_, text) in files.iter_mut().filter(|(path, _)| path.ends_with("/component.star")) {
            *text = text.lines().map(|line| asserted(line, &mut checked) + "\n").collect();
        }
        let output = project::sandbox(&files).batou(&["check"]);
        assert_eq!(output.status, Some(0), "{}\n{files:#?}\n{}", one.place, output.stderr);
    }
    assert!(checked >= 20 && examples >= 30, "only {checked} results in {examples} examples were found");
}

fn asserted(line: &str, checked: &mut usize) -> String {
    let Some((code, result)) = line.split_once("  # gives ") else { return line.to_owned() };
    *checked += 1;
    let indent = &code[..code.len() - code.trim_start().len()];
    let (code, result) = (code.trim(), result.replace('"', "\\\""));
    format!("{indent}if str({code}) != \"{result}\": fail(\"gives\", str({code}))")
}
