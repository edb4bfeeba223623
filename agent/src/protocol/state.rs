//! What hosts report about themselves: their state, and their journal.

use batou_release::UnitId;
use batou_store::{ArtifactId, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Drift, JournaledRelease, bounded};

/// What an agent knows about its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The agent's user.
    #[serde(deserialize_with = "bounded::label")]
    pub user: String,
    /// The current release, if there is one.
    pub current: Option<Current>,
    /// The release last committed, if there is one.
    pub committed: Option<JournaledRelease>,
    /// The newest sequence in the journal; 0 for none.
    #[serde(deserialize_with = "bounded::number")]
    pub newest_sequence: u64,
    /// Whether the current generation has the wanted manifest, with nothing left to converge and no [`drift`](Self::drift).
    pub settled: bool,
    /// The generation that `current` names, also where it cannot be read.
    #[serde(default, deserialize_with = "bounded::optional_number", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What is wrong with what the host keeps about its releases.
    #[serde(
        default,
        deserialize_with = "bounded::few::<_, _, { RecordFault::MOST }>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub faults: Vec<RecordFault>,
    /// What of the current generation does not look as it was released.
    #[serde(default, skip_serializing_if = "Drift::is_none")]
    pub drift: Drift,
    /// Whether there is an intent: a release is under way, or was interrupted.
    pub unfinished: bool,
    /// Wanted artifacts that are not here.
    pub missing: Vec<ArtifactId>,
    /// What the target directory is.
    pub target: TargetCondition,
    /// Which directory on which machine it is, whatever either is called. Absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Digest>,
    /// Free bytes on the target directory's filesystem.
    #[serde(deserialize_with = "bounded::number")]
    pub free: u64,
    /// Under the lock: what had to be put right first (the host went back from an interrupted release), each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<String>,
}

/// What is wrong with one of the files in which a host keeps what it knows about its releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordFault {
    /// There is no journal, although there are generations.
    JournalMissing,
    /// The journal has no line, although there are generations.
    JournalEmpty,
    /// The journal has a line that cannot be read behind the newest release that it is known to have committed.
    JournalUnreadable {
        /// The number of the first such line.
        #[serde(deserialize_with = "bounded::number")]
        line: u64,
    },
    /// The journal tells of no release that was committed, although a generation is in force.
    JournalSilent,
    /// The journal knows nothing of the generation in force, which is newer than all it tells of: it is an older copy.
    JournalOlder {
        /// The number of the release that it has as the newest.
        #[serde(deserialize_with = "bounded::number")]
        sequence: u64,
    },
    /// The manifest of the generation in force is missing, or is not the one that was written there.
    Manifest,
    /// `activated.json` cannot be read.
    Activated,
    /// The intent, `intent.json`, cannot be read: which release was interrupted, and where the host has to go back to, is not
    /// known.
    Intent,
    /// `running.json` cannot be read, and no release is under way that could just be writing it.
    Running,
}

impl State {
    /// Whether there is an intent that cannot be read: the host goes back from nothing, and refuses its lock.
    #[must_use]
    pub fn has_damaged_intent(&self) -> bool {
        self.faults.contains(&RecordFault::Intent)
    }
}

impl RecordFault {
    /// How many a host can have at once.
    pub const MOST: usize = 5;

    /// Whether a journal that can be read does not tell of the generation in force.
    pub fn is_of_generation(self) -> bool {
        matches!(self, Self::JournalSilent | Self::JournalOlder { .. })
    }

    /// Whether it is not known what was in force before.
    pub fn is_of_journal(self) -> bool {
        match self {
            Self::JournalMissing
            | Self::JournalEmpty
            | Self::JournalUnreadable { .. }
            | Self::JournalSilent
            | Self::JournalOlder { .. } => true,
            Self::Manifest | Self::Activated | Self::Intent | Self::Running => false,
        }
    }
}

/// The current generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Its number on this host.
    #[serde(deserialize_with = "bounded::number")]
    pub generation: u64,
    /// Its manifest.
    pub manifest: Digest,
    /// The project that made it.
    #[serde(deserialize_with = "bounded::label")]
    pub project: String,
    /// The environment that made it.
    #[serde(deserialize_with = "bounded::label")]
    pub environment: String,
    /// When it was committed.
    pub since: Option<Timestamp>,
}

/// What the target directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetCondition {
    /// It exists and can be written to, or can be created.
    Ready,
    /// It does not exist, and this user may not create it.
    Absent,
    /// It exists, and this user may not write to it.
    Forbidden,
    /// It exists, on a filesystem that cannot be written to.
    ReadOnly,
}

/// How a release ended on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is, or was, in force.
    Committed,
    /// The host went back.
    WentBack,
    /// Its agent ended before it was committed; the host went back with the next one.
    Interrupted,
}

/// One line of a host's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The release.
    #[serde(flatten)]
    pub record: JournaledRelease,
    /// When it ended.
    pub when: Timestamp,
    /// The generation before.
    #[serde(default, deserialize_with = "bounded::optional_number")]
    pub from: Option<u64>,
    /// The generation that was switched to.
    #[serde(default, deserialize_with = "bounded::optional_number")]
    pub to: Option<u64>,
    /// The manifest that was switched to.
    pub manifest: Digest,
    /// How it ended.
    pub result: Outcome,
    /// What failed, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was run, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<UnitRun>,
    /// Units that were updated and, when the host went back, left as they are: they have no revert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreverted: Vec<UnitId>,
    /// What failed while the host went back, each as a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What was decided about a unit that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitDecision {
    /// Which unit.
    pub unit: UnitId,
    /// What was decided.
    pub decision: Decision,
}

/// What was decided about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was run.
    Ran,
    /// Its `verify` held, so it was not run.
    Held,
    /// What it `creates` was there, so it was not run.
    Created,
    /// Its `unless` held, so it was not run.
    Unneeded,
    /// Its `only_if_path` was not there, so it was not run.
    Unwanted,
}

/// One run of a unit's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRun {
    /// Which unit.
    pub unit: UnitId,
    /// Which of its commands; of a step `unless`, `verify`, `update` or `revert`.
    pub command: String,
    /// The exit status, or 128 and the signal's number. Absent if the command ran out of time or could not be
    /// started, or if there was no command because the agent checked by itself.
    pub status: Option<i32>,
    /// The end of what it printed, at most 16 KiB.
    pub output: String,
}
