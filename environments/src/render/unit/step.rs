//! A step of a component on a host: every text of it rendered.

use batou_release::{Assertions, HostPath, Newer, Script, ScriptPath, Step};

use super::texts::UnitRender;
use crate::component::unit::step::{NewerDeclaration, ScriptDeclaration, StepDeclaration, Verify};
use crate::render::rendered::Dependency;
use crate::text::diagnostic::Diagnostic;
use crate::text::source::Text;

/// The step with every text replaced by what it renders to.
pub(super) fn step(parts: &mut UnitRender<'_, '_>, declared: &StepDeclaration) -> Step<Dependency> {
    Step {
        name: declared.name.clone(),
        verify: parts.text(declared.verify.command.as_ref()),
        update: parts.text(declared.update.as_ref()),
        revert: parts.text(declared.revert.as_ref()),
        irreversible: declared.irreversible,
        timeout: declared.timeout,
        directory: parts.text(declared.directory.as_ref()),
        environment: parts.environment(&declared.environment),
        script: parts.script(declared.script.as_ref()),
        assertions: parts.assertions(&declared.verify, declared.directory.as_ref()),
        creates: parts.path(declared.creates.as_ref()),
        unless: parts.text(declared.unless.as_ref()),
        only_if_path: parts.path(declared.only_if_path.as_ref()),
        triggers: parts.triggers(&declared.triggers),
    }
}

impl UnitRender<'_, '_> {
    fn script(&mut self, script: Option<&ScriptDeclaration>) -> Option<Script<Dependency>> {
        let script = script?;
        let arguments = self.texts(&script.arguments);
        let found = self.instance.check_script(&script.path, &script.at, self.by);
        self.noted(found)?;
        let path = ScriptPath::new(script.path.clone());
        let path = path.map_err(|error| {
            self.instance.report(Diagnostic::error(error.to_string()).at(&script.at));
        });
        let path = self.noted(path.ok())?;
        let digest = Dependency::Entries(vec![script.path.clone()]);
        Some(Script { path, arguments, digest })
    }

    fn assertions(&mut self, verify: &Verify, directory: Option<&Text>) -> Assertions<Dependency> {
        Assertions {
            path: self.path(verify.path.as_ref()),
            newer: verify.newer.as_ref().and_then(|newer| self.newer(newer, directory)),
            unchanged: self.triggers(&verify.unchanged),
            script: self.script(verify.script.as_ref()),
        }
    }

    fn newer(&mut self, newer: &NewerDeclaration, directory: Option<&Text>) -> Option<Newer> {
        let directory = self.text(directory);
        let path = self.timed(&newer.path, directory.as_deref())?;
        let than = newer.than.iter().filter_map(|than| self.timed(than, directory.as_deref())).collect();
        Some(Newer { path, than })
    }

    /// A path whose modification time can be compared. That of a file in a release only says when it came to the host.
    fn timed(&mut self, text: &Text, directory: Option<&str>) -> Option<HostPath> {
        let path = self.path(Some(text))?;
        if !self.instance.is_released(path.as_path(), directory) {
            return Some(path);
        }
        let message = format!(
            "`{}` is a file of a release, whose modification time does not say when it changed",
            text.value
        );
        let help = "to run the step when it changes, name it in `triggers` or `unchanged`";
        self.instance.report(Diagnostic::error(message).help(help).at(&text.at));
        self.failed = true;
        None
    }
}
