//! The components of a project. A component.toml declares the one that its folder is named after, a component.star any
//! number of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batou_system::fs::{is_taken, read_at_most};
use minijinja::Environment;

use crate::model::component::{self, LoadedComponent};
use crate::notes::Notes;
use crate::project::Project;
use crate::starlark::{self, StarlarkComponent};
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::source::At;

/// The components of a project that code declares; those of component.toml are looked up by name.
pub(crate) struct Catalog<'a> {
    project: &'a Project,
    declared: BTreeMap<String, Arc<StarlarkComponent>>,
    /// Whether a component.star could not be loaded, so that it is not known what it declares.
    incomplete: bool,
}

impl<'a> Catalog<'a> {
    /// Loads every component.star.
    pub(crate) fn load(
        project: &'a Project,
        notes: Option<Notes<'_>>,
        problems: &mut Problems,
    ) -> Catalog<'a> {
        let mut own = Problems::default();
        let declared = starlark::load(project, notes, &mut own);
        let incomplete = own.has_errors();
        problems.extend(own);
        Catalog { project, declared, incomplete }
    }

    /// Loads a component; `None` if it does not exist or cannot be used.
    pub(crate) fn component(
        &self,
        name: &str,
        at: &At,
        engine: &Environment<'static>,
        problems: &mut Problems,
    ) -> Option<LoadedComponent> {
        if let Some(declared) = self.declared.get(name) {
            return Some(LoadedComponent::of_code(self.project, declared, engine, problems));
        }
        if is_taken(self.folder().join(name).join("component.toml")) {
            return component::load(self.project, name, engine, problems);
        }
        if !(self.incomplete && self.is_mentioned(name)) {
            problems.push(self.missing(name, at));
        }
        None
    }

    fn folder(&self) -> std::path::PathBuf {
        self.project.root.join("components")
    }

    fn missing(&self, name: &str, at: &At) -> Diagnostic {
        let folders = folders(&self.folder());
        let tables =
            folders.iter().filter(|folder| is_taken(self.folder().join(folder).join("component.toml")));
        let known: Vec<&str> = tables.chain(self.declared.keys()).map(String::as_str).collect();
        let diagnostic = Diagnostic::error(format!("there is no component `{name}`")).at(at);
        match nearest(name, known) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if self.incomplete => diagnostic
                .help("it may be declared by a component.star that cannot be loaded: fix that first"),
            None => diagnostic.help(format!("create components/{name}/component.toml")),
        }
    }

    /// Whether any component.star mentions a name: one that cannot be loaded may declare it.
    fn is_mentioned(&self, name: &str) -> bool {
        let folders = folders(&self.folder());
        folders.iter().any(|folder| {
            let path = self.folder().join(folder).join("component.star");
            if folder == name {
                return is_taken(path);
            }
            // What the loader refuses to read mentions nothing.
            let text = read_at_most(path, starlark::LARGEST).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&format!("\"{name}\""))
        })
    }
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
