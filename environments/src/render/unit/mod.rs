//! The units of a component on a host: every text of them rendered.

mod artifact;
mod step;
mod texts;

use batou_release::{ARTIFACT_TOKEN, Unit};

use super::instance::InstanceRender;
use super::rendered::RenderedUnit;
use crate::component::unit::UnitDeclaration;
use crate::template::cause;
use crate::values::scope::Scope;
use texts::UnitRender;

impl InstanceRender<'_> {
    pub(super) fn add_units(&mut self) {
        let scope = Scope::of_units(self.values, self.index, ARTIFACT_TOKEN);
        for declared in &self.component.declarations.units {
            let by = declared.by.as_ref();
            let mut parts = UnitRender { instance: self.within(by), scope: &scope, by, failed: false };
            // What the texts use is not a cause of any entry; it is collected for advice only.
            let (unit, _) = cause::collect(|| match &declared.declaration {
                UnitDeclaration::Step(declared) => Unit::Step(step::step(&mut parts, declared)),
            });
            if parts.failed {
                self.incomplete = true;
            } else {
                self.rendered.units.push(RenderedUnit { unit, breadcrumb: by.breadcrumb.clone() });
            }
        }
    }
}
