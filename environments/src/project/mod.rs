//! `batou.toml`, and the environments of a project.

pub(crate) mod environment;
pub(crate) mod facts;
pub(crate) mod host;
pub(crate) mod host_tables;
pub(crate) mod inventory;
pub(crate) mod overlay;
pub(crate) mod overrides;
pub(crate) mod pattern;
pub(crate) mod policy;

use std::path::{Path, PathBuf};

use crate::text::diagnostic::{Diagnostic, Diagnostics, Problems};
use batou_release::FactSources;
use batou_system::fs::is_taken;

use crate::file::{self, TableReader};
use crate::text::name::is_project_or_environment;

/// A project: the folder that holds `batou.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// `name` of `[project]`.
    pub name: String,
    /// The folder, absolute, without symlinks.
    pub root: PathBuf,
    /// `[facts]`: what its hosts are asked.
    pub facts: FactSources,
}

/// Reads the project in `directory` itself; folders above are not searched.
pub fn project(directory: &Path) -> Result<Project, Diagnostics> {
    let mut problems = Problems::default();
    let found = read(directory, &mut problems);
    problems.finish()?;
    found.ok_or_else(|| Diagnostic::error("batou.toml has no [project] with a name").into())
}

fn read(directory: &Path, problems: &mut Problems) -> Option<Project> {
    let root = match directory.canonicalize() {
        Ok(root) if root.to_str().is_some() => root,
        Ok(root) => {
            let message = format!("the project's folder {} is not UTF-8", root.display());
            problems.push(Diagnostic::error(message).help("rename the folder"));
            return None;
        }
        Err(error) => {
            problems.push(Diagnostic::error(format!("cannot open {}: {error}", directory.display())));
            return None;
        }
    };
    let path = Path::new("batou.toml");
    if !is_taken(root.join(path)) {
        let message = format!("{} is not a batou project: there is no batou.toml", root.display());
        problems.push(
            Diagnostic::error(message).help("run `batou init` there, or name another folder with --project"),
        );
        return None;
    }
    let (table, at) = file::load(&root, path, problems)?;
    let mut reader = TableReader::new(&table, &at, "batou.toml", problems);
    let project = reader.table("project");
    if project.is_none() && !reader.has("project") {
        reader.problems.push(Diagnostic::error("[project] is missing in batou.toml").at(&at));
    }
    let facts = reader.table("facts").map(|(table, _)| table);
    reader.finish();
    let facts = facts.map(|table| facts::check(table, problems)).unwrap_or_default();
    let (table, at) = project?;
    let mut reader = TableReader::new(table, at, "[project]", problems);
    let name = reader.required("name");
    reader.finish();
    let name = name?;
    if !is_project_or_environment(&name.value) {
        let message = format!("`{}` is not a project's name", name.value);
        problems.push(Diagnostic::error(message).at(&name.at).help(NAME_HELP));
    }
    Some(Project { name: name.value, root, facts })
}

/// What a project's name may consist of, as advice.
pub const NAME_HELP: &str = "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit";

/// Whether a project can have this name.
pub fn is_project_name(name: &str) -> bool {
    is_project_or_environment(name)
}

/// The environments of a project, sorted: the folders below `environments/` that hold an `environment.toml`.
pub fn environment_names(project: &Project) -> Result<Vec<String>, Diagnostics> {
    let folder = project.root.join("environments");
    let unreadable = |error: std::io::Error| {
        Diagnostic::error(format!("cannot read: {error}")).in_file(Path::new("environments"))
    };
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if !is_taken(entry.path().join("environment.toml")) {
            continue;
        }
        match entry.file_name().into_string() {
            Ok(name) if is_project_or_environment(&name) => names.push(name),
            other => {
                let name = other.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                let message = format!("`{name}` is not an environment's name");
                let help = "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
                return Err(Diagnostic::error(message)
                    .in_file(&Path::new("environments").join(name))
                    .help(help)
                    .into());
            }
        }
    }
    names.sort();
    Ok(names)
}
