//! The intent: which release is under way on this host.
//!
//! It is on the disk before `current` moves, and is removed once the journal has its line about the release. An agent
//! that finds one therefore knows that its predecessor was interrupted, and where to go back to.

use std::path::Path;

use batou_release::UnitId;
use batou_store::Digest;
use batou_store::fs::{PRIVATE, atomic_write};
use batou_system::fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::protocol::JournaledRelease;
use crate::target::{TargetDirectory, read_file, remove_file};

/// More than the names of all hosts and of all units of a host take.
const LIMIT: u64 = 64 << 20;

/// A release that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The generation before; `None` for a first release.
    pub(crate) from: Option<u64>,
    /// The generation that is switched to.
    pub(crate) to: u64,
    /// Its manifest.
    pub(crate) manifest: Digest,
    /// The fleet release.
    pub(crate) record: JournaledRelease,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Once the host goes back: the units that this release updated and nobody can undo. While the release before converges,
    /// what is recorded of them is replaced, and whoever is killed then cannot tell any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreverted: Vec<UnitId>,
}

impl Intent {
    /// The intent that an agent left, if one did.
    pub(crate) fn load(target: &TargetDirectory) -> Result<Option<Self>, Error> {
        let path = target.intent();
        let Some(bytes) = read_file(&path, LIMIT)? else { return Ok(None) };
        let remedy = "it says which release was interrupted; make sure that `current` points to the generation that is \
                      to be in force, then remove this file";
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Record { path, remedy, source })
    }

    /// Whether there is one, readable or not.
    pub(crate) fn is_there(target: &TargetDirectory) -> bool {
        is_there(&target.intent())
    }

    /// Writes it; it is on the disk when this returns.
    pub(crate) fn store(&self, target: &TargetDirectory) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self).expect("an intent is plain data");
        Ok(atomic_write(&target.intent(), &bytes, PRIVATE, true)?)
    }

    /// Removes it: the release has ended, and the journal says how.
    pub(crate) fn remove(target: &TargetDirectory) -> Result<(), Error> {
        remove_file(&target.intent())
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
