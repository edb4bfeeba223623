//! What the controller and an agent say to each other, over any reader and writer.
//!
//! A frame is a 4-byte big-endian length, a JSON header of that length, and the raw bytes that the header announces. Both
//! lengths are bounded before anything is allocated, those of a reply by what was asked ([`Terms`]); names, numbers and times
//! are checked as they are read ([`bounded`]). The controller asks ([`Request`]), and the agent answers each request with one
//! [`Reply`]. The exceptions: [`Reply::Heartbeat`] answers nothing, [`Request::Heartbeat`] and [`Request::Data`] have no answer,
//! [`Request::Get`] is answered by [`Reply::Data`] frames up to [`Reply::DataEnd`], and [`Reply::Output`] frames may come
//! before the answer to what lets a command run. A [`Reply::Error`] may answer any request.
//!
//! Objects are sent as one zstd stream cut into data frames; [`crate::objects`] describes what is in it.

pub mod bounded;
mod drift;
mod error;
mod fact;
mod frame;
pub mod question;
#[cfg(test)]
pub(crate) mod samples;
mod state;
mod terms;

use std::collections::BTreeMap;

use batou_release::{FactSources, HostName, UnitId};
use batou_store::{ArtifactId, Digest, Name, ObjectId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use bounded::HostNames;
pub use drift::{Drift, DriftKind, DriftedFile};
pub use error::{AgentError, ErrorKind};
pub use fact::Fact;
pub use frame::{FrameError, FrameLimits, encode, read_frame, read_limited_frame, write_frame};
pub use question::Question;
pub use state::{
    Current, Decision, JournalEntry, Outcome, RecordFault, State, TargetCondition, UnitDecision, UnitRun,
};
pub use terms::Terms;

/// The version of this protocol. A controller starts only agents of its own build, so the two differ only by mistake.
pub const PROTOCOL: u32 = 1;
/// The most bytes a JSON header may have.
pub const MAX_HEADER: u32 = 16 << 20;
/// The most raw bytes that may follow one header.
pub const MAX_RAW: u32 = 32 << 20;
/// How many object ids one message holds at most.
pub const MAX_OBJECTS: usize = 20_000;
/// How many raw bytes a data frame holds at most.
pub const DATA_CHUNK: usize = 256 << 10;
/// How often either side sends a heartbeat when it has nothing else to say, in seconds.
pub const HEARTBEAT: u64 = 5;
/// After how many seconds of silence each side takes the other for gone. The agent then goes back from
/// a release that is not committed, and gives up the lock.
pub const SILENCE: u64 = 30;
/// What the agent prints when it starts, before the first frame. Everything before that is noise of a login shell.
pub const MAGIC: &[u8] = b"\nbatou-agent-1 ";

/// What the controller asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The first message, repeated whenever the current state is wanted: answered by [`Reply::Hello`].
    Hello(Hello),
    /// The controller is alive.
    Heartbeat,
    /// Takes the host's lock, after which the host goes back from an interrupted release: [`Reply::Locked`] or [`Reply::Held`].
    Lock {
        /// Who wants it.
        holder: Holder,
    },
    /// Gives up the lock: [`Reply::Done`].
    Unlock,
    /// Asks which of these objects the host lacks; under the lock, takes a lease on all of them: [`Reply::Missing`].
    Missing {
        /// At most [`MAX_OBJECTS`].
        objects: Vec<ObjectId>,
    },
    /// Objects follow as [`Request::Data`], up to [`Request::DataEnd`], which is answered by [`Reply::Stored`].
    Put,
    /// Raw: a piece of the zstd stream.
    Data,
    /// The stream is complete.
    DataEnd,
    /// Asks for objects: [`Reply::Data`], then [`Reply::DataEnd`].
    Get {
        /// At most [`MAX_OBJECTS`].
        objects: Vec<ObjectId>,
    },
    /// The manifest of a generation: [`Reply::Manifest`].
    Manifest {
        /// The manifest's digest; if absent, the current manifest is meant.
        manifest: Option<Digest>,
    },
    /// Moves `current`, under the lock: [`Reply::Switched`].
    Switch(Switch),
    /// Converges the units of a component of the switched manifest: [`Reply::Activated`].
    Activate {
        /// The component's name.
        component: Name,
        /// Whether to converge all units, including those that are recorded to hold.
        recheck: bool,
    },
    /// Asks whether the host could commit now: whether the lock is still its own, `current` and the intent are
    /// those of the release under way, and the journal has room for a line. An error says what is in the way:
    /// [`Reply::Done`].
    Prepare,
    /// Commits the release, and then removes what nobody needs any more: [`Reply::Done`].
    Commit {
        /// How many committed releases to keep.
        keep: u32,
    },
    /// Goes back from the switched release: [`Reply::WentBack`].
    GoBack {
        /// What failed, for the journal.
        reason: String,
    },
    /// Commits a release that changes nothing on this host, by a line in the journal: [`Reply::Done`].
    CommitUnchanged {
        /// Which release.
        record: JournaledRelease,
        /// How many committed releases to keep.
        keep: u32,
    },
    /// The journal: [`Reply::Journal`].
    Journal {
        /// Whether what units printed is wanted, too, as far as it fits beside the lines.
        output: bool,
    },
    /// Checks the files of the current generation and runs every `verify`: [`Reply::Verified`].
    Verify,
    /// Removes generations beyond `keep` and every object that nobody needs: [`Reply::Collected`].
    Collect {
        /// How many committed releases to keep.
        keep: u32,
    },
    /// Removes what batou made in the target directory: [`Reply::Retired`].
    Retire {
        /// Whether to remove the components' own data too.
        purge: bool,
    },
    /// Runs a command in the target directory: [`Reply::Output`] frames, then [`Reply::Exited`].
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Gathers facts: [`Reply::Facts`].
    Facts {
        /// What is asked, by the fact's name.
        facts: FactSources,
    },
}

