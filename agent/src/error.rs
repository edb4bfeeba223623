//! Why the agent could not do what it was asked to do, and how that is reported to the controller.

use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::{AgentError, ErrorKind, UnitRun};
use crate::shell::word;
use batou_release::{FormatError, HostPathError, UnitId};
use batou_store::readable_size;

/// How many damaged files one error names.
const NAMED: usize = 20;
/// How many bytes of a message the controller is told: an answer that may be small has room for them.
const MESSAGE: usize = 32 << 10;

/// Any failure of the agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The controller asked for something out of order, or beyond a limit.
    #[error("{0}")]
    Protocol(String),
    /// The target directory is somebody else's.
    #[error(
        "{} holds a release of {held}, and this is one of {wanted}: give one of them another target_directory, \
         or retire the other first",
        directory.display()
    )]
    Foreign { directory: PathBuf, held: String, wanted: String },
    /// The target directory lies inside another one.
    #[error(
        "{} lies inside of what batou keeps in {}: choose a target directory beside that one",
        path.display(),
        outer.display()
    )]
    Nested { path: PathBuf, outer: PathBuf },
    /// The configuration relies on another home directory.
    #[error(
        "`~` in `target_directory` was taken for {wanted}, but the home of {user} on this host is {found}: say so with \
         `home` in the host's table, or write the path out"
    )]
    Home { user: String, wanted: String, found: String },
    /// Somebody else has released meanwhile.
    #[error("{0}")]
    Moved(String),
    /// The lock is needed.
    #[error("this needs the lock on {}, which is not held", .0.display())]
    Unlocked(PathBuf),
    /// The lock keeps nobody out any more.
    #[error(
        "{} was removed or replaced while this agent held the lock: somebody else may be releasing here, so nothing \
         more is changed",
        .0.display()
    )]
    LockLost(PathBuf),
    /// Another agent is in its turn and does not end it.
    #[error(
        "{} is held by another agent, which has been about to change something here for 10 s and does not go on: `fuser \
         {}` names its process; have it go on (`kill -CONT`), or kill it",
        .0.display(),
        .0.display()
    )]
    InTurn(PathBuf),
    /// Nothing is left at the path of the target directory.
    #[error(
        "{} was moved away or removed while this agent held its lock, so nothing more is changed: move it back before you \
         switch again, and the host goes back there",
        .0.display()
    )]
    TargetLost(PathBuf),
    /// Files of a release are not what they should be.
    #[error("{subject} cannot be used: {}", listed(problems))]
    Damaged { subject: String, problems: Vec<String> },
    /// What arrived is not what was announced.
    #[error("the objects that arrived cannot be stored")]
    Stream(#[source] batou_store::Error),
    /// The stream of objects is cut off or damaged.
    #[error("the stream of objects is damaged")]
    Decode(#[source] io::Error),
    /// Objects cannot be sent.
    #[error("the objects cannot be sent")]
    Send(#[source] io::Error),
    /// There is no room on the disk.
    #[error("the disk is full: {} has {room}{}", path.display(), used_up(reserve.as_deref()))]
    Full { path: PathBuf, room: Room, reserve: Option<PathBuf>, source: Box<Error> },
    /// A unit could not be made to hold.
    #[error("{reason}")]
    Unit { reason: String, run: Box<UnitRun> },
    /// A path of a unit cannot be used once the artifact's own path is in it.
    #[error("{unit}: a path in it cannot be used with {} as `component.artifact`", artifact.display())]
    Artifact { unit: UnitId, artifact: PathBuf, source: HostPathError },
    /// A unit's command was cut short, because the connection ended or the host is going back.
    #[error("{0}")]
    Disturbed(String),
    /// A file that the agent wrote is damaged.
    #[error("{} is damaged: {remedy}", path.display())]
    Record { path: PathBuf, remedy: &'static str, source: serde_json::Error },
    /// A manifest cannot be used.
    #[error("{} cannot be used", path.display())]
    Manifest { path: PathBuf, source: FormatError },
    /// A generation's manifest is damaged, or was removed.
    #[error(
        "{} {problem}: a `batou switch` makes another generation",
        path.display()
    )]
    Generation { path: PathBuf, problem: &'static str, source: Box<Unreadable> },
    /// `current` leads to no generation, and the next switch makes it anew.
    #[error("`current` {how}: a `batou switch` makes it again")]
    Astray { how: String, is_missing: bool },
    /// The generation in force is of a batou from before the first release.
    #[error("{} cannot be used: {reason}: remove the folder `generations` and the link `current`, and switch again", path.display())]
    Ancient { path: PathBuf, reason: FormatError },
    /// A release to go back to is there, and is not as it was.
    #[error("generation {number} in {} held that release, and cannot be used any more", directory.display())]
    Past { number: u64, directory: PathBuf, source: Box<Unreadable> },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Something of the target directory's own is somebody else's.
    #[error(
        "{} belongs to {owner}, and batou works as {user} here: give {user} all of it with `chown -R {} {}`",
        path.display(),
        word(user.strip_prefix("uid ").unwrap_or(user)),
        word(&directory.to_string_lossy())
    )]
    Owned { path: PathBuf, owner: String, user: String, directory: PathBuf, source: Box<Error> },
    /// The target directory cannot be made or written.
    #[error("{} {problem}", path.display())]
    Target { path: PathBuf, problem: &'static str },
    /// A command could not be started.
    #[error("cannot run {command}")]
    Command { command: String, source: io::Error },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] batou_store::Error),
}

