//! What units depend on in their component's artifact, and how their texts name it.

use std::path::Path;

use batou_release::{ARTIFACT_TOKEN, artifact_mark, is_artifact_whole};
use minijinja::value::Value;

use crate::component::files::Body;
use crate::component::item::Caller;
use crate::component::unit::trigger::{Trigger, digest};
use crate::render::instance::InstanceRender;
use crate::render::rendered::Dependency;
use crate::template::artifact::{ARTIFACT_CAUSE, ARTIFACT_CHANGED};
use crate::template::layered::layered;
use crate::template::{self, cause};
use crate::text::diagnostic::{Diagnostic, nearest};
use crate::text::source::{At, Text};
use crate::values::scope::Scope;

/// The digits of no artifact, for a path such as a host will have.
const DIGITS: &str = "9b41c0d7e2f8a65310bd94c7f6e3a82d50c1e7b9";

impl InstanceRender<'_> {
    /// A text of a unit, in which `component.artifact` is the token that a host replaces. `scope` must be one of
    /// units.
    pub(super) fn unit_text(&mut self, text: &Text, scope: &Value, by: &Caller) -> Option<String> {
        if let Some(mark) = artifact_mark(&text.value) {
            self.report(marked("the text", &text.value).at(&text.at.within(&text.value, mark)));
            return None;
        }
        let scope = layered(scope, by.variables.as_ref());
        let (rendered, used) = cause::collect(|| self.text_in(text, &scope));
        // A text may turn out wrong only later, in what it renders to. So advice goes by what the whole unit used.
        cause::record_all(&used);
        let rendered = rendered?;
        if used.contains_key(ARTIFACT_CAUSE) {
            return self.unless_changed(rendered, text, by);
        }
        if artifact_mark(&rendered).is_some() {
            let is_valid = |text: &str| artifact_mark(text).is_none();
            self.report_text(marked("a value in the text", &rendered), text, &scope, is_valid);
            return None;
        }
        Some(rendered)
    }

    /// A text in which `component.artifact` was used, unless it depends on anything but the whole token: a part of it,
    /// its length, or a comparison with it. To find that out, the text is rendered again with a path such as the host will
    /// have: what comes out the same is also true of that path.
    fn unless_changed(&mut self, rendered: String, text: &Text, by: &Caller) -> Option<String> {
        let target = &self.values.model.host(self.index).target_directory;
        let likely = format!("{target}/store/artifacts/{DIGITS}-{}", self.component.name);
        let scope = Scope::of_units(self.values, self.index, &likely);
        let scope = layered(&scope, by.variables.as_ref());
        let engine = &self.component.engine;
        let (other, _) = cause::collect(|| template::evaluate(engine, &text.value, &text.at, &scope));
        let other = other.map(|other| other.to_string().replace(&likely, ARTIFACT_TOKEN));
        if is_artifact_whole(&rendered) && other.is_ok_and(|other| other == rendered) {
            return Some(rendered);
        }
        self.report(Diagnostic::error(ARTIFACT_CHANGED).at(&text.at));
        None
    }

    /// What a unit's trigger names.
    pub(super) fn dependency(&mut self, trigger: &Trigger, by: &Caller) -> Option<Dependency> {
        if let Some(requirements) = trigger.requirements(&self.component.declarations.requires, by) {
            let requirements = self.reported(requirements)?;
            let value = |require: usize| self.values.use_requirement(self.index, require).ok();
            let values: Option<Vec<Value>> = requirements.into_iter().map(value).collect();
            let texts: Vec<String> = values?.iter().map(Value::to_string).collect();
            return Some(Dependency::Value(digest(texts.iter().map(String::as_str))));
        }
        let component = self.component;
        let files = component.files.iter().map(|file| file.path.as_str());
        let symlinks = component.declarations.symlinks.iter().map(|symlink| symlink.path.as_str());
        let all: Vec<&str> = files.chain(symlinks).collect();
        let paths = self.reported(trigger.paths(&all))?;
        Some(Dependency::Entries(paths.into_iter().map(str::to_owned).collect()))
    }

    /// Checks that a step's script is a file of the component that can be run.
    pub(super) fn check_script(&mut self, path: &str, at: &At, by: &Caller) -> Option<()> {
        let component = self.component;
        let files = || component.files.iter().filter(|file| !matches!(file.body, Body::Directory));
        let Some(file) = files().find(|file| file.path == path) else {
            let message = format!("the component has no file `{path}`");
            let help = match nearest(path, files().map(|file| file.path.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add {}, and give it mode = \"0755\"", by.declaration("file", "path", path)),
            };
            self.report(Diagnostic::error(message).at(at).help(help));
            return None;
        };
        if file.mode & 0o100 == 0 {
            let message = format!("the script `{path}` cannot be run: its mode is {:04o}", file.mode);
            self.report(Diagnostic::error(message).at(at).help("give the file mode = \"0755\""));
            return None;
        }
        Some(())
    }

    /// Whether a path of a unit, which may be relative to `directory`, is that of a file in a release.
    pub(super) fn is_released(&self, path: &Path, directory: Option<&str>) -> bool {
        let target = Path::new(&self.values.model.host(self.index).target_directory);
        let path = directory.map_or_else(|| path.to_owned(), |directory| Path::new(directory).join(path));
        let artifact = path.starts_with(ARTIFACT_TOKEN);
        artifact || ["current", "store", "generations"].iter().any(|name| path.starts_with(target.join(name)))
    }

    fn reported<T>(&mut self, result: Result<T, Box<Diagnostic>>) -> Option<T> {
        result.map_err(|diagnostic| self.report(*diagnostic)).ok()
    }
}

/// The mistake of a text that contains one of the token's own characters, but not from `component.artifact`.
fn marked(what: &str, text: &str) -> Diagnostic {
    let mark = artifact_mark(text).and_then(|range| text[range].chars().next()).map_or(0, u32::from);
    let message =
        format!("{what} contains the character U+{mark:X}, which batou reserves for itself in steps");
    Diagnostic::error(message).help("put it into a file of the component, which the step can read")
}
