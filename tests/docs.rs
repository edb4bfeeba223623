//! The documentation is true: its projects are sound, its consoles show what happens, and the commands, options, modules
//! and files that it names exist.
//!
//! A `toml`, `starlark` or `jinja` block of a chapter belongs to the file that the comment before it names
//! (`<!-- file: PATH -->`). The blocks below one `##` heading make one project, together with files that readers do not
//! see: comments that hold a file's path and, on the lines after it, its content (`every section: PATH` for all sections of
//! the chapter). A component that is shown both in TOML and in Starlark makes two projects, which must build the same.
//!
//! `python` and `ini` blocks are the same project for batou 2. It deploys them, and must make the same files.

mod batou2;
mod console;
mod markdown;
mod modules;
mod project;
mod starlark;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use walkdir::WalkDir;

use crate::common::{Sandbox, counted, python};
use markdown::Chapter;
use project::Project;

const COMMANDS: &str = "docs/src/reference/commands.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapter(path: &str) -> Chapter {
    Chapter::read(root(), Path::new(path))
}

/// All pages for users, and those for contributors.
fn pages() -> Vec<Chapter> {
    let book = WalkDir::new(root().join("docs/src")).sort_by_file_name().into_iter();
    let book = book
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"));
    let others = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "store/README.md"];
    let relative = |path: PathBuf| path.strip_prefix(root()).unwrap().to_owned();
    let paths = others.map(PathBuf::from).into_iter().chain(book.map(relative));
    paths.map(|path| Chapter::read(root(), &path)).collect()
}

/// How deep a chapter is cut into projects: the reference of functions below each of them.
fn depth(page: &Chapter) -> usize {
    if page.path().ends_with(starlark::CHAPTER) { 3 } else { 2 }
}

fn projects() -> Vec<Project> {
    pages().iter().flat_map(|page| Project::of(page, depth(page))).collect()
}

