//! Units as they are declared: what a host is to converge once the component's files are in place.
//!
//! Each kind of unit has a module here, with what its table may say. Only that module and its counterpart in `render/`
//! know the kind.

pub(crate) mod step;
pub(crate) mod trigger;

use std::sync::Arc;

use batou_release::UnitKind;

use crate::component::item::{Caller, Item};
use crate::text::diagnostic::{Diagnostic, Problems};
pub(crate) use step::StepDeclaration;
pub(crate) use trigger::Trigger;

/// What a table of a unit says, checked.
#[derive(Debug)]
pub(crate) enum UnitDeclaration {
    /// `[[step]]`
    Step(StepDeclaration),
}

/// A unit and who declared it.
#[derive(Debug)]
pub(crate) struct DeclaredUnit {
    pub(crate) declaration: UnitDeclaration,
    pub(crate) by: Arc<Caller>,
}

impl UnitDeclaration {
    fn kind(&self) -> UnitKind {
        match self {
            UnitDeclaration::Step(_) => UnitKind::Step,
        }
    }

    /// Unique among those of its kind in the component.
    fn name(&self) -> &str {
        match self {
            UnitDeclaration::Step(step) => &step.name,
        }
    }
}

/// Checks a unit, and that no earlier one of its kind has its name.
pub(crate) fn check(kind: UnitKind, item: &Item, known: &mut Vec<DeclaredUnit>, problems: &mut Problems) {
    let checked = match kind {
        UnitKind::Step => step::check(item, problems).map(|(step, name)| (UnitDeclaration::Step(step), name)),
    };
    let Some((declaration, name)) = checked else { return };
    let same = |known: &DeclaredUnit| {
        known.declaration.kind() == kind && known.declaration.name() == declaration.name()
    };
    if known.iter().any(same) {
        let message = format!("the {kind} `{}` is declared twice", declaration.name());
        let help = format!("give each {kind} a name of its own");
        problems.push(Diagnostic::error(message).at(&name).help(help));
        return;
    }
    known.push(DeclaredUnit { declaration, by: Arc::clone(&item.by) });
}
