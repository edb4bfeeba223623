//! The texts of a unit, and whether one of them cannot be rendered.

use std::collections::BTreeMap;

use batou_release::HostPath;
use minijinja::value::Value;

use crate::component::item::Caller;
use crate::component::unit::Trigger;
use crate::render::instance::InstanceRender;
use crate::render::rendered::Dependency;
use crate::template::layered::layered;
use crate::text::diagnostic::Diagnostic;
use crate::text::source::Text;

/// Renders the parts of a unit, and remembers whether one of them failed.
pub(super) struct UnitRender<'i, 'a> {
    pub(super) instance: &'i mut InstanceRender<'a>,
    pub(super) scope: &'i Value,
    /// Who declared the unit: its variables are in scope.
    pub(super) by: &'i Caller,
    pub(super) failed: bool,
}

impl UnitRender<'_, '_> {
    pub(super) fn noted<T>(&mut self, rendered: Option<T>) -> Option<T> {
        self.failed |= rendered.is_none();
        rendered
    }

    pub(super) fn text(&mut self, text: Option<&Text>) -> Option<String> {
        let rendered = self.instance.unit_text(text?, self.scope, self.by);
        self.noted(rendered)
    }

    pub(super) fn texts(&mut self, texts: &[Text]) -> Vec<String> {
        texts.iter().filter_map(|text| self.text(Some(text))).collect()
    }

    pub(super) fn environment(&mut self, texts: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
        texts.iter().filter_map(|(name, text)| Some((name.clone(), self.text(Some(text))?))).collect()
    }

    pub(super) fn path(&mut self, text: Option<&Text>) -> Option<HostPath> {
        let text = text?;
        let path = HostPath::new(self.text(Some(text))?);
        let path = path.map_err(|error| {
            let scope = layered(self.scope, self.by.variables.as_ref());
            let is_valid = |text: &str| HostPath::new(text).is_ok();
            self.instance.report_text(Diagnostic::error(error.to_string()), text, &scope, is_valid);
        });
        self.noted(path.ok())
    }

    pub(super) fn triggers(&mut self, triggers: &[Trigger]) -> BTreeMap<String, Dependency> {
        let mut dependencies = BTreeMap::new();
        for trigger in triggers {
            let dependency = self.instance.dependency(trigger, self.by);
            if let Some(dependency) = self.noted(dependency) {
                dependencies.insert(trigger.text.value.clone(), dependency);
            }
        }
        dependencies
    }
}
