//! The steps of a component on a host: every text of them rendered.

use std::collections::BTreeMap;

use batou_release::{HostPath, HostPathError, Newer, ScriptPath};
use minijinja::value::Value;

use super::instance::InstanceRender;
use super::step::{Dependency, RenderedAssertions, RenderedScript, RenderedStep};
use crate::component::item::Caller;
use crate::component::step::declaration::{NewerDeclaration, ScriptDeclaration, Verify};
use crate::component::step::{StepDeclaration, Trigger};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::{At, Text};
use crate::values::scope::Scope;

impl InstanceRender<'_> {
    pub(super) fn add_steps(&mut self) {
        let scope = Scope::of_steps(self.world, self.index);
        for (declared, by) in &self.component.definition.steps {
            let rendered = step(self.within(by), declared, &scope, by);
            self.incomplete |= rendered.is_none();
            self.rendered.steps.extend(rendered);
        }
    }
}

/// The step with every text replaced by what it renders to in a scope of steps; `None` if any of them fails.
fn step(
    instance: &mut InstanceRender<'_>,
    declared: &StepDeclaration,
    scope: &Value,
    by: &Caller,
) -> Option<RenderedStep> {
    let mut parts = Parts { instance, scope, by, failed: false };
    let step = RenderedStep {
        name: declared.name.clone(),
        breadcrumb: by.breadcrumb.clone(),
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
    };
    (!parts.failed).then_some(step)
}

/// Renders the parts of a step, and remembers whether one of them failed.
struct Parts<'i, 'a> {
    instance: &'i mut InstanceRender<'a>,
    scope: &'i Value,
    /// Who declared the step: its variables are in scope.
    by: &'i Caller,
    failed: bool,
}

impl Parts<'_, '_> {
    fn noted<T>(&mut self, rendered: Option<T>) -> Option<T> {
        self.failed |= rendered.is_none();
        rendered
    }

    fn text(&mut self, text: Option<&Text>) -> Option<String> {
        let rendered = self.instance.step_text(text?, self.scope, self.by);
        self.noted(rendered)
    }

    fn texts(&mut self, texts: &[Text]) -> Vec<String> {
        texts.iter().filter_map(|text| self.text(Some(text))).collect()
    }

    fn environment(&mut self, texts: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
        texts.iter().filter_map(|(name, text)| Some((name.clone(), self.text(Some(text))?))).collect()
    }

    fn path(&mut self, text: Option<&Text>) -> Option<HostPath> {
        let text = text?;
        let path = HostPath::new(self.text(Some(text))?);
        self.checked(path, &text.at)
    }

    fn checked<T>(&mut self, path: Result<T, HostPathError>, at: &At) -> Option<T> {
        let path = path.map_err(|error| self.instance.report(Diagnostic::error(error.to_string()).at(at)));
        self.noted(path.ok())
    }

    fn script(&mut self, script: Option<&ScriptDeclaration>) -> Option<RenderedScript> {
        let script = script?;
        let arguments = self.texts(&script.arguments);
        let found = self.instance.check_script(&script.path, &script.at);
        self.noted(found)?;
        let path = self.checked(ScriptPath::new(script.path.clone()), &script.at)?;
        Some(RenderedScript { path, arguments })
    }

    fn triggers(&mut self, triggers: &[Trigger]) -> BTreeMap<String, Dependency> {
        let mut dependencies = BTreeMap::new();
        for trigger in triggers {
            let dependency = self.instance.dependency(trigger);
            if let Some(dependency) = self.noted(dependency) {
                dependencies.insert(trigger.text.value.clone(), dependency);
            }
        }
        dependencies
    }

    fn assertions(&mut self, verify: &Verify, directory: Option<&Text>) -> RenderedAssertions {
        RenderedAssertions {
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

    /// A path whose time says something: that of a file in a release says when it came to the host.
    fn timed(&mut self, text: &Text, directory: Option<&str>) -> Option<HostPath> {
        let path = self.path(Some(text))?;
        if !self.instance.is_released(path.as_path(), directory) {
            return Some(path);
        }
        let message =
            format!("`{}` is a file of a release, whose time does not say when it changed", text.value);
        let help = "to run the step when it changed, name it in `triggers` or `unchanged`";
        self.instance.report(Diagnostic::error(message).at(&text.at).help(help));
        self.failed = true;
        None
    }
}
