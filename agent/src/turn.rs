//! Turns: the moments in which an agent changes what is in force or what the journal says of it.
//!
//! A lock whose file somebody removes keeps nobody out any more, so an agent looks whether its lock is still in place before
//! each such change. From the look to the end of the change it holds the journal as well (`flock`), and whoever takes the
//! lock waits once until nobody holds the journal. So an agent that was stopped after its look has either ended its change by
//! then, or keeps the other one out; and one that was stopped before finds that its lock is lost.

use std::io::ErrorKind;
use std::time::Duration;

use batou_store::Lock;
use batou_system::fs::{File, TryLockError};
use batou_system::{clock, fs};

use crate::error::Error;
use crate::target::{TargetDirectory, check_file};

/// How long an agent waits for its turn. What is done in one takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries.
const POLL: Duration = Duration::from_millis(20);

/// A turn, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The journal. Where there is none yet, there is no release under way that could be committed.
    _journal: Option<File>,
}

impl Turn {
    /// Waits for this agent's turn. Its lock is in place then.
    pub(crate) fn take(target: &TargetDirectory, lock: &Lock) -> Result<Self, Error> {
        check_lock(target, lock)?;
        let turn = Self::wait(target)?;
        check_lock(target, lock)?;
        Ok(turn)
    }

    fn wait(target: &TargetDirectory) -> Result<Self, Error> {
        let path = target.journal();
        check_file(&path)?;
        let journal = match File::open(&path) {
            Ok(journal) => journal,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { _journal: None }),
            Err(source) => return Err(Error::io("open", &path)(source)),
        };
        let start = clock::now();
        loop {
            match journal.try_lock() {
                Ok(()) => return Ok(Self { _journal: Some(journal) }),
                Err(TryLockError::WouldBlock) if clock::now() - start < PATIENCE => clock::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(Error::InTurn(path)),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
    }
}

/// The lock still keeps others out. Once its file was removed or replaced, another agent may be at work here, and has
/// then gone back from what was under way.
pub(crate) fn check_lock(target: &TargetDirectory, lock: &Lock) -> Result<(), Error> {
    if lock.is_in_place()? {
        return Ok(());
    }
    let directory = target.directory();
    if fs::is_dir(directory) {
        return Err(Error::LockLost(target.lock()));
    }
    Err(Error::TargetLost(directory.to_owned()))
}
