//! A record of the unit that is running, in case its agent is killed: the unit's processes live on then, and would
//! work beside those of the next release.
//!
//! Whoever takes the lock next ends what is left of them. Processes that a unit leaves in the background on purpose
//! are left alone: when the unit has ended, the record is gone.

use batou_system::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use batou_release::UnitId;
use batou_store::fs::PRIVATE;
use batou_system::clock;
use batou_system::process::{self, ProcessStat};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::target::{TargetDirectory, read_file, remove_any, remove_file};

const LIMIT: u64 = 1 << 16;
/// How long killed processes may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process group of a running unit's command. Its number alone would not do: after a reboot, or later, another
/// group may have it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningUnit {
    unit: UnitId,
    group: i32,
    boot: String,
    /// 0 in a container that was entered from outside: the session's leader has no number there.
    session: i32,
    started: u64,
}

impl RunningUnit {
    /// Records that a unit's group is running. The record need not survive a power cut, and if it cannot be written
    /// the unit runs all the same.
    pub(crate) fn record(target: &TargetDirectory, unit: &UnitId, group: i32) {
        let Some(running) = Self::of(unit, group) else { return };
        let bytes = serde_json::to_vec(&running).expect("a record is plain data");
        let _ = write(&target.running(), &bytes);
    }

    /// Removes the record: the unit's command has ended.
    pub(crate) fn forget(target: &TargetDirectory) {
        let _ = fs::remove_file(target.running());
    }

    fn of(unit: &UnitId, group: i32) -> Option<Self> {
        let ProcessStat { session, started, .. } = process::stat(group)?;
        Some(Self { unit: unit.clone(), group, boot: process::boot()?, session, started })
    }

    /// Whether a process belongs to the group. If the group's leader is still there, its start tells whether this is
    /// the same group; if it has ended, the session does.
    fn owns(&self, process: &ProcessStat, leader: Option<&ProcessStat>) -> bool {
        let same = leader.is_none_or(|leader| leader.started == self.started);
        same && !process.dead && process.group == self.group && process.session == self.session
    }

    fn is_alive(&self) -> bool {
        let leader = process::stat(self.group);
        let mut processes = process::numbers().into_iter().filter_map(process::stat);
        processes.any(|process| self.owns(&process, leader.as_ref()))
    }

    /// Kills the group if it is still there and of this boot; returns what was done.
    fn end_of_earlier(&self) -> Option<String> {
        if Some(&self.boot) != process::boot().as_ref() || !self.is_alive() {
            return None;
        }
        let ended = if self.end() { "was ended" } else { "cannot be ended" };
        Some(format!("{} of an earlier release was still running, and {ended}", self.unit))
    }

    /// Kills the group; returns whether it is gone.
    fn end(&self) -> bool {
        let end = clock::now() + PATIENCE;
        while self.is_alive() {
            // Some of its processes may be another user's, by way of sudo, and cannot be killed.
            process::kill_group(self.group);
            if clock::now() > end {
                return false;
            }
            clock::sleep(Duration::from_millis(10));
        }
        true
    }
}

/// Replaces the record, which may hold a command's name and so is its owner's only.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PRIVATE).open(path)?.write_all(bytes)
}

/// What is in the place of the record.
enum RunningRecord {
    Nothing,
    Record(RunningUnit),
    /// The record was being written when its agent was killed, or somebody damaged it: what ran then is not known.
    Unreadable,
}

impl RunningRecord {
    fn at(path: &Path) -> Result<Self, Error> {
        if fs::exists(path) && !fs::is_file(path) {
            return Ok(Self::Unreadable);
        }
        let Some(bytes) = read_file(path, LIMIT)? else { return Ok(Self::Nothing) };
        Ok(serde_json::from_slice(&bytes).map_or(Self::Unreadable, Self::Record))
    }
}

/// Whether there is a record that cannot be read.
pub(crate) fn is_unreadable(target: &TargetDirectory) -> Result<bool, Error> {
    Ok(matches!(RunningRecord::at(&target.running())?, RunningRecord::Unreadable))
}

/// Ends what a killed agent left running, or one that has lost the lock runs; returns what was done. Only for the holder of the lock.
pub(crate) fn end_left(target: &TargetDirectory) -> Result<Option<String>, Error> {
    let path = target.running();
    let done = match RunningRecord::at(&path)? {
        RunningRecord::Nothing => return Ok(None),
        RunningRecord::Unreadable => {
            remove_any(&path)?;
            return Ok(Some(format!(
                "{} could not be read, and was removed: if a step of an earlier release still runs, that is not known, and \
                 it was not ended",
                path.display()
            )));
        }
        RunningRecord::Record(running) => running.end_of_earlier(),
    };
    remove_file(&path)?;
    Ok(done)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use batou_release::UnitKind;

    use super::*;

    fn migrate() -> UnitId {
        UnitId::new("db".parse().unwrap(), UnitKind::Step, "migrate")
    }

    fn start(text: &str) -> (Child, i32) {
        let mut command = Command::new("sh");
        let child = command.args(["-c", text]).process_group(0).stdin(Stdio::piped()).spawn().unwrap();
        let group = i32::try_from(child.id()).unwrap();
        (child, group)
    }

    fn target(folder: &tempfile::TempDir) -> TargetDirectory {
        TargetDirectory::new(folder.path().to_str().unwrap()).unwrap()
    }

    #[test]
    fn what_is_left_of_a_step_is_ended_also_without_its_shell() {
        for text in ["sleep 100 & wait", "sleep 100 >/dev/null & read line"] {
            let folder = tempfile::tempdir().unwrap();
            let target = target(&folder);
            let (mut child, group) = start(text);
            RunningUnit::record(&target, &migrate(), group);
            let running = RunningUnit::of(&migrate(), group).unwrap();
            if text.contains("read") {
                drop(child.stdin.take());
                child.wait().unwrap();
            }
            assert!(running.is_alive());
            let told = end_left(&target).unwrap().unwrap();
            assert_eq!(told, "step db/migrate of an earlier release was still running, and was ended");
            assert!(!running.is_alive() && !target.running().exists());
            assert_eq!(end_left(&target).unwrap(), None);
            let _ = child.wait();
        }
    }

    #[test]
    fn another_group_of_the_same_number_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(&folder);
        let (mut child, group) = start("exec sleep 100");
        let own = RunningUnit::of(&migrate(), group).unwrap();
        let elsewhere = RunningUnit { boot: "before".into(), ..RunningUnit::of(&migrate(), group).unwrap() };
        let earlier = RunningUnit { started: own.started - 1, ..RunningUnit::of(&migrate(), group).unwrap() };
        for record in [elsewhere, earlier] {
            fs::write(target.running(), serde_json::to_vec(&record).unwrap()).unwrap();
            assert_eq!(end_left(&target).unwrap(), None);
            assert!(!target.running().exists());
        }
        assert!(own.is_alive());
        assert!(own.end());
        child.wait().unwrap();
    }

    #[test]
    fn a_record_that_cannot_be_read_is_removed_and_told_once() {
        for record in ["", "{\"st", "somebody's", "{}"] {
            let folder = tempfile::tempdir().unwrap();
            let target = target(&folder);
            assert!(!is_unreadable(&target).unwrap());
            fs::write(target.running(), record).unwrap();
            assert!(is_unreadable(&target).unwrap(), "{record:?}");
            let told = end_left(&target).unwrap().unwrap();
            assert!(told.contains("running.json could not be read, and was removed"), "{told}");
            assert_eq!(end_left(&target).unwrap(), None);
        }
    }
}
