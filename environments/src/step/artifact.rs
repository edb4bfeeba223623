//! What steps depend on in their component's artifact, and what they may ask of it.

use std::path::Path;

use minijinja::value::Value;

use super::trigger::{Trigger, digest};
use crate::diagnostic::{Diagnostic, nearest};
use crate::render::InstanceRender;
use crate::source::At;
use crate::sources::Body;

/// Says what is at a path in an artifact: a text that differs where content, mode or kind do.
pub type Describe<'a> = dyn Fn(&str) -> String + Sync + 'a;

/// A component's artifact, as its steps see it.
#[derive(Clone, Copy)]
pub(crate) struct BuiltArtifact<'a> {
    /// Its path on the host.
    pub(crate) path: &'a str,
    /// What is at a path in it.
    pub(crate) describe: &'a Describe<'a>,
}

impl InstanceRender<'_> {
    /// The digest of what a step's trigger names.
    pub(crate) fn trigger(&mut self, trigger: &Trigger) -> Option<String> {
        if let Some(requirements) = trigger.requirements(&self.component.definition.requires) {
            let requirements = self.reported(requirements)?;
            let value = |require| self.world.resource(self.index, require);
            let values: Option<Vec<Value>> = requirements.into_iter().map(value).collect();
            let texts: Vec<String> = values?.iter().map(Value::to_string).collect();
            return Some(digest(texts.iter().map(String::as_str)));
        }
        let component = self.component;
        let files = component.files.iter().map(|file| file.path.as_str());
        let symlinks = component.definition.symlinks.iter().map(|symlink| symlink.path.as_str());
        let all: Vec<&str> = files.chain(symlinks).collect();
        let paths = self.reported(trigger.paths(&all))?;
        Some(self.described(&paths))
    }

    /// The digest of a script of the component, which must be a file that can be run.
    pub(crate) fn script(&mut self, path: &str, at: &At) -> Option<String> {
        let component = self.component;
        let files = || component.files.iter().filter(|file| !matches!(file.body, Body::Directory));
        let Some(file) = files().find(|file| file.path == path) else {
            let message = format!("the component has no file `{path}`");
            let help = match nearest(path, files().map(|file| file.path.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add [[file]] with path = \"{path}\" and mode = \"0755\""),
            };
            self.report(Diagnostic::error(message).at(at).help(help));
            return None;
        };
        if file.mode & 0o100 == 0 {
            let message = format!("the script `{path}` cannot be run: its mode is {:04o}", file.mode);
            self.report(Diagnostic::error(message).at(at).help("give the file mode = \"0755\""));
            return None;
        }
        Some(self.described(&[path]))
    }

    /// One digest for paths in the artifact and what is there.
    fn described(&self, paths: &[&str]) -> String {
        let describe = |path: &&str| self.artifact.map(|it| (it.describe)(path)).unwrap_or_default();
        let states: Vec<String> = paths.iter().map(describe).collect();
        digest(paths.iter().zip(&states).flat_map(|(path, state)| [*path, state.as_str()]))
    }

    /// Whether a path of a step, which may be relative to `directory`, is that of a file in a release.
    pub(crate) fn is_released(&self, path: &Path, directory: Option<&str>) -> bool {
        let target = Path::new(&self.world.model.host(self.index).target_directory);
        let path = directory.map_or_else(|| path.to_owned(), |directory| Path::new(directory).join(path));
        let artifact = self.artifact.is_some_and(|artifact| path.starts_with(artifact.path));
        artifact || ["current", "store", "generations"].iter().any(|name| path.starts_with(target.join(name)))
    }

    fn reported<T>(&mut self, result: Result<T, Box<Diagnostic>>) -> Option<T> {
        result.map_err(|diagnostic| self.report(*diagnostic)).ok()
    }
}
