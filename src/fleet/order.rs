//! What is ordered of a fleet, and how it can end.

use std::collections::BTreeMap;
use std::fmt;

use batou_store::Digest;

use super::Failures;
use crate::remote::RemoteError;
use batou_agent::protocol::{Holder, JournaledRelease};
use batou_release::{Causes, HostName, Instance, Manifest, UnitId, manifest_digest};

/// What one host is to get.
#[derive(Clone, Debug)]
pub struct HostOrder {
    /// The manifest.
    pub manifest: Manifest,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// Its id.
    pub digest: Digest,
    /// Why its files are as they are, as JSON.
    pub causes: Vec<u8>,
}

impl HostOrder {
    /// What a host is to get, from its manifest and the causes.
    pub fn new(manifest: Manifest, causes: &Causes) -> Self {
        let bytes = manifest.encode();
        let digest = manifest_digest(&bytes);
        let causes = serde_json::to_vec(causes).expect("causes are plain data");
        HostOrder { manifest, bytes, digest, causes }
    }

    /// What a host says it has; it must be what was asked for.
    pub(super) fn received(bytes: &[u8], causes: &[u8], asked: Option<Digest>) -> Result<Self, RemoteError> {
        let digest = manifest_digest(bytes);
        if asked.is_some_and(|asked| asked != digest) {
            return Err(RemoteError::Protocol);
        }
        let manifest = Manifest::decode(bytes)?;
        Ok(HostOrder { manifest, bytes: bytes.to_vec(), digest, causes: causes.to_vec() })
    }

    /// Why the files are as they are; empty where that was not recorded readably.
    pub fn causes(&self) -> Causes {
        serde_json::from_slice(&self.causes).unwrap_or_default()
    }
}

/// A release to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the journals will say.
    pub record: JournaledRelease,
    /// Who holds the locks.
    pub holder: Holder,
    /// What each host that takes part gets.
    pub hosts: BTreeMap<HostName, HostOrder>,
    /// How many confirmed releases hosts keep.
    pub keep: u32,
    /// Hash every file, run every `verify`.
    pub recheck: bool,
}

/// In which state a release left a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has the release.
    Released {
        /// Its generation there.
        generation: Option<u64>,
    },
    /// It has what it had before.
    WentBack {
        /// What did not work on the way back.
        problems: Vec<String>,
    },
    /// It cannot be asked, or did not go back in time.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Ending {
    /// The word for people and programs.
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Released { .. } => "released",
            Ending::WentBack { .. } => "rolled back",
            Ending::Unknown { .. } => "unknown",
        }
    }
}

/// What went wrong, and what became of the hosts.
#[derive(Debug)]
pub struct Failed {
    /// What was being done.
    pub phase: Phase,
    /// What failed; nothing where the release was interrupted.
    pub failures: Failures<Subject>,
    /// The state of every host that takes part.
    pub endings: BTreeMap<HostName, Ending>,
}

/// What failed during a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A host as a whole.
    Host(HostName),
    /// A component on a host.
    Component(Instance),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Host(host) => host.fmt(out),
            Subject::Component(instance) => instance.fmt(out),
        }
    }
}

/// Hosts as what failed.
pub(super) fn of_hosts(failures: Failures) -> Failures<Subject> {
    failures.into_iter().map(|(host, error)| (Subject::Host(host), error)).collect()
}

/// The parts of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `current` is renamed everywhere.
    Switch,
    /// Units are converged.
    Activate,
    /// The hosts make it final.
    Commit,
}

impl Phase {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Switch => "switching",
            Phase::Activate => "activation",
            Phase::Commit => "confirmation",
        }
    }
}

/// What happens during a release, for who watches it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A part of the release begins, with this many hosts or components.
    Begins(Phase, usize),
    /// A component has converged, and something was changed for these units.
    Activated(&'e Instance, &'e [UnitId]),
    /// Output of a unit.
    Output(&'e Instance, &'e [u8]),
    /// All switched hosts go back.
    GoingBack(Why),
    /// An interrupt came while this was not to be left half-done; the next one ends it.
    Interrupted(Phase),
}

/// Why hosts go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Something failed.
    Failure,
    /// Whoever started the release interrupted it.
    Interrupt,
}

/// Who watches a release.
pub type Watcher<'w> = dyn Fn(Event<'_>) + 'w;
