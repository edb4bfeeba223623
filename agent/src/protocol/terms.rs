//! What may be expected of the answer to a request: how large it is, and how long it takes.
//!
//! Both are decided here for each request, so that a host which says too much, or nothing but that it lives, is given up. Only
//! what grows with a host or a release may be large: lists of objects and of problems, the journal, manifests.
//!
//! Where a request has no limit of time, its answer may rightly take any: units have time limits of their own, a person who
//! runs a command waits for it, and checking or collecting a store takes as long as the store is large. Whoever waits is
//! told for which host, and may interrupt.

use std::time::Duration;

use super::{FrameLimits, MAX_RAW, Request};

/// What may be expected of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What is asked, for people.
    pub verb: &'static str,
    /// How large each frame of the answer may be.
    pub limits: FrameLimits,
    /// How long the host may take, where that is limited.
    pub patience: Option<Duration>,
}

/// For answers that say little. The largest is an error with the output of a step.
const SMALL: FrameLimits = FrameLimits { header: 512 << 10, raw: 64 << 10 };
/// For a host's state, which names the artifacts that it lacks and the hosts that the last release had.
const STATE: FrameLimits = FrameLimits { header: 2 << 20, raw: 0 };
/// For lists of objects.
const LIST: FrameLimits = FrameLimits { header: 8 << 20, raw: 64 << 10 };
/// For a manifest with its causes, which are sent raw.
const MANIFEST: FrameLimits = FrameLimits { raw: MAX_RAW, ..SMALL };
/// For the lines of a journal, which are sent raw.
const JOURNAL: FrameLimits = FrameLimits { raw: 16 << 20, ..SMALL };
/// For facts, as JSON.
const FACTS: FrameLimits = FrameLimits { header: 10 << 20, raw: 0 };
/// For one piece of a stream.
const PIECE: FrameLimits = FrameLimits { raw: 1 << 20, ..SMALL };

/// For what runs no unit and reads few files.
const SHORT: Option<Duration> = Some(Duration::from_mins(1));
/// For what reads or writes as many files as a release has components, or tidies up.
const LONG: Option<Duration> = Some(Duration::from_mins(5));
/// For storing what was sent, until it is on the disk.
const STORING: Option<Duration> = Some(Duration::from_mins(30));

impl Request {
    /// How large its answer may be, and how long it may take.
    pub fn terms(&self) -> Terms {
        let (verb, limits, patience) = match self {
            Request::Hello(_) => ("hello", STATE, SHORT),
            Request::Heartbeat => ("heartbeat", SMALL, None),
            Request::Lock { .. } => ("lock", STATE, SHORT),
            Request::Unlock => ("unlock", SMALL, SHORT),
            Request::Missing { .. } => ("missing", LIST, LONG),
            Request::Put | Request::Data => ("staging", SMALL, LONG),
            Request::DataEnd => ("staging", SMALL, STORING),
            Request::Get { .. } => ("get", PIECE, LONG),
            Request::Manifest { .. } => ("manifest", MANIFEST, SHORT),
            // Units may have to be reverted, or every file be hashed.
            Request::Switch(switch) if switch.recheck || switch.record.restores.is_some() => {
                ("switch", PIECE, None)
            }
            Request::Switch(_) => ("switch", PIECE, LONG),
            Request::Activate { .. } => ("activation", PIECE, None),
            Request::Prepare => ("preparation", SMALL, SHORT),
            Request::Commit { .. } | Request::CommitUnchanged { .. } => ("commit", SMALL, LONG),
            Request::GoBack { .. } => ("going back", LIST, None),
            Request::Journal { .. } => ("journal", JOURNAL, SHORT),
            Request::Verify => ("verify", LIST, None),
            Request::Collect { .. } => ("gc", LIST, None),
            Request::Retire { .. } => ("retire", SMALL, None),
            Request::Exec { .. } => ("exec", PIECE, None),
            // Whoever asks knows how long the commands may take.
            Request::Facts { .. } => ("facts", FACTS, None),
        };
        Terms { verb, limits, patience }
    }
}
