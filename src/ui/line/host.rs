//! What hosts have, and what they remember.

use batou_agent::protocol::{
    Current, Decision, DriftKind, DriftedFile, Holder, JournalEntry, JournaledRelease, Outcome, RecordFault,
    TargetCondition, UnitDecision, UnitRun,
};
use batou_release::UnitId;
use jiff::Timestamp;
use serde::Serialize;

use super::hex::HexDigest;
use crate::ui::fault::problem;

/// In which state a release left a host.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// It has the release of a switch.
    Released,
    /// It has the release that a rollback restored.
    Restored,
    /// It has what it had before.
    WentBack,
    /// It cannot be asked, or did not go back in time, but nobody told it to keep the release: it goes back by itself.
    GoesBack,
    /// Somebody else has released there meanwhile, or holds the lock.
    Overtaken,
    /// It was told to keep the release and has not answered, and it cannot be asked.
    Unknown,
}

/// What the target directory on a host is.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// It is there and can be written to, or it can be made.
    Ready,
    /// It is absent, and the user may not make it.
    Absent,
    /// It is there, and the user may not write to it.
    Forbidden,
    /// It is there, on a filesystem that cannot be written to.
    ReadOnly,
}

/// Where a command printed something.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a release ended on a host.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseResult {
    /// It is, or was, in force.
    Committed,
    /// It failed, and the host went back to what it had before.
    WentBack,
    /// It was interrupted, and the host went back later.
    Interrupted,
}

/// What is in force on a host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct CurrentRelease<'a> {
    /// The number of the generation on this host.
    pub generation: u64,
    /// Its manifest.
    pub manifest: HexDigest,
    /// The project that it is of.
    pub project: &'a str,
    /// The environment that it is of.
    pub environment: &'a str,
    /// When it was committed, RFC 3339 in UTC. Absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub since: Option<Timestamp>,
}

/// Which release something is of.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct ReleaseRecord<'a> {
    /// The release.
    pub release: HexDigest,
    /// Its number in the environment.
    pub sequence: u64,
    /// The number of the release that it restores. Absent unless it is a rollback, or has a host forgotten after one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// The host that was retired: nothing else is different from the release before. Absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgets: Option<&'a str>,
    /// Who released it: `user@machine`.
    pub who: &'a str,
    /// All hosts of the environment then, also those that took no part.
    pub hosts: Vec<&'a str>,
    /// Those of them that do not have it: they took no part, or were given back another one with a rollback.
    pub without: Vec<&'a str>,
}

/// A deployer who holds a host's lock.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct LockHolder<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The name of the user's machine.
    pub machine: &'a str,
    /// Since when, RFC 3339 in UTC.
    #[cfg_attr(test, schemars(with = "String"))]
    pub since: Timestamp,
}

impl<'a> From<&'a Holder> for LockHolder<'a> {
    fn from(holder: &'a Holder) -> Self {
        Self { user: &holder.user, machine: &holder.machine, since: holder.since }
    }
}

/// A file in which a host keeps what it knows about its releases, and which is lost or damaged.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct FaultyRecord {
    /// Which file.
    pub record: HostRecord,
    /// What is wrong with it, in a sentence.
    pub problem: String,
}

/// A file in which a host keeps what it knows about its releases.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HostRecord {
    /// The journal: which releases there were. Without it nothing can be rolled back to.
    Journal,
    /// The manifest of the generation in force.
    Manifest,
    /// `activated.json`: which units have converged.
    Activated,
    /// `intent.json`: which release was interrupted. Without it the host does not know where to go back to, and is not locked.
    Intent,
    /// `running.json`: what an interrupted release left running.
    Running,
}

/// A file that is not as it was released, or was not.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct ChangedFile<'a> {
    /// The component that it is of. Absent for what belongs to the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<&'a str>,
    /// Its path in the component, or in the target directory where there is no component.
    pub path: &'a str,
    /// What happened to it.
    pub what: FileChange,
}

/// What happened to a file on a host.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It was removed.
    Missing,
    /// It was changed or replaced.
    Changed,
    /// It was not released.
    Foreign,
    /// It was removed, and nobody has it: a component's own data. Its folder is made again, empty.
    Lost,
}

/// A unit that was looked at, and what came of that.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct ActivatedUnit<'a> {
    /// Its kind: `step`.
    pub kind: String,
    /// Its name in the component.
    pub name: &'a str,
    /// What came of it.
    pub decision: UnitResult,
}

/// What came of a unit that was looked at.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UnitResult {
    /// It was run.
    Ran,
    /// Its `verify` held, so it was not run.
    VerifyHeld,
    /// What it `creates` was there, so it was not run.
    Created,
    /// Its `unless` held, so it was not run.
    UnlessHeld,
    /// Its `only_if_path` was not there, so it was not run.
    NotWanted,
}

