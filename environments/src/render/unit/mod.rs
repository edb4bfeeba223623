//! The units of a component on a host: every text of them rendered.

mod artifact;
mod step;

use std::collections::BTreeMap;

use batou_release::{HostPath, HostPathError, Unit};
use minijinja::value::Value;
use serde::{Deserialize, Serialize};

use super::instance::InstanceRender;
use crate::component::item::Caller;
use crate::component::unit::{Trigger, UnitDeclaration};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::{At, Text};
use crate::values::scope::Scope;

/// A unit of a rendered component. The component's artifact is [`ARTIFACT_TOKEN`](batou_release::ARTIFACT_TOKEN) in all its
/// texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedUnit {
    /// What it is, before it is known what the files are that it depends on.
    pub unit: Unit<Dependency>,
    /// The sub-components that declare it, as `Venv("py")`, from the outside to the inside; empty for the component's
    /// own.
    pub breadcrumb: Vec<String>,
}

/// What a unit depends on besides its own texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dependency {
    /// Paths of entries of the component, sorted: their content, mode and kind.
    Entries(Vec<String>),
    /// A value: 64 hex digits of its digest.
    Value(String),
}

impl InstanceRender<'_> {
    pub(super) fn add_units(&mut self) {
        let scope = Scope::of_units(self.values, self.index);
        for declared in &self.component.definition.units {
            let by = declared.by.as_ref();
            let mut parts = UnitRender { instance: self.within(by), scope: &scope, by, failed: false };
            let unit = match &declared.declaration {
                UnitDeclaration::Step(declared) => Unit::Step(step::step(&mut parts, declared)),
            };
            if parts.failed {
                self.incomplete = true;
            } else {
                self.rendered.units.push(RenderedUnit { unit, breadcrumb: by.breadcrumb.clone() });
            }
        }
    }
}

/// Renders the parts of a unit, and remembers whether one of them failed.
struct UnitRender<'i, 'a> {
    instance: &'i mut InstanceRender<'a>,
    scope: &'i Value,
    /// Who declared the unit: its variables are in scope.
    by: &'i Caller,
    failed: bool,
}

impl UnitRender<'_, '_> {
    fn noted<T>(&mut self, rendered: Option<T>) -> Option<T> {
        self.failed |= rendered.is_none();
        rendered
    }

    fn text(&mut self, text: Option<&Text>) -> Option<String> {
        let rendered = self.instance.unit_text(text?, self.scope, self.by);
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
}
