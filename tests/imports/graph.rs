//! The files of a crate and what each imports: paths in `use` and in code, followed through what modules hand on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::code::tokens;

/// Who imports whom, by module: `""` is the crate's own file.
pub(super) struct Graph {
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// A path as it is written, and the name that it has there.
struct Import {
    path: Vec<String>,
    name: String,
    public: bool,
}

/// One file.
#[derive(Default)]
struct File {
    imports: Vec<Import>,
    /// Paths in code.
    paths: Vec<Vec<String>>,
}

impl Graph {
    /// The graph of a crate's folder of sources.
    pub(super) fn read(folder: &Path) -> Graph {
        let mut texts = Vec::new();
        collect(folder, &mut Vec::new(), &mut texts);
        let texts: Vec<(&str, &str)> =
            texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Graph::of(&texts)
    }

    /// The graph of modules and their texts.
    pub(super) fn of(texts: &[(&str, &str)]) -> Graph {
        let files: BTreeMap<String, File> =
            texts.iter().map(|(module, text)| ((*module).to_owned(), File::of(&tokens(text)))).collect();
        let imports = files.keys().map(|module| (module.clone(), imports_of(&files, module)));
        Graph { imports: imports.collect() }
    }

    /// Each import once, as the module that imports and the one that is imported.
    pub(super) fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// Files each of which leads to all others of its circle.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.imports.keys().map(|from| (from.as_str(), self.reached(from))).collect();
        let mut circles = BTreeSet::new();
        for (from, all) in &reached {
            let back = all.iter().filter(|to| reached.get(*to).is_some_and(|other| other.contains(from)));
            let circle: Vec<String> = back.map(|to| (*to).to_owned()).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = self.imports[from].iter().map(String::as_str).collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.imports.get(module).into_iter().flatten().map(String::as_str));
            }
        }
        reached
    }
}

fn collect(folder: &Path, module: &mut Vec<String>, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            module.push(name);
            collect(&path, module, texts);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let own = (!["mod", "lib"].contains(&name.as_str())).then_some(name);
            let all: Vec<String> = module.iter().cloned().chain(own).collect();
            texts.push((all.join("::"), fs::read_to_string(&path).unwrap()));
        }
    }
}

impl File {
    fn of(tokens: &[String]) -> File {
        let mut file = File::default();
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| tokens[before].as_str());
            if tokens[at] == "use" {
                let end = at + tokens[at..].iter().position(|token| token == ";").unwrap();
                // `pub(crate)` ends with a parenthesis.
                let public = ["pub", ")"].contains(&before);
                let mut rest = &tokens[at + 1..end];
                tree(&mut rest, &[], public, &mut file.imports);
                at = end;
            } else if before != "::" && tokens.get(at + 1).is_some_and(|next| next == "::") {
                let (path, length) = path(&tokens[at..]);
                file.paths.push(path);
                at += length;
                continue;
            }
            at += 1;
        }
        file
    }
}

/// A path in code, and how many tokens it takes.
fn path(tokens: &[String]) -> (Vec<String>, usize) {
    let mut path = vec![tokens[0].clone()];
    let mut at = 1;
    while let [colons, name, ..] = &tokens[at..] {
        if colons != "::" || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            break;
        }
        path.push(name.clone());
        at += 2;
    }
    (path, at)
}

/// Reads one tree of a `use` up to a comma, a closing brace or the end.
fn tree(tokens: &mut &[String], before: &[String], public: bool, imports: &mut Vec<Import>) {
    let mut path = before.to_vec();
    while let Some((first, rest)) = tokens.split_first() {
        match first.as_str() {
            "::" => {}
            "{" => {
                *tokens = rest;
                while tokens.first().is_some_and(|token| token != "}") {
                    tree(tokens, &path, public, imports);
                    if tokens.first().is_some_and(|token| token == ",") {
                        *tokens = &tokens[1..];
                    }
                }
                *tokens = tokens.get(1..).unwrap_or_default();
                return;
            }
            "," | "}" => break,
            "as" => {
                let name = rest.first().cloned().unwrap_or_default();
                *tokens = rest.get(1..).unwrap_or_default();
                imports.push(Import { path, name, public });
                return;
            }
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        *tokens = rest;
    }
    let name = path.last().cloned().unwrap_or_default();
    imports.push(Import { path, name, public });
}

/// The modules that a module imports something of. To hand a name on is none: who takes it does import it.
fn imports_of(files: &BTreeMap<String, File>, module: &str) -> BTreeSet<String> {
    let file = &files[module];
    let own = file.imports.iter().filter(|import| !import.public).map(|import| &import.path);
    let all = own.chain(&file.paths);
    let found = all.filter_map(|path| resolved(files, module, path, 0)).filter_map(|(found, rest)| {
        // Of a module without a name in it, what is used shows where it is used.
        (!rest.is_empty()).then_some(found)
    });
    found.filter(|found| found != module).collect()
}

/// The module that a path leads to, and what is named in it; `None` for what is not of the crate.
fn resolved(
    files: &BTreeMap<String, File>,
    module: &str,
    path: &[String],
    depth: usize,
) -> Option<(String, Vec<String>)> {
    let (mut at, mut rest) = start(files, module, path, depth)?;
    while let Some((first, after)) = rest.split_first() {
        let deeper = below(&at, first);
        if files.contains_key(&deeper) {
            (at, rest) = (deeper, after.to_vec());
            continue;
        }
        // What is handed on: followed to where it is.
        let handed = files[&at].imports.iter().find(|import| import.public && import.name == *first);
        let Some(handed) = handed.filter(|_| depth < 8) else { break };
        let whole: Vec<String> = handed.path.iter().chain(after).cloned().collect();
        return resolved(files, &at, &whole, depth + 1).or(Some((at, rest)));
    }
    Some((at, rest))
}

/// Where a path begins, and what is left of it.
fn start(
    files: &BTreeMap<String, File>,
    module: &str,
    path: &[String],
    depth: usize,
) -> Option<(String, Vec<String>)> {
    let (first, after) = path.split_first()?;
    match first.as_str() {
        "crate" => Some((String::new(), after.to_vec())),
        "self" => Some((module.to_owned(), after.to_vec())),
        "super" => {
            let mut at = above(module);
            let mut rest = after;
            while let Some((next, more)) = rest.split_first().filter(|(next, _)| *next == "super") {
                debug_assert_eq!(next, "super");
                (at, rest) = (above(at), more);
            }
            Some((at.to_owned(), rest.to_vec()))
        }
        name if files.contains_key(&below(module, name)) => Some((below(module, name), after.to_vec())),
        name => {
            let imported = files[module].imports.iter().find(|import| import.name == name)?;
            if depth >= 8 || imported.path.first() == Some(first) {
                return None;
            }
            let whole: Vec<String> = imported.path.iter().chain(after).cloned().collect();
            resolved(files, module, &whole, depth + 1)
        }
    }
}

fn above(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(above, _)| above)
}

fn below(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}
