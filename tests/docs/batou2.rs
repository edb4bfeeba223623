//! The examples of batou 2 in the book: it deploys them, and what it makes is compared with what batou makes of the
//! examples beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::WalkDir;

use super::project::{self, Files, Project};
use crate::common::{Output, Sandbox};

/// What `batou migrate` of the pinned version writes.
const MIGRATED: &str = "{\"migration\": {\"version\": 2400}}";

/// What a component's file is: its bytes and whether it can be run, or where a link leads that leads nowhere here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    File(String, bool),
    Link(String),
}

/// Host and path, which begins with the component.
type Tree = BTreeMap<(String, String), Made>;

/// Writes what batou 2 needs into the project: its environment, and `./batou`.
pub(super) fn prepare(sandbox: &Sandbox, files: &Files, program: &Path) {
    if !files.keys().any(|path| path.ends_with("/environment.cfg")) {
        let with_code = |name: &&str| files.contains_key(&format!("components/{name}/component.py"));
        let list = project::components(files).filter(with_code).collect::<Vec<_>>().join(", ");
        sandbox.write(
            "environments/dev/environment.cfg",
            format!("[environment]\nconnect_method = local\n[hosts]\nlocalhost = {list}\n"),
        );
    }
    sandbox.write(".batou.json", MIGRATED);
    let script = format!("#!/bin/sh\nAPPENV_BASEDIR=$PWD exec {} \"$@\"\n", program.display());
    sandbox.write("batou", script);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.project().join("batou"), mode).unwrap();
}

/// What batou 2 makes must be what batou makes, in each form that is shown. Says how many files that are.
pub(super) fn compare(project: &Project, program: &Path) -> usize {
    let theirs = deployed(project, program);
    assert!(!theirs.is_empty(), "{}: batou 2 made nothing", project.place);
    for files in project.forms() {
        assert_eq!(built(&files), theirs, "{}", project.place);
    }
    theirs.len()
}

/// What batou 2 makes on each host.
fn deployed(project: &Project, program: &Path) -> Tree {
    let sandbox = Sandbox::new();
    project::write(&sandbox, project.all());
    prepare(&sandbox, project.all(), program);
    let environment = environment(&sandbox);
    let path = format!("environments/{environment}/environment.cfg");
    let config = sandbox.read(&path);
    let mut tree = Tree::new();
    for host in hosts(&config) {
        sandbox.write(&path, only(&config, &host));
        Output::of(sandbox.program("./batou").args(["deploy", &environment])).success();
        let work = sandbox.project().join("work");
        collect(&mut tree, &host, &work);
        // A path that a file holds is one below `work`, whichever host it is of.
        fs::remove_dir_all(work).unwrap();
    }
    tree
}

/// What batou makes on each host: by a release where this machine is the only one, else by a build.
fn built(files: &Files) -> Tree {
    let sandbox = project::sandbox(files);
    let environment = environment(&sandbox);
    let text = sandbox.read(&format!("environments/{environment}/environment.toml"));
    let mut tree = Tree::new();
    if text.contains("connect_method = \"local\"") {
        sandbox.batou(&["switch", &environment]).success();
        let target = sandbox.project().join("work").join(&environment);
        collect(&mut tree, "localhost", &target.join("current"));
        collect(&mut tree, "localhost", &target.join("state"));
    } else {
        sandbox.batou(&["build", &environment]).success();
        for host in fs::read_dir(sandbox.project().join("result").join(&environment)).unwrap() {
            let host = host.unwrap();
            let name = host.file_name().into_string().unwrap();
            collect(&mut tree, name.split('.').next().unwrap(), &host.path());
        }
    }
    tree
}

fn environment(sandbox: &Sandbox) -> String {
    let folder = sandbox.project().join("environments");
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let [name] = names.as_slice() else { panic!("{names:?}: more than one environment") };
    name.clone().into_string().unwrap()
}

/// The files below a folder of components.
fn collect(tree: &mut Tree, host: &str, folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    for component in entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        let name = component.file_name().into_string().unwrap();
        // What is in `current` is a link to a component, and so is what is in `result`.
        let root = component.path().canonicalize().unwrap();
        for entry in WalkDir::new(&root).min_depth(1) {
            let entry = entry.unwrap();
            let below = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if let Some(made) = made(entry.path()) {
                tree.insert((host.to_owned(), format!("{name}/{below}")), made);
            }
        }
    }
}

/// `None` for a folder.
fn made(path: &Path) -> Option<Made> {
    let Ok(found) = fs::metadata(path) else {
        return Some(Made::Link(fs::read_link(path).unwrap().to_str().unwrap().to_owned()));
    };
    let text = || String::from_utf8(fs::read(path).unwrap()).unwrap();
    found.is_file().then(|| Made::File(text(), found.permissions().mode() & 0o100 != 0))
}

/// The section that a line of an environment begins, as `[NAME]`.
fn section(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']')
}

/// The hosts of an environment that are not left out.
fn hosts(config: &str) -> BTreeSet<String> {
    let (mut hosts, mut inside) = (BTreeSet::new(), false);
    for line in config.lines() {
        if let Some(name) = section(line) {
            inside = name == "hosts";
            hosts.extend(name.strip_prefix("host:").map(str::to_owned));
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            hosts.insert(name.trim().to_owned());
        }
    }
    hosts.retain(|host| !host.starts_with('!'));
    hosts
}

/// The environment in which only one host is deployed to, and that is this machine.
fn only(config: &str, host: &str) -> String {
    let (mut lines, mut current) = (vec!["[environment]", "connect_method = local"], "");
    let ignored = |name: &str| name != host && !name.starts_with('!');
    let mut changed = Vec::new();
    for line in config.lines() {
        if let Some(name) = section(line) {
            current = name;
        }
        let own = line.split_once('=').map(|(key, _)| key.trim());
        let other = own.is_some_and(|name| current == "hosts" && ignored(name));
        let other_host = section(line).and_then(|name| name.strip_prefix("host:")).is_some_and(ignored);
        changed.push(match () {
            () if other => format!("!{line}"),
            () if other_host => format!("{line}\nignore = True"),
            () if line == "[environment]" || own == Some("connect_method") => String::new(),
            () => line.to_owned(),
        });
    }
    lines.extend(changed.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

#[test]
fn an_environment_is_cut_down_to_a_host() {
    let config = "[environment]\nservice_user = x\nconnect_method = ssh\n[hosts]\na = x\n!b = x\nc = x\n[host:d]\ncomponents = x\n";
    assert_eq!(Vec::from_iter(hosts(config)), ["a", "c", "d"]);
    assert_eq!(
        only(config, "a"),
        "[environment]\nconnect_method = local\n\nservice_user = x\n\n[hosts]\na = x\n!b = x\n!c = x\n[host:d]\nignore = True\ncomponents = x\n"
    );
}
