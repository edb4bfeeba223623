//! What is ordered of a fleet, and how it can end.

use std::collections::BTreeMap;
use std::fmt;

use super::Failures;
use batou_agent::protocol::{Drift, Holder, JournaledRelease, UnitDecision};
use batou_release::{HostName, HostRelease, Instance, UnitId};

/// A release to be made.
#[derive(Clone, Debug)]
pub struct ReleaseOrder {
    /// What the journals will say.
    pub record: JournaledRelease,
    /// Who holds the locks.
    pub holder: Holder,
    /// What each host had committed last when it was locked.
    pub before: BTreeMap<HostName, Option<JournaledRelease>>,
    /// What each host that takes part gets.
    pub hosts: BTreeMap<HostName, HostRelease>,
    /// How many committed releases hosts keep.
    pub keep: u32,
    /// Hash every file, run every `verify`.
    pub recheck: bool,
}

/// The state in which a release left a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEnding {
    /// It has the release.
    Released {
        /// Its generation there.
        generation: Option<u64>,
    },
    /// It has what it had before the release.
    WentBack {
        /// What failed while the host went back.
        problems: Vec<String>,
        /// Units that were updated and stay as they are, because they have no revert.
        unreverted: Vec<UnitId>,
        /// Whether there was a release before, which is now in force again.
        had_release: bool,
    },
    /// Nobody told it to commit, and it cannot be asked or did not go back in time. Its agent goes back as soon
    /// as it notices that the controller is gone; if the agent was killed, the next agent that takes the lock
    /// goes back.
    GoesBack {
        /// Why it is not known to have gone back.
        why: String,
    },
    /// Somebody else has taken it over: the host has gone back from this release, and another one has been made, or is
    /// being made.
    Overtaken {
        /// Which release, or by whom.
        by: String,
    },
    /// It was told to commit, has not answered, and cannot be asked.
    Unknown {
        /// Why.
        why: String,
    },
}

impl HostEnding {
    /// The word for people and programs.
    pub fn word(&self) -> &'static str {
        match self {
            HostEnding::Released { .. } => "released",
            HostEnding::WentBack { .. } => "went back",
            HostEnding::GoesBack { .. } => "goes back by itself",
            HostEnding::Overtaken { .. } => "overtaken",
            HostEnding::Unknown { .. } => "unknown",
        }
    }

    /// The ending of a host that has not answered since a failure in this phase.
    pub(super) fn without_word(phase: ReleasePhase, why: String) -> Self {
        match phase {
            ReleasePhase::Commit => HostEnding::Unknown { why },
            ReleasePhase::Switch | ReleasePhase::Activate | ReleasePhase::Prepare => {
                HostEnding::GoesBack { why }
            }
        }
    }
}

/// What went wrong, and what became of the hosts.
#[derive(Debug)]
pub struct Failed {
    /// What was being done.
    pub phase: ReleasePhase,
    /// What failed; empty if the release was interrupted.
    pub failures: Failures<Subject>,
    /// The state of every host that takes part.
    pub endings: BTreeMap<HostName, HostEnding>,
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

/// Hosts as the subjects that failed.
pub(super) fn of_hosts(failures: Failures) -> Failures<Subject> {
    failures.into_iter().map(|(host, error)| (Subject::Host(host), error)).collect()
}

/// The parts of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleasePhase {
    /// `current` is renamed on every host.
    Switch,
    /// Units are converged.
    Activate,
    /// The hosts say whether they could make it final.
    Prepare,
    /// The hosts make it final.
    Commit,
}

impl ReleasePhase {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            ReleasePhase::Switch => "switching",
            ReleasePhase::Activate => "activation",
            ReleasePhase::Prepare => "preparation",
            ReleasePhase::Commit => "commit",
        }
    }
}

/// What happens during a release, as told to its watcher.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A part of the release begins, with this many hosts or components.
    Begins(ReleasePhase, usize),
    /// Files of the release were missing or damaged on some of the hosts that have switched, and have been put
    /// back.
    Mended(&'e [(&'e HostName, &'e Drift)]),
    /// A component has converged; with the decisions about those of its units that were looked at.
    Activated(&'e Instance, &'e [UnitDecision]),
    /// Output of a unit.
    Output(&'e Instance, &'e [u8]),
    /// All switched hosts go back.
    GoingBack(Why),
    /// An interrupt came during a phase that must not be left half-done; the next interrupt ends it.
    Interrupted(ReleasePhase),
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
