//! What `--json` prints: all lines there are, with what their fields mean.
//!
//! The comments on variants and fields are for users: the schema in the book and the chapter beside it are made from
//! them. The types are not those of plans, records and the protocol, which can change while what programs read stays.
//!
//! Every line carries the number of the format. Lines are filtered, cut off at either end and merged with those of other
//! runs before a program reads them, so a first line that told the number would be lost.

pub mod archive;
pub mod complaint;
#[cfg(test)]
mod docs;
pub mod hex;
pub mod host;
pub mod plan;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use archive::ArchivedRelease;
use complaint::{Complaint, ValuePlace};
use hex::HexDigest;
use host::{
    ActivatedUnit, ChangedFile, CurrentRelease, FaultyRecord, HistoryEntry, HistoryUnit, HostState,
    LockHolder, OutputStream, ReleaseRecord, TargetState,
};
use plan::{PlannedComponent, Transfer};

/// The number of the format. It grows when a field or type is removed, renamed, or means something else.
pub const FORMAT: u32 = 1;

/// A line with the number of its format.
#[derive(Serialize)]
pub(super) struct Numbered<'a> {
    format: u32,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

impl<'a> Numbered<'a> {
    pub(super) fn new(line: &'a Line<'a>) -> Self {
        Self { format: FORMAT, line }
    }
}