#[test]
fn projects_in_the_book_are_sound() {
    let mut mistakes = Vec::new();
    for page in pages() {
        let lines = Project::unnamed(page.pieces());
        mistakes.extend(lines.map(|line| format!("{page}:{line}: no comment says which file this is")));
    }
    let projects = projects();
    for project in projects.iter().filter(|project| !project.shows_mistakes()) {
        for files in project.forms() {
            let output = project::sandbox(&files).batou(&["check"]);
            if output.status != Some(0) {
                mistakes.push(format!("{}: {files:#?}\n{}{}", project.place, output.stdout, output.stderr));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
    assert!(projects.len() > 20, "only {} projects were found", projects.len());
}

#[test]
fn both_forms_of_a_component_make_the_same() {
    let mut compared = 0;
    for project in projects() {
        let [toml, star] = project.forms().try_into().unwrap_or_default();
        if star.is_empty() {
            continue;
        }
        compared += 1;
        // In one folder, since a release on this machine is below it, and files may say so.
        let sandbox = project::sandbox(&toml);
        let ids = || -> Vec<String> {
            let lines = sandbox.batou(&["build", "--json"]).success().json();
            lines.iter().map(|line| format!("{} {}", line["artifact"], line["release"])).collect()
        };
        let as_toml = ids();
        fs::remove_dir_all(sandbox.project().join("components")).unwrap();
        project::write(&sandbox, &star);
        assert_eq!(as_toml, ids(), "{}", project.place);
    }
    assert!(compared >= 3, "only {compared} were found");
}

#[test]
fn batou_2_makes_the_same_files() {
    let Some(program) = python("batou", "the examples of batou 2 in the book") else { return };
    let projects = projects();
    let projects: Vec<&Project> = projects.iter().filter(|project| project.has_batou_2()).collect();
    // batou 2 mostly waits.
    let parts = projects.chunks(projects.len().div_ceil(4));
    let program = &program;
    let compared: usize = thread::scope(|threads| {
        let compare = |part: &'_ [&Project]| {
            part.iter().map(|project| batou2::compare(project, program)).sum::<usize>()
        };
        let running: Vec<_> = parts.map(|part| threads.spawn(move || compare(part))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    counted(&format!("{compared} files of batou 2 were compared, in {} examples", projects.len()));
    assert!(compared >= 40, "only {compared} were found");
}

#[test]
fn consoles_of_projects_show_what_happens() {
    let mut mistakes = Vec::new();
    let mut replayed = 0;
    for project in projects() {
        let commands = console::commands(&project.pieces, &project.place);
        if commands.is_empty() || console::REPLAYED.iter().any(|(path, _)| project.place.starts_with(path)) {
            continue;
        }
        let files = if project.has_batou_2() { project.all() } else { &project.forms().remove(0) };
        let sandbox = project::sandbox(files);
        if project.has_batou_2() {
            let Some(program) = python("batou", &project.place) else { continue };
            batou2::prepare(&sandbox, files, &program);
        }
        replayed += commands.len();
        let found = console::replay(&sandbox, &commands).mistakes;
        mistakes.extend(found.into_iter().map(|mistake| format!("{}:{mistake}", project.place)));
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(replayed > 5, "only {replayed} commands were found");
}

/// `BATOU_UPDATE_DOCS=1` writes the ids anew: those of releases change with the format of manifests.
#[test]
fn consoles_show_what_happens() {
    let mut mistakes = Vec::new();
    for (path, least) in console::REPLAYED {
        let commands = console::commands(chapter(path).pieces(), path);
        assert!(commands.len() >= least, "{path} has {} commands", commands.len());
        let found = console::replay(&Sandbox::new(), &commands);
        mistakes.extend(found.mistakes.into_iter().map(|mistake| format!("{path}:{mistake}")));
        if std::env::var_os("BATOU_UPDATE_DOCS").is_some() {
            let page = fs::read_to_string(root().join(path)).unwrap();
            let page = found.ids.iter().fold(page, |page, (old, new)| page.replace(old, new));
            fs::write(root().join(path), page).unwrap();
        } else if !found.ids.is_empty() {
            let help = "run this test with BATOU_UPDATE_DOCS=1";
            mistakes.push(format!("{path}: old ids, and what they are now: {:?}; {help}", found.ids));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn the_two_commands_of_the_readme_work() {
    let page = chapter("README.md");
    let first: Vec<_> = page.code().into_iter().take(2).collect();
    let words = |line: &str| {
        line.split('#').next().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = words(&first[0]);
    let (cargo, batou) = run.split_at(4);
    assert_eq!(cargo, ["cargo", "run", "--release", "--"]);
    let sandbox = Sandbox::example("quickstart");
    let here = sandbox.project().display().to_string();
    let there = |word: &String| if word == "examples/quickstart" { here.clone() } else { word.clone() };
    let arguments: Vec<_> = batou.iter().map(there).collect();
    sandbox.batou(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).success();
    assert!(sandbox.project().join("work/dev/current").exists());

    let make = words(&first[1]);
    assert_eq!(make[0], "make");
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(makefile.lines().any(|line| line.starts_with(&format!("{}:", make[1]))), "no target {}", make[1]);
}

/// The names of the subcommands that a help text lists, without `help`, which prints the same texts.
fn subcommands(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// What every command's `--help` prints, by the words of the command; the program itself is the empty text.
fn helps() -> BTreeMap<String, String> {
    let sandbox = Sandbox::new();
    let help = |words: &str| {
        let words = words.split_whitespace().chain(["--help"]).collect::<Vec<_>>();
        sandbox.batou(&words).success().stdout
    };
    let mut helps = BTreeMap::from([(String::new(), help(""))]);
    let mut waiting = subcommands(&helps[""]);
    while let Some(command) = waiting.pop() {
        let text = help(&command);
        waiting.extend(subcommands(&text).iter().map(|below| format!("{command} {below}")));
        helps.insert(command, text);
    }
    helps
}

#[test]
fn commands_and_options_exist() {
    let helps = helps();
    let has = |help: &str, option: &str| {
        help.split(|c: char| c.is_whitespace() || ",[]<>=".contains(c)).any(|word| word == option)
    };
    let (mut found, mut mistakes) = (0, Vec::new());
    // The chapter on commands is what `--help` prints, with its prose.
    let is_written = |page: &&Chapter| page.is_for_users() && !page.path().ends_with("commands.md");
    for page in pages().iter().filter(is_written) {
        for code in page.code() {
            let is_ours = !page.path().starts_with("docs/src/guide/from-batou-2/");
            if code.starts_with("--") && is_ours {
                let option = code.split([' ', '=']).next().unwrap_or_default();
                if !helps.values().any(|help| has(help, option)) {
                    mistakes.push(format!("{page}: no command has {option}"));
                }
            }
            for (command, options) in console::calls(&code) {
                found += 1;
                let Some(help) = helps.get(&command) else {
                    mistakes.push(format!("{page}: there is no `batou {command}`"));
                    continue;
                };
                let absent = options.iter().filter(|option| !has(help, option));
                mistakes.extend(absent.map(|option| format!("{page}: `batou {command}` has no {option}")));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(found > 80, "only {found} commands were found");
}

/// `BATOU_UPDATE_DOCS=1` writes the chapter anew.
#[test]
fn the_chapter_on_commands_is_what_help_prints() {
    let mut helps = helps();
    let (first, globals) = without_globals(&helps.remove("").unwrap());
    let mut text = format!(
        "# Commands\n\nWhat `batou COMMAND --help` prints.\n\n```text\n{first}```\n\nOptions of every command:\n\n```text\n{globals}```\n"
    );
    for (command, help) in &helps {
        let help = without_globals(help).0;
        text.extend(["\n## batou ", command, "\n\n```text\n", &help, "```\n"]);
    }
    if std::env::var_os("BATOU_UPDATE_DOCS").is_some() {
        fs::write(root().join(COMMANDS), &text).unwrap();
    }
    let written = fs::read_to_string(root().join(COMMANDS)).unwrap();
    assert_eq!(written, text, "{COMMANDS} is old: run this test with BATOU_UPDATE_DOCS=1");
}

/// A help text without its global options, and these alone.
fn without_globals(help: &str) -> (String, String) {
    let (mut rest, mut globals, mut inside) = (Vec::new(), Vec::new(), false);
    for paragraph in help.trim_end().split("\n\n") {
        let is_heading = paragraph.starts_with("Global options:");
        // The long form of help has an empty line between two options.
        inside = is_heading || (inside && paragraph.starts_with("  "));
        if inside { globals.push(paragraph) } else { rest.push(paragraph) }
    }
    (rest.join("\n\n") + "\n", globals.join("\n\n") + "\n")
}

/// `BATOU_UPDATE_DOCS=1` writes the list anew.
#[test]
fn the_list_of_modules_is_what_they_say() {
    let path = root().join("ARCHITECTURE.md");
    let text = modules::written(root(), &fs::read_to_string(&path).unwrap());
    if std::env::var_os("BATOU_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, text, "ARCHITECTURE.md is old: run this test with BATOU_UPDATE_DOCS=1");
}

#[test]
fn links_lead_somewhere() {
    let pages: BTreeMap<PathBuf, Chapter> =
        pages().into_iter().map(|page| (root().join(page.path()).canonicalize().unwrap(), page)).collect();
    let mut mistakes = Vec::new();
    for (path, page) in &pages {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let Ok(target) = target.canonicalize() else {
                mistakes.push(format!("{page}: {link} is not there"));
                continue;
            };
            let has_anchor = || pages.get(&target).is_some_and(|page| page.anchors().contains(anchor));
            if !anchor.is_empty() && !has_anchor() {
                mistakes.push(format!("{page}: {link} has no such heading"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn every_chapter_is_in_the_summary() {
    let listed: BTreeSet<_> = chapter("docs/src/SUMMARY.md").links().into_iter().collect();
    let book = root().join("docs/src");
    let chapters = WalkDir::new(&book).into_iter().map(|entry| entry.unwrap().into_path());
    let chapters = chapters
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .filter(|path| !path.ends_with("SUMMARY.md"));
    let present: BTreeSet<_> =
        chapters.map(|path| path.strip_prefix(&book).unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(listed, present);
}
