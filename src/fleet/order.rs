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
    /// What each host that takes part gets.
    pub hosts: BTreeMap<HostName, HostRelease>,
    /// How many confirmed releases hosts keep.
    pub keep: u32,
    /// Hash every file, run every `verify`.
    pub recheck: bool,
}

/// In which state a release left a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEnding {
    /// It has the release.
    Released {
        /// Its generation there.
        generation: Option<u64>,
    },
    /// It has what it had before.
    WentBack {
        /// What did not work on the way back.
        problems: Vec<String>,
        /// Units that were updated and are left as they are: they have no revert.
        unreverted: Vec<UnitId>,
        /// Whether there was a release before, which is in force again.
        had_release: bool,
    },
    /// It cannot be asked, or did not go back in time, and nobody told it to commit: its agent goes back as soon as it
    /// finds that the controller is gone, and where that was killed, the next one does that takes the lock.
    GoesBack {
        /// Why it is not known to have gone back.
        why: String,
    },
    /// It was told to commit and has not answered, and it cannot be asked.
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
            HostEnding::WentBack { .. } => "rolled back",
            HostEnding::GoesBack { .. } => "goes back by itself",
            HostEnding::Unknown { .. } => "unknown",
        }
    }

    /// How a host ends of which nothing is known, after a failure in this phase.
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
    /// What failed; nothing where the release was interrupted.
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

/// Hosts as what failed.
pub(super) fn of_hosts(failures: Failures) -> Failures<Subject> {
    failures.into_iter().map(|(host, error)| (Subject::Host(host), error)).collect()
}

/// The parts of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleasePhase {
    /// `current` is renamed everywhere.
    Switch,
    /// Units are converged.
    Activate,
    /// The hosts say that they could make it final.
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
            ReleasePhase::Commit => "confirmation",
        }
    }
}

/// What happens during a release, for who watches it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A part of the release begins, with this many hosts or components.
    Begins(ReleasePhase, usize),
    /// Files of the release were not as they should be on some of the hosts that have switched, and are now.
    Mended(&'e [(&'e HostName, &'e Drift)]),
    /// A component has converged; what was decided about the units that were looked at.
    Activated(&'e Instance, &'e [UnitDecision]),
    /// Output of a unit.
    Output(&'e Instance, &'e [u8]),
    /// All switched hosts go back.
    GoingBack(Why),
    /// An interrupt came while this was not to be left half-done; the next one ends it.
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
