//! What the host's steps last converged to: `activated.json`.
//!
//! The work to do is always "wanted differs from recorded": a step is recorded as unfinished before its update runs and
//! as finished once it holds, so an interrupted activation is gone on with by the next release.

use std::collections::{BTreeMap, BTreeSet};

use batou_store::Digest;
use batou_store::fs::atomic_write;
use serde::{Deserialize, Serialize};

use crate::assertion::is_wanted;
use crate::error::Error;
use crate::target::{Target, read_file};
use batou_release::{Component, Manifest, step_fingerprint};

const LIMIT: u64 = 64 << 20;

/// What one step last converged to, or was on the way to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Converged {
    /// What the step depended on.
    pub(crate) fingerprint: Digest,
    /// Whether it holds, as far as is known.
    pub(crate) finished: bool,
    /// The fleet release that last ran it.
    pub(crate) sequence: u64,
    /// It is not for this host: its `only_if_path` did not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) skipped: bool,
    /// What its `verify` wants unchanged, as it was then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unchanged: BTreeMap<String, String>,
}

/// The steps of a host by `<component>/<step>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Activated {
    #[serde(default)]
    steps: BTreeMap<String, Converged>,
}

impl Activated {
    /// Reads the record; an absent one is empty.
    pub(crate) fn load(target: &Target) -> Result<Self, Error> {
        let path = target.activated();
        let Some(bytes) = read_file(&path, LIMIT)? else { return Ok(Self::default()) };
        let remedy = "it says which steps have converged; remove it, and the next release runs all of them";
        serde_json::from_slice(&bytes).map_err(|source| Error::Record { path, remedy, source })
    }

    /// Writes the record; it is on the disk when this returns.
    fn store(&self, target: &Target) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).expect("a record is plain data");
        Ok(atomic_write(&target.activated(), &bytes, true)?)
    }

    /// What is recorded of a step.
    pub(crate) fn get(&self, component: &Component, step: &batou_release::Step) -> Option<&Converged> {
        self.steps.get(&key(component, step))
    }

    /// Whether the step is recorded to hold as it is. One that was skipped for want of a path does so until there is
    /// one; what cannot be examined is left to the step to say.
    pub(crate) fn holds(&self, target: &Target, component: &Component, step: &batou_release::Step) -> bool {
        let Some(recorded) = self.get(component, step) else { return false };
        recorded.finished
            && recorded.fingerprint == step_fingerprint(component, step)
            && !(recorded.skipped && is_wanted(target, component, step).unwrap_or(true))
    }

    /// Whether all of a component's steps are recorded to hold.
    pub(crate) fn settled(&self, target: &Target, component: &Component) -> bool {
        component.steps.iter().all(|step| self.holds(target, component, step))
    }

    /// Records a step and writes the record, if that changes anything.
    pub(crate) fn set(
        &mut self,
        target: &Target,
        component: &Component,
        step: &batou_release::Step,
        converged: Converged,
    ) -> Result<(), Error> {
        if self.get(component, step) == Some(&converged) {
            return Ok(());
        }
        self.steps.insert(key(component, step), converged);
        self.store(target)
    }

    /// Forgets a step that was reverted.
    pub(crate) fn forget(
        &mut self,
        target: &Target,
        component: &Component,
        step: &batou_release::Step,
    ) -> Result<(), Error> {
        self.steps.remove(&key(component, step));
        self.store(target)
    }

    /// Forgets the steps that none of these manifests has.
    pub(crate) fn retain(&mut self, target: &Target, manifests: &[Manifest]) -> Result<(), Error> {
        let components = manifests.iter().flat_map(|manifest| &manifest.components);
        let named = components.flat_map(|component| component.steps.iter().map(|step| key(component, step)));
        let named: BTreeSet<_> = named.collect();
        let before = self.steps.len();
        self.steps.retain(|key, _| named.contains(key));
        if self.steps.len() == before { Ok(()) } else { self.store(target) }
    }
}

fn key(component: &Component, step: &batou_release::Step) -> String {
    format!("{}/{}", component.name, step.name)
}