impl FaultyRecord {
    /// A fault of a host on which this generation is in force.
    pub fn new(fault: RecordFault, generation: Option<u64>) -> Self {
        let record = match fault {
            RecordFault::Manifest => HostRecord::Manifest,
            RecordFault::Activated => HostRecord::Activated,
            RecordFault::Intent => HostRecord::Intent,
            RecordFault::Running => HostRecord::Running,
            _ => HostRecord::Journal,
        };
        Self { record, problem: problem(fault, generation) }
    }
}

impl<'a> From<&'a DriftedFile> for ChangedFile<'a> {
    fn from(file: &'a DriftedFile) -> Self {
        let what = match file.kind {
            DriftKind::Missing => FileChange::Missing,
            DriftKind::Changed => FileChange::Changed,
            DriftKind::Foreign => FileChange::Foreign,
            DriftKind::Lost => FileChange::Lost,
        };
        Self { component: file.component.as_ref().map(batou_store::Name::as_str), path: &file.path, what }
    }
}

impl<'a> From<&'a UnitDecision> for ActivatedUnit<'a> {
    fn from(one: &'a UnitDecision) -> Self {
        let decision = match one.decision {
            Decision::Ran => UnitResult::Ran,
            Decision::Held => UnitResult::VerifyHeld,
            Decision::Created => UnitResult::Created,
            Decision::Unneeded => UnitResult::UnlessHeld,
            Decision::Unwanted => UnitResult::NotWanted,
        };
        Self { kind: one.unit.kind.to_string(), name: &one.unit.name, decision }
    }
}

/// How a release ended on a host, as its journal has it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct HistoryEntry<'a> {
    /// When it ended there, RFC 3339 in UTC.
    #[cfg_attr(test, schemars(with = "String"))]
    pub when: Timestamp,
    /// The number of the generation before it. Absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_before: Option<u64>,
    /// The number of its generation. Absent where it failed before there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Its manifest.
    pub manifest: HexDigest,
    /// How it ended.
    pub result: ReleaseResult,
    /// What failed. Absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The commands of units that were run, in their order.
    pub runs: Vec<HistoryRun<'a>>,
    /// The units that were updated and, when the host went back, left as they are: they have no `revert`.
    pub unreverted: Vec<HistoryUnit<'a>>,
}

/// A command of a unit that was run.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct HistoryRun<'a> {
    /// The unit.
    pub unit: HistoryUnit<'a>,
    /// Which of its commands; of a step `unless`, `verify`, `update` or `revert`.
    pub command: &'a str,
    /// The exit status, or 128 and the number of the signal that ended it. Absent where the command ran out of time or
    /// could not be started, and where no command was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// The end of what it printed, at most 16 KiB.
    pub output: &'a str,
}

/// Which unit of a host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct HistoryUnit<'a> {
    /// Its component.
    pub component: &'a str,
    /// Its kind: `step`.
    pub kind: String,
    /// Its name in the component.
    pub name: &'a str,
}

impl From<TargetCondition> for TargetState {
    fn from(condition: TargetCondition) -> Self {
        match condition {
            TargetCondition::Ready => Self::Ready,
            TargetCondition::Absent => Self::Absent,
            TargetCondition::Forbidden => Self::Forbidden,
            TargetCondition::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<Outcome> for ReleaseResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Committed => Self::Committed,
            Outcome::WentBack => Self::WentBack,
            Outcome::Interrupted => Self::Interrupted,
        }
    }
}

impl<'a> From<&'a Current> for CurrentRelease<'a> {
    fn from(current: &'a Current) -> Self {
        Self {
            generation: current.generation,
            manifest: current.manifest.into(),
            project: &current.project,
            environment: &current.environment,
            since: current.since,
        }
    }
}

impl<'a> From<&'a JournaledRelease> for ReleaseRecord<'a> {
    fn from(record: &'a JournaledRelease) -> Self {
        Self {
            release: record.release.into(),
            sequence: record.sequence,
            restores: record.restores,
            forgets: record.forgets.as_deref(),
            who: &record.who,
            hosts: record.hosts.iter().map(|host| &**host).collect(),
            without: record.without.iter().map(|host| &**host).collect(),
        }
    }
}

impl<'a> From<&'a JournalEntry> for HistoryEntry<'a> {
    fn from(entry: &'a JournalEntry) -> Self {
        Self {
            when: entry.when,
            generation_before: entry.from,
            generation: entry.to,
            manifest: entry.manifest.into(),
            result: entry.result.into(),
            reason: entry.reason.as_deref(),
            runs: entry.runs.iter().map(HistoryRun::from).collect(),
            unreverted: entry.unreverted.iter().map(HistoryUnit::from).collect(),
        }
    }
}

impl<'a> From<&'a UnitRun> for HistoryRun<'a> {
    fn from(run: &'a UnitRun) -> Self {
        Self {
            unit: HistoryUnit::from(&run.unit),
            command: &run.command,
            status: run.status,
            output: &run.output,
        }
    }
}

impl<'a> From<&'a UnitId> for HistoryUnit<'a> {
    fn from(unit: &'a UnitId) -> Self {
        Self { component: unit.component.as_str(), kind: unit.kind.to_string(), name: &unit.name }
    }
}
