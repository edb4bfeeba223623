//! What the host's units last converged to: `activated.json`.
//!
//! There is work to do for a unit when what is wanted differs from what is recorded here. A unit is recorded as
//! unfinished before anything is changed for it, and as finished once it holds, so the next release continues an
//! activation that was interrupted.

use std::collections::{BTreeMap, BTreeSet};

use batou_store::fs::{PRIVATE, atomic_write};
use batou_store::{Digest, Name};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::reserve;
use crate::target::{TargetDirectory, read_file, remove_any};
use batou_release::{Manifest, UnitId};

const LIMIT: u64 = 64 << 20;

/// What one unit last converged to, or began to converge to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Converged {
    /// What the unit depended on.
    pub(crate) fingerprint: Digest,
    /// Whether it holds, as far as is known.
    pub(crate) finished: bool,
    /// The fleet release that last converged it.
    pub(crate) sequence: u64,
    /// Whether that release has run its update, or has begun to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ran: bool,
    /// Whether it was skipped, because its `only_if_path` did not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) skipped: bool,
    /// The digests, at that time, of what its `verify` requires to be unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unchanged: BTreeMap<String, String>,
    /// What its triggers named at that time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) triggers: BTreeMap<String, String>,
}

/// The units of a host by `<component>/<kind>/<name>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Activated {
    #[serde(default)]
    units: BTreeMap<String, Converged>,
}

impl Activated {
    /// Reads the record; an absent one is empty.
    pub(crate) fn load(target: &TargetDirectory) -> Result<Self, Error> {
        let path = target.activated();
        let Some(bytes) = read_file(&path, LIMIT)? else { return Ok(Self::default()) };
        let remedy = "it says what has converged; remove it, and the next release converges everything again";
        serde_json::from_slice(&bytes).map_err(|source| Error::Record { path, remedy, source })
    }

    /// Reads the record to go back, which must not wait for anybody: one that cannot be read is begun anew, which is told.
    /// Then all units of the release that is in force again converge, as after the remedy that the error names.
    pub(crate) fn load_or_begin_anew(
        target: &TargetDirectory,
        told: &mut Vec<String>,
    ) -> Result<Self, Error> {
        match Self::load(target) {
            Ok(activated) => Ok(activated),
            Err(error) => {
                told.push(format!("{}; it was begun anew", error.sentence()));
                remove_any(&target.activated())?;
                Ok(Self::default())
            }
        }
    }

    /// Writes the record; it is on the disk when this returns.
    fn store(&self, target: &TargetDirectory) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).expect("a record is plain data");
        reserve::draw_on(target, || Ok(atomic_write(&target.activated(), &bytes, PRIVATE, true)?))
    }

    /// What is recorded of a unit.
    pub(crate) fn get(&self, unit: &UnitId) -> Option<&Converged> {
        self.units.get(&key(unit))
    }

    /// Records a unit and writes the record, if that changes anything.
    pub(crate) fn set(
        &mut self,
        target: &TargetDirectory,
        unit: &UnitId,
        converged: Converged,
    ) -> Result<(), Error> {
        if self.get(unit) == Some(&converged) {
            return Ok(());
        }
        self.units.insert(key(unit), converged);
        self.store(target)
    }

    /// Forgets a unit that was reverted.
    pub(crate) fn forget(&mut self, target: &TargetDirectory, unit: &UnitId) -> Result<(), Error> {
        self.units.remove(&key(unit));
        self.store(target)
    }

    /// Takes the units of a component for unfinished; that is written with the first of them that converges again.
    pub(crate) fn disown(&mut self, component: &Name) {
        let prefix = format!("{component}/");
        let units = self.units.iter_mut().filter(|(key, _)| key.starts_with(&prefix));
        units.for_each(|(_, unit)| unit.finished = false);
    }

    /// Forgets the units that none of these manifests has.
    pub(crate) fn retain(&mut self, target: &TargetDirectory, manifests: &[Manifest]) -> Result<(), Error> {
        let components = manifests.iter().flat_map(|manifest| &manifest.components);
        let units =
            components.flat_map(|component| component.units.iter().map(|unit| component.unit_id(unit)));
        let named: BTreeSet<_> = units.map(|unit| key(&unit)).collect();
        let before = self.units.len();
        self.units.retain(|key, _| named.contains(key));
        if self.units.len() == before { Ok(()) } else { self.store(target) }
    }
}

fn key(unit: &UnitId) -> String {
    format!("{}/{}/{}", unit.component, unit.kind, unit.name)
}
