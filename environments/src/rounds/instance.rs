//! An instance of a Starlark component, and what its last run left.

use std::sync::Arc;

use super::placement::InstancePlacement;
use crate::notes::Notes;
use crate::starlark::{self, ConfigureRun, RunMode, StarlarkComponent};
use crate::template::cause::{self, UsedValues};
use crate::values::{Asked, LazyValues};

/// An instance of a Starlark component.
pub(super) struct CodeInstance {
    pub(super) index: usize,
    pub(super) declared: Arc<StarlarkComponent>,
    /// What its last run left.
    pub(super) last: Option<LastRun>,
}

/// What a run left.
pub(super) struct LastRun {
    pub(super) run: ConfigureRun,
    pub(super) asked: Vec<Asked>,
    pub(super) causes: UsedValues,
}

impl CodeInstance {
    /// `Some` if it has to run, with the key whose answer has changed since its last run.
    #[allow(clippy::option_option, reason = "the first run has no such key")]
    pub(super) fn due(&self, values: &Arc<LazyValues>) -> Option<Option<String>> {
        let Some(last) = &self.last else { return Some(None) };
        let changed = last.asked.iter().find(|asked| !values.still(self.index, asked))?;
        Some(Some(changed.query.key.clone()))
    }

    pub(super) fn run(&self, values: &Arc<LazyValues>, notes: Option<Notes<'_>>) -> LastRun {
        let (run, causes) = cause::collect(|| {
            starlark::run(&self.declared, InstancePlacement::new(values, self.index), RunMode::Normal, notes)
        });
        LastRun { run, asked: values.take_asked(self.index), causes }
    }
}