/// How a controller introduces itself, and what it wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
    /// The host's name in the environment.
    pub host: HostName,
    /// Where everything is.
    pub target_directory: String,
    /// The service user's home, if the configuration relies on it.
    pub home: Option<String>,
    /// What the host is to have, if a release is wanted.
    pub wanted: Option<WantedRelease>,
}

/// The release that a host is asked about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WantedRelease {
    /// The fleet release's id.
    pub release: Digest,
    /// This host's manifest.
    pub manifest: Digest,
    /// The artifacts it needs.
    pub artifacts: Vec<ArtifactId>,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Login name.
    #[serde(deserialize_with = "bounded::label")]
    pub user: String,
    /// The controller's host name.
    #[serde(deserialize_with = "bounded::label")]
    pub machine: String,
    /// Since when.
    pub since: Timestamp,
    /// A random number: one person at one machine can deploy twice in a second.
    #[serde(default, deserialize_with = "bounded::number")]
    pub attempt: u64,
}

/// A fleet release, as journals record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournaledRelease {
    /// The fleet release's id.
    pub release: Digest,
    /// The fleet release's number in this environment: one more than the newest on any host.
    #[serde(deserialize_with = "bounded::number")]
    pub sequence: u64,
    /// The sequence that a rollback restores.
    #[serde(default, deserialize_with = "bounded::optional_number", skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// The host that was retired, where the release is that of before and only has the others forget it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgets: Option<HostName>,
    /// From this number on, those in a host's journal are not believed: they count for nothing in the lines before this one.
    #[serde(default, deserialize_with = "bounded::optional_number", skip_serializing_if = "Option::is_none")]
    pub disregards: Option<u64>,
    /// `user@machine` of the deployer.
    #[serde(deserialize_with = "bounded::label")]
    pub who: String,
    /// The [`Holder::attempt`] that made it: whatever else two attempts have in common, they are told apart by it.
    #[serde(default, deserialize_with = "bounded::number")]
    pub attempt: u64,
    /// All hosts that the environment had then, including those that took no part. A host that is listed here, but is
    /// no longer in the environment, has to be retired.
    #[serde(default, skip_serializing_if = "bounded::no_hosts")]
    pub hosts: HostNames,
    /// Those of them that do not have it: they took no part, or a rollback gave them back what they had when the release that
    /// it restores was made without them.
    #[serde(default, skip_serializing_if = "bounded::no_hosts")]
    pub without: HostNames,
}

impl JournaledRelease {
    /// Whether a journal's line before the one about this release no longer counts.
    pub fn makes_void(&self, earlier: &JournaledRelease) -> bool {
        self.disregards.is_some_and(|far| earlier.sequence >= far)
    }
}