/// What a full filesystem has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Room {
    /// It has no inodes: as many files as it can have.
    #[error("no inodes left, so no file can be added, although {} are free", readable_size(*.0))]
    Inodes(u64),
    /// It has fewer bytes than are needed.
    #[error("{} free, and at least {} are needed", readable_size(*free), readable_size(*needed))]
    Bytes { free: u64, needed: u64 },
    /// It has bytes, and may not give this user any: a quota, or a file that has grown meanwhile.
    #[error("no room for this user, although {} are free (is there a quota?)", readable_size(*.0))]
    Quota(u64),
}

impl Room {
    /// Of a filesystem on which a write has just failed for want of room.
    pub(crate) fn of(free: u64, inodes: u64, needed: u64) -> Self {
        match (inodes, free < needed) {
            (0, _) => Self::Inodes(free),
            (_, true) => Self::Bytes { free, needed },
            (_, false) => Self::Quota(free),
        }
    }
}

impl Error {
    /// For `map_err`: an I/O error with its verb and path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the cause is a disk without room.
    pub(crate) fn is_full(&self) -> bool {
        let mut error: &(dyn std::error::Error + 'static) = self;
        loop {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            match error.source() {
                Some(source) => error = source,
                None => return false,
            }
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Protocol(_) => ErrorKind::Protocol,
            Self::Foreign { .. } | Self::Nested { .. } => ErrorKind::Foreign,
            Self::Home { .. } => ErrorKind::Home,
            Self::Moved(_) => ErrorKind::Moved,
            Self::Unlocked(_) | Self::LockLost(_) | Self::TargetLost(_) => ErrorKind::Unlocked,
            Self::Unit { .. } | Self::Artifact { .. } | Self::Disturbed(_) => ErrorKind::Unit,
            _ if self.is_full() => ErrorKind::Full,
            Self::Stream(batou_store::Error::Io { .. }) => ErrorKind::Host,
            Self::Damaged { .. } | Self::Stream(_) | Self::Decode(_) | Self::Send(_) => ErrorKind::Damaged,
            _ => ErrorKind::Host,
        }
    }

    /// The message with all its causes, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        sentence(self)
    }
}

/// Why a generation cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its manifest's file cannot be read, or is not there.
    #[error(transparent)]
    File(#[from] batou_store::Error),
    /// Its manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] FormatError),
    /// Its manifest is another one than was written there.
    #[error("its manifest was changed")]
    Changed,
}

/// An error with all its causes, in one sentence.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let below = error.to_string();
        if !text.ends_with(&below) {
            text.push_str(": ");
            text.push_str(&below);
        }
        cause = error.source();
    }
    text
}

impl From<Error> for AgentError {
    fn from(error: Error) -> Self {
        let (kind, mut message) = (error.kind(), error.sentence());
        message.truncate(message.floor_char_boundary(MESSAGE));
        let run = if let Error::Unit { run, .. } = error { Some(run) } else { None };
        Self { kind, message, run }
    }
}

/// What is said of the reserve for going back, where it is used up.
fn used_up(reserve: Option<&Path>) -> String {
    let told = |path: &Path| format!(", and the reserve in {} is used up, too", path.display());
    reserve.map_or(String::new(), told)
}

/// Problems in one sentence, shortened if there are many.
fn listed(problems: &[String]) -> String {
    let mut text = problems.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if problems.len() > NAMED {
        let more = problems.len() - NAMED;
        text.push_str("; and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_its_place_and_room() {
        let folder = tempfile::tempdir().unwrap();
        let target = crate::target::TargetDirectory::new(folder.path().to_str().unwrap()).unwrap();
        let full = |code| batou_store::Error::Io {
            action: "write",
            path: "/srv/shop/store/tmp/1".into(),
            source: io::Error::from_raw_os_error(code),
        };
        for code in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let error = AgentError::from(target.explain_full(Error::Stream(full(code.raw_os_error())), 4711));
            assert_eq!(error.kind, ErrorKind::Full);
            let (with_room, full) =
                ("no room for this user, although", "free, and at least 4.6 KiB are needed");
            assert!(error.message.contains(with_room) || error.message.contains(full), "{error}");
            assert!(error.message.contains("/srv/shop/store/tmp/1"), "{error}");
        }
        let broken = Error::Stream(full(rustix::io::Errno::IO.raw_os_error()));
        assert_eq!(AgentError::from(target.explain_full(broken, 1)).kind, ErrorKind::Host);
    }

    #[test]
    fn room_is_told_in_units_for_people_and_inodes_are_not_bytes() {
        let text = |room: Room| room.to_string();
        assert_eq!(
            text(Room::Bytes { free: 1 << 20, needed: 3 << 30 }),
            "1.0 MiB free, and at least 3.0 GiB are needed"
        );
        assert!(
            text(Room::Inodes(6_747_136))
                .starts_with("no inodes left, so no file can be added, although 6.4 MiB")
        );
        assert_eq!(Room::of(4096, 7, 1), Room::Quota(4096));
        assert_eq!(Room::of(4096, 0, 1), Room::Inodes(4096));
        assert_eq!(Room::of(4096, 7, 5000), Room::Bytes { free: 4096, needed: 5000 });
    }

    #[test]
    fn many_problems_make_one_bounded_sentence() {
        let problems: Vec<_> = (0..1000).map(|number| format!("file {number} is missing")).collect();
        let error = AgentError::from(Error::Damaged { subject: "the release".into(), problems });
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(error.message.ends_with("file 19 is missing; and 980 more"), "{error}");
    }
}
