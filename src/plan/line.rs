//! Plans as lines of `--json`.

use crate::ui::line::Line;
use crate::ui::line::plan::{PlannedComponent, PlannedFile, PlannedUnit};

use super::{ComponentPlan, ContentPlan, FilePlan, HostPlan, UnitPlan};

/// The line for one host.
pub(super) fn line(plan: &HostPlan) -> Line<'_> {
    Line::Plan {
        host: &plan.host,
        from: plan.from.map(Into::into),
        to: plan.to.into(),
        missing: plan.missing,
        components: plan.components.iter().map(component).collect(),
        settled: plan.asked.then_some(plan.settled),
        drift_count: plan.drift.count,
        drift: plan.drift.files.iter().map(Into::into).collect(),
        notes: &plan.notes,
    }
}

fn component(plan: &ComponentPlan) -> PlannedComponent<'_> {
    PlannedComponent {
        component: &plan.component,
        change: plan.change,
        files: plan.files.iter().map(file).collect(),
        units: plan.units.iter().map(unit).collect(),
        incomparable: plan.incomparable,
    }
}

fn unit(plan: &UnitPlan) -> PlannedUnit<'_> {
    PlannedUnit {
        kind: plan.kind.to_string(),
        name: &plan.name,
        because: &plan.because,
        by: plan.by.as_deref(),
    }
}

fn file(plan: &FilePlan) -> PlannedFile<'_> {
    let (mut diff, mut sizes, mut kinds) = (None, None, None);
    match &plan.content {
        ContentPlan::Diff(text) => diff = Some(text.as_str()),
        ContentPlan::Sizes(before, after) => sizes = Some((*before, *after)),
        ContentPlan::Kinds(before, after) => kinds = Some((before.as_deref(), after.as_deref())),
        ContentPlan::Same => {}
    }
    PlannedFile {
        path: &plan.path,
        change: plan.change,
        diff,
        sizes,
        kinds,
        modes: plan.mode.map(|(before, after)| (before.to_string(), after.to_string())),
        because: &plan.causes,
        by: plan.by.as_deref(),
    }
}