/// A line that `batou --json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line<'a> {
    /// A new project. Printed by `init`.
    Project {
        /// The project's name.
        project: &'a str,
        /// The absolute path of its folder.
        folder: &'a str,
    },
    /// An environment without mistakes. Printed by `check`.
    Checked {
        /// The environment.
        environment: &'a str,
        /// Its hosts, without those that are ignored.
        hosts: Vec<&'a str>,
        /// How many components run on hosts. One that runs on three hosts counts three times.
        instances: usize,
        /// How many warnings there are, each with a line of its own.
        warnings: usize,
        /// The names that a switch would ask a name server for.
        unresolved: &'a [String],
    },
    /// An attribute of a component on a host. Printed by `explain`.
    Attribute {
        /// The host.
        host: &'a str,
        /// The component.
        component: &'a str,
        /// The attribute's name.
        attribute: &'a str,
        /// Its type, as a declaration has it: `int`, `address`.
        value_type: &'a str,
        /// Its value, as a template would print it.
        value: &'a str,
        /// What it is for. Absent where its component does not say so.
        #[serde(skip_serializing_if = "Option::is_none")]
        doc: Option<&'a str>,
        /// Where it is set: the place that counts, those that it overrides, and last the component's default.
        set: Vec<ValuePlace<'a>>,
        /// What the value was made from: `host fqdn`, `attribute app.port`.
        made_from: &'a [String],
    },
    /// A component on a host, as it was built. Printed by `build` and `store ls RELEASE`.
    Artifact {
        /// The environment.
        environment: &'a str,
        /// The host.
        host: &'a str,
        /// The component.
        component: &'a str,
        /// The artifact.
        artifact: HexDigest,
        /// The absolute path of its files in the local store. Absent with `store ls`, which checks nothing out.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
    },
    /// An environment is built. Printed by `build`, unless `--host` or `--component` left out a part of it.
    Built {
        /// The environment.
        environment: &'a str,
        /// The release that was made.
        release: HexDigest,
        /// How many of its artifacts were not in the local store before.
        stored: usize,
    },
    /// What would change on a host. Printed by `plan`, `switch --dry-run` and `diff`.
    Plan {
        /// The host.
        host: &'a str,
        /// The manifest in force. Absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<HexDigest>,
        /// The manifest that would be in force.
        to: HexDigest,
        /// What would be sent.
        missing: Transfer,
        /// The components that change, in the order in which they would be activated; those that go are last.
        components: Vec<PlannedComponent<'a>>,
        /// The host has all of it, and nothing is left to be run or put back. Absent in `diff`, which asks no host.
        #[serde(skip_serializing_if = "Option::is_none")]
        settled: Option<bool>,
        /// How many files of the release in force are not as they were released, and will be put back.
        drift_count: u64,
        /// The first of these files, at most 20.
        drift: Vec<ChangedFile<'a>>,
        /// What else there is to know about the host, each a sentence.
        notes: &'a [String],
    },
    /// Files on a host were not as they were released, and have been put back. Printed by `switch` and `rollback`.
    Mended {
        /// The host.
        host: &'a str,
        /// How many files.
        count: u64,
        /// The first of them, at most 20.
        files: Vec<ChangedFile<'a>>,
    },
    /// The units of a component that were looked at have converged on a host. Printed by `switch` and `rollback`.
    Activated {
        /// The host.
        host: &'a str,
        /// The component.
        component: &'a str,
        /// The units that were not recorded to hold, in their order.
        units: Vec<ActivatedUnit<'a>>,
    },
    /// A release is in force. Printed by `switch` and `rollback`.
    Released {
        /// The environment.
        environment: &'a str,
        /// The release.
        release: HexDigest,
        /// Whether anything was done. If not, the release was in force already.
        changed: bool,
        /// Its number in the environment. Absent where nothing was done.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        /// The number of the release that it restores. Absent unless it is a rollback.
        #[serde(skip_serializing_if = "Option::is_none")]
        restores: Option<u64>,
        /// The number of the release before, if this is the same once more: files were put back, or what had been left
        /// undone was finished. Absent otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        again: Option<u64>,
    },
    /// The command waits until another deployer gives up the lock of a host. Printed once for each deployer and host by
    /// `switch`, `rollback`, `retire`, `gc ENV` and `verify --repair`.
    Waiting {
        /// The host.
        host: &'a str,
        /// Who has its lock. Absent where that cannot be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<LockHolder<'a>>,
    },
    /// How a release ended on a host. Printed by `switch` and `rollback`, also when they fail.
    Host {
        /// The host.
        host: &'a str,
        /// In which state it is.
        state: HostState,
        /// The number of its generation. Absent unless the release is in force there.
        #[serde(skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
        /// Why its state is unknown, or who has released there meanwhile. Absent otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        /// What did not work while it went back to what it had before.
        problems: &'a [String],
        /// The units that were updated and, when the host went back, left as they are: they have no `revert`.
        unreverted: Vec<HistoryUnit<'a>>,
        /// Whether there was a release before. Absent unless the host went back.
        #[serde(skip_serializing_if = "Option::is_none")]
        had_release: Option<bool>,
    },
    /// What a host has. Printed by `status`. Of a host that could not be asked there are only the first three fields.
    Status {
        /// The host.
        host: &'a str,
        /// Whether it could be asked.
        reachable: bool,
        /// Why it could not be asked. Absent where it could.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Whether it has an older release than another host, none although the newest one names it, or one that was made apart
        /// from it.
        #[serde(skip_serializing_if = "Option::is_none")]
        behind: Option<bool>,
        /// The user as whom batou works there.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        /// What is in force. Absent where nothing is.
        #[serde(skip_serializing_if = "Option::is_none")]
        current: Option<CurrentRelease<'a>>,
        /// The release that was last committed. Absent where none was.
        #[serde(skip_serializing_if = "Option::is_none")]
        committed: Option<Box<ReleaseRecord<'a>>>,
        /// The highest number of a release in its journal, also of one that failed; 0 where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        newest_sequence: Option<u64>,
        /// A release is under way, or was interrupted.
        #[serde(skip_serializing_if = "Option::is_none")]
        unfinished: Option<bool>,
        /// What is wrong with the files in which it keeps what it knows about its releases.
        #[serde(skip_serializing_if = "Option::is_none")]
        faults: Option<Vec<FaultyRecord>>,
        /// How many files are not as they were released, as far as their sizes, times and modes tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        drift_count: Option<u64>,
        /// The first of these files, at most 20.
        #[serde(skip_serializing_if = "Option::is_none")]
        drift: Option<Vec<ChangedFile<'a>>>,
        /// What the target directory is.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<TargetState>,
        /// Free bytes on the target directory's filesystem.
        #[serde(skip_serializing_if = "Option::is_none")]
        free: Option<u64>,
    },
    /// A release that hosts remember, newest first. Printed by `history`.
    History {
        /// Which release it is.
        #[serde(flatten)]
        record: ReleaseRecord<'a>,
        /// When it ended on the host that was first, RFC 3339 in UTC.
        #[cfg_attr(test, schemars(with = "String"))]
        when: Timestamp,
        /// How it ended, by the names of the hosts that took part.
        entries: BTreeMap<&'a str, HistoryEntry<'a>>,
    },
    /// What is not as it was released on a host. Printed by `verify`.
    Verified {
        /// The host.
        host: &'a str,
        /// How many files were checked.
        files_checked: u64,
        /// What was found, each a sentence.
        problems: &'a [String],
    },
    /// A line that a command printed on a host. Printed by `exec`.
    Output {
        /// The host.
        host: &'a str,
        /// Where it was printed.
        stream: OutputStream,
        /// The line without its end. One of more than 64 KiB is cut into several; what is not UTF-8 is replaced by U+FFFD.
        text: &'a str,
    },
    /// A command ended on a host. Printed by `exec`.
    Exited {
        /// The host.
        host: &'a str,
        /// Its exit status, or 128 and the number of the signal that ended it.
        status: i32,
    },
    /// What changes of a host's facts. Printed by `facts`.
    Facts {
        /// The host.
        host: &'a str,
        /// The lines of `facts.lock` that go.
        removed: Vec<String>,
        /// The lines of `facts.lock` that are new.
        added: Vec<String>,
    },
    /// Whether `facts.lock` is what the hosts say. Printed by `facts`.
    FactsLock {
        /// The file's path in the project.
        file: &'a str,
        /// It is not what the hosts say, or was not.
        changed: bool,
        /// It was written: not with `--check`.
        written: bool,
    },
    /// What was removed from a host's store. Printed by `gc ENV`.
    Collected {
        /// The host.
        host: &'a str,
        /// How many generations.
        generations: u64,
        /// How many objects.
        objects: u64,
        /// How many bytes they took.
        bytes: u64,
    },
    /// What was removed from the local store. Printed by `gc`.
    StoreCollected {
        /// How many artifacts.
        artifacts: u64,
        /// How many trees (the contents of folders).
        trees: u64,
        /// How many blobs (the contents of files).
        blobs: u64,
        /// How many bytes they took.
        bytes: u64,
    },
    /// A host that is no longer one of the environment. Printed by `retire`.
    Retired {
        /// The host.
        host: &'a str,
        /// Its components' data were removed, too.
        purged: bool,
        /// It is gone for good, so that nothing was removed there.
        lost: bool,
        /// There was something of batou's there, which was removed.
        removed: bool,
        /// The other hosts remembered it, and have forgotten it.
        forgotten: bool,
    },
    /// A release in the local store, oldest first in each environment. Printed by `store ls`.
    Release {
        /// The release.
        release: HexDigest,
        /// Its project.
        project: &'a str,
        /// Its environment.
        environment: &'a str,
        /// When it was built, RFC 3339 in UTC.
        when: &'a str,
        /// Its hosts.
        hosts: Vec<&'a str>,
    },
    /// A file of an artifact. Printed by `store ls ARTIFACT`.
    File {
        /// Its path in the artifact.
        path: &'a str,
        /// Its length in bytes.
        size: u64,
        /// Its permission bits, four octal digits.
        mode: String,
        /// The digest of its content.
        digest: HexDigest,
    },
    /// An empty folder of an artifact. Printed by `store ls ARTIFACT`.
    Folder {
        /// Its path in the artifact.
        path: &'a str,
    },
    /// A symbolic link of an artifact. Printed by `store ls ARTIFACT`.
    Symlink {
        /// Its path in the artifact.
        path: &'a str,
        /// The path that it leads to.
        leads_to: &'a str,
    },
    /// Something that is damaged, missing or foreign in the local store. Printed by `store verify`; with `--repair` once
    /// more where it could not be mended.
    Problem {
        /// What it is.
        problem: String,
    },
    /// The local store was checked. Printed by `store verify`.
    StoreVerified {
        /// How many problems are left.
        left: usize,
        /// How many were mended.
        mended: usize,
    },
    /// A release was written into a file. Printed by `store export`.
    Exported(ArchivedRelease<'a>),
    /// A release was read from a file. Printed by `store import`.
    Imported(ArchivedRelease<'a>),
    /// Something to know that is no fault. Printed by any command.
    Notice {
        /// What there is to know.
        message: &'a str,
    },
    /// Something that may be a fault. Printed by any command.
    Warning(Complaint<'a>),
    /// Why the command failed, or a mistake in the project's files. Printed by any command; mistakes have a line each.
    Error(Complaint<'a>),
}
