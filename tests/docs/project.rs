//! The projects that stand in a chapter: the files of one section, which readers see or do not see.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{Chapter, Piece};
use crate::common::Sandbox;

/// What must say which file it is.
const NAMED: [&str; 4] = ["toml", "starlark", "python", "ini"];

/// Files by path.
pub(super) type Files = BTreeMap<String, String>;

/// A section of a chapter as a project.
pub(super) struct Project {
    /// Where it begins, for messages.
    pub(super) place: String,
    /// All files, those of batou 2 among them.
    files: Files,
    pub(super) pieces: Vec<Piece>,
}

impl Project {
    /// The projects of a chapter: what stands below each heading of level 2, and of `depth` at most.
    pub(super) fn of(page: &Chapter, depth: usize) -> Vec<Project> {
        let sections = page.sections(depth).into_iter();
        sections.filter_map(|pieces| Project::new(page, pieces)).collect()
    }

    fn new(page: &Chapter, pieces: Vec<Piece>) -> Option<Project> {
        let mut files = files_of(&pieces);
        if files.is_empty() {
            return None;
        }
        for (path, content) in page.everywhere() {
            files.entry(path.to_owned()).or_insert_with(|| content.to_owned());
        }
        let title = pieces.iter().find_map(|piece| match piece {
            Piece::Heading { title, .. } => Some(title.as_str()),
            _ => None,
        });
        let place = format!("{page}, \"{}\"", title.unwrap_or_default());
        Some(Project { place, files, pieces })
    }

    /// The lines of blocks that ought to be named, and are not.
    pub(super) fn unnamed(pieces: &[Piece]) -> impl Iterator<Item = usize> {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Block { info, file: None, line, .. } if NAMED.contains(&info.as_str()) => Some(*line),
            _ => None,
        })
    }

    /// Whether there is something of batou 2 to compare with.
    pub(super) fn has_batou_2(&self) -> bool {
        self.files.keys().any(|path| path.ends_with("/component.py"))
    }

    /// Whether it is there to show what is said about mistakes: a command of its console fails.
    pub(super) fn shows_mistakes(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(piece, Piece::Block { info, text, .. } if info == "console" && text.contains("\nerror: "))
        })
    }

    /// All files, of both.
    pub(super) fn all(&self) -> &Files {
        &self.files
    }

    /// Our own projects: two where components are shown in both forms.
    pub(super) fn forms(&self) -> Vec<Files> {
        let own: Files = self.files.iter().filter(|(path, _)| !is_batou_2(path)).map(owned).collect();
        let folder = |path: &str| path.strip_suffix("component.star").map(str::to_owned);
        let both: BTreeSet<String> = own
            .keys()
            .filter_map(|path| folder(path))
            .filter(|folder| own.contains_key(&format!("{folder}component.toml")))
            .collect();
        if both.is_empty() {
            return vec![own];
        }
        let without = |form: &str| -> Files {
            let gone = |path: &str| both.iter().any(|folder| path == format!("{folder}component.{form}"));
            own.iter().filter(|(path, _)| !gone(path)).map(owned).collect()
        };
        vec![without("toml"), without("star")]
    }
}

fn owned((path, text): (&String, &String)) -> (String, String) {
    (path.clone(), text.clone())
}

fn is_batou_2(path: &str) -> bool {
    path.ends_with("/component.py") || path.ends_with("/environment.cfg")
}

/// The files that a section shows or hides; pieces of one file are joined.
fn files_of(section: &[Piece]) -> Files {
    let mut files = Files::new();
    for piece in section {
        let (Piece::Block { file: Some(path), text, .. } | Piece::Hidden { path, text }) = piece else {
            continue;
        };
        files.entry(path.clone()).or_default().push_str(text);
    }
    files
}

/// A project of these files. Without an environment it has one, in which this machine has all components.
pub(super) fn sandbox(files: &Files) -> Sandbox {
    let sandbox = Sandbox::new();
    write(&sandbox, files);
    sandbox
}

/// Writes the files into a sandbox, with what every project needs.
pub(super) fn write(sandbox: &Sandbox, files: &Files) {
    sandbox.write("batou.toml", "[project]\nname = \"shop\"\n");
    if !files.keys().any(|path| path.ends_with("/environment.toml")) {
        let list = components(files).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let text = format!("[environment]\nconnect_method = \"local\"\n\n[hosts]\nlocalhost = [{list}]\n");
        sandbox.write("environments/dev/environment.toml", text);
    }
    for (path, text) in files {
        sandbox.write(path, text);
    }
}

/// The names of the components' folders.
pub(super) fn components(files: &Files) -> impl Iterator<Item = &str> {
    let names = files.keys().filter_map(|path| path.strip_prefix("components/")?.split('/').next());
    names.collect::<BTreeSet<_>>().into_iter()
}