/// What is kept on a host and cannot be read: what it needs is not known, so no object is removed there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The generation; none if it is an object of the store.
    #[serde(default, deserialize_with = "bounded::optional_number", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why, in a sentence.
    pub reason: String,
}

/// The order to switch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Switch {
    /// The release that this is a part of.
    pub record: JournaledRelease,
    /// The manifest that must be the current one now; a difference is [`ErrorKind::Moved`].
    pub expected: Option<Digest>,
    /// The manifest to switch to. Its bytes, then the causes' (JSON), are the raw part of the frame, unless the host
    /// has a generation with this manifest.
    pub manifest: Digest,
    /// How many of the raw bytes are the manifest; 0: a generation with it is there.
    pub manifest_size: u32,
    /// Whether to hash every file of the generation, not only those whose metadata differ from the record.
    pub recheck: bool,
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The agent is alive.
    Heartbeat,
    /// The host's state.
    Hello(Box<State>),
    /// The controller has the lock; the state under it.
    Locked(Box<State>),
    /// Somebody else has the lock.
    Held {
        /// Who; absent if the lock's text could not be read.
        holder: Option<Holder>,
    },
    /// The objects that are absent.
    Missing {
        /// In the order asked.
        objects: Vec<ObjectId>,
    },
    /// All objects are stored and verified.
    Stored {
        /// How many.
        #[serde(deserialize_with = "bounded::number")]
        objects: u64,
    },
    /// Raw: a piece of the zstd stream.
    Data,
    /// The stream is complete.
    DataEnd,
    /// Raw: the manifest's bytes, then the causes'.
    Manifest {
        /// How many of the raw bytes are the manifest; 0: there is no such generation.
        manifest_size: u32,
    },
    /// `current` names the release.
    Switched {
        /// The generation.
        #[serde(deserialize_with = "bounded::number")]
        generation: u64,
        /// The components that have something to run, in the manifest's order.
        pending: Vec<Name>,
        /// The files of the release that were not as they should be, and are now.
        mended: Drift,
    },
    /// All of a component's units have converged.
    Activated {
        /// What was decided about those that are not recorded to hold, in their order.
        units: Vec<UnitDecision>,
    },
    /// The previous release is in force again.
    WentBack {
        /// The generation, if there was one.
        #[serde(default, deserialize_with = "bounded::optional_number")]
        generation: Option<u64>,
        /// Units that could not be reverted or converged while the host went back, each a sentence.
        problems: Vec<String>,
        /// Units that were updated and are left as they are: they have no revert.
        unreverted: Vec<UnitId>,
    },
    /// Raw: the journal's lines, oldest first, each a [`JournalEntry`]; those that could not be read are left out.
    Journal,
    /// What a check of the host found.
    Verified {
        /// Each is a sentence; empty if all is as it should be.
        problems: Vec<String>,
        /// How many files were hashed.
        #[serde(deserialize_with = "bounded::number")]
        files: u64,
        /// Whether files are among them that can be sent again.
        damaged: bool,
        /// Whether links are among them, or units, which a release puts right.
        unsettled: bool,
    },
    /// What a collection removed.
    Collected {
        /// Generations.
        #[serde(deserialize_with = "bounded::number")]
        generations: u64,
        /// Objects of all kinds.
        #[serde(deserialize_with = "bounded::number")]
        objects: u64,
        /// Bytes.
        #[serde(deserialize_with = "bounded::number")]
        bytes: u64,
        /// Why no object was removed.
        obstacles: Vec<Obstacle>,
    },
    /// Nothing that batou made is left in the target directory.
    Retired {
        /// Whether there was anything.
        removed: bool,
        /// The symbolic links among that in place of which components had data elsewhere, which is kept: each with where it led.
        links: Vec<String>,
        /// The folders that stay, empty, since they cannot be removed: each with why not.
        stays: Vec<String>,
    },
    /// Output of a unit's command or of one for a person. Raw: the bytes.
    Output {
        /// Whether it is standard error.
        error: bool,
    },
    /// A command ended.
    Exited {
        /// The exit status, or 128 and the signal's number.
        status: i32,
    },
    /// Facts about the host.
    Facts {
        /// One answer to each question.
        facts: BTreeMap<String, Fact>,
    },
    /// Done.
    Done,
    /// The request could not be served.
    Error(AgentError),
}

/// What precedes an object in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHeader {
    /// Which object.
    pub object: ObjectId,
    /// How many bytes follow.
    pub size: u64,
}
