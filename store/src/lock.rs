//! Locks that end with their holder: `flock` on a file, which the kernel releases when a process dies.
//!
//! Whoever can open a file can lock it, for reading even. So lock files can be opened by their owner only.

use batou_system::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use batou_system::clock;

use crate::Error;

/// The most bytes of a lock's text that are shown to others.
const MAX_TEXT: u64 = 4096;
/// The mode of lock files.
const MODE: u32 = 0o600;
/// How often a wait with a time limit tries again.
const POLL: Duration = Duration::from_millis(20);

/// An exclusive lock with a text that tells others who holds it. Dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path`, which is created if absent, or returns the text of the holder, which is empty if a
    /// full disk had no room for it.
    pub fn try_acquire(path: &Path, holder: &str) -> Result<Result<Self, String>, Error> {
        loop {
            let mut file = open(path)?;
            match file.try_lock() {
                Ok(()) if !is_at(&file, path)? => {}
                Ok(()) => {
                    write(&mut file, holder).map_err(Error::io("write the lock", path))?;
                    return Ok(Ok(Self { file, path: path.to_owned() }));
                }
                Err(TryLockError::WouldBlock) => return holder_of(&mut file, path).map(Err),
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { action: "lock", path: path.to_owned(), source });
                }
            }
        }
    }
}

impl Lock {
    /// Whether the lock still keeps others out. Where its file was removed or replaced since it was taken, somebody else
    /// may hold the lock of that name by now.
    pub fn is_in_place(&self) -> Result<bool, Error> {
        is_at(&self.file, &self.path)
    }
}

/// Makes a lock file where there is none.
pub(crate) fn create(path: &Path) -> Result<(), Error> {
    open(path).map(drop)
}

/// Opens a lock file, made where it is absent, and closes it to others if it was open to them.
fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(MODE);
    let file = options.open(path).map_err(Error::io("open the lock", path))?;
    close_to_others(&file, path)?;
    Ok(file)
}

/// Like [`open`], but where nothing can be written the file that is there does: it is enough to lock.
fn open_to_wait(path: &Path) -> Result<File, Error> {
    match File::open(path) {
        Ok(file) => {
            // On a disk that is read-only now the lock stays open to others, who can take nothing there either.
            let _ = close_to_others(&file, path);
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(path),
        Err(source) => Err(Error::Io { action: "open the lock", path: path.to_owned(), source }),
    }
}

fn close_to_others(file: &File, path: &Path) -> Result<(), Error> {
    let open = file.metadata().map_err(Error::io("examine the lock", path))?.mode() & 0o077;
    if open == 0 {
        return Ok(());
    }
    file.set_mode(MODE).map_err(Error::io("set the mode of", path))
}

/// Whether this is still the file at `path`: a lock on a file that has been removed keeps nobody out.
fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let own = file.metadata().map_err(Error::io("examine the lock", path))?;
    match batou_system::fs::metadata(path) {
        Ok(found) => Ok((own.dev(), own.ino()) == (found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { action: "examine the lock", path: path.to_owned(), source }),
    }
}

/// Writes the holder's text. A full disk is not an error, because the lock is needed to make room on it.
fn write(file: &mut File, holder: &str) -> io::Result<()> {
    match file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())) {
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            // A truncated text would name nobody.
            file.set_len(0)
        }
        other => other,
    }
}

/// The holder's text. A holder that has the lock but has not written its text yet is given a moment to do so.
fn holder_of(file: &mut File, path: &Path) -> Result<String, Error> {
    for _ in 0..10 {
        let mut text = Vec::new();
        file.rewind()
            .and_then(|()| (&*file).take(MAX_TEXT).read_to_end(&mut text))
            .map_err(Error::io("read the lock", path))?;
        if !text.is_empty() {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        clock::sleep(POLL / 10);
    }
    Ok(String::new())
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The text is removed before the lock is released, so that it never names someone who no longer holds the
        // lock.
        let _ = self.file.set_len(0);
    }
}

/// Holds one of the store's own lock files; dropping it releases it.
#[derive(Debug)]
pub(crate) struct Guard {
    _file: File,
}

impl Guard {
    /// Waits for the lock for at most `patience`, and shares it with others.
    pub(crate) fn shared(path: &Path, patience: Duration) -> Result<Self, Error> {
        Self::within(path, patience, File::try_lock_shared)?
            .ok_or_else(|| Error::Locked { path: path.to_owned(), patience })
    }

    /// Waits for the lock for at most `patience`, and shares it with nobody.
    pub(crate) fn exclusive(path: &Path, patience: Duration) -> Result<Self, Error> {
        Self::exclusive_within(path, patience)?
            .ok_or_else(|| Error::Locked { path: path.to_owned(), patience })
    }

    /// The same; `None` if others kept it.
    pub(crate) fn exclusive_within(path: &Path, patience: Duration) -> Result<Option<Self>, Error> {
        Self::within(path, patience, File::try_lock)
    }

    fn within(
        path: &Path,
        patience: Duration,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>, Error> {
        let file = open_to_wait(path)?;
        let start = clock::now();
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if clock::now() - start < patience => {
                    clock::sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { action: "lock", path: path.to_owned(), source });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::try_acquire(&path, "alice on laptop, a longer text").unwrap().unwrap();
        assert_eq!(Lock::try_acquire(&path, "bob").unwrap().unwrap_err(), "alice on laptop, a longer text");
        drop(held);
        let _held = Lock::try_acquire(&path, "bob").unwrap().unwrap();
        assert_eq!(Lock::try_acquire(&path, "carol").unwrap().unwrap_err(), "bob");
    }

    #[test]
    fn a_lock_that_was_removed_by_its_holder_is_taken_at_its_new_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::try_acquire(&path, "alice").unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = Lock::try_acquire(&path, "bob").unwrap().unwrap();
        drop(held);
        assert_eq!(Lock::try_acquire(&path, "carol").unwrap().unwrap_err(), "bob");
    }

    #[test]
    fn a_holder_sees_that_the_lock_was_removed_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::try_acquire(&path, "alice").unwrap().unwrap();
        assert!(held.is_in_place().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!held.is_in_place().unwrap());
        std::fs::write(&path, "").unwrap();
        assert!(!held.is_in_place().unwrap());
    }

    #[test]
    fn only_its_owner_can_open_a_lock_also_one_that_was_open_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
        std::fs::write(folder.path().join("old"), "").unwrap();
        std::fs::set_permissions(folder.path().join("old"), PermissionsExt::from_mode(0o644)).unwrap();
        let _new = Lock::try_acquire(&folder.path().join("new"), "alice").unwrap().unwrap();
        let _old = Guard::shared(&folder.path().join("old"), Duration::ZERO).unwrap();
        assert_eq!((mode("new"), mode("old")), (0o600, 0o600));
    }

    #[test]
    fn the_store_lock_is_shared_or_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "").unwrap();
        let shared = || Guard::shared(&path, Duration::ZERO).unwrap();
        let (one, two) = (shared(), shared());
        assert!(Guard::exclusive_within(&path, Duration::ZERO).unwrap().is_none());
        drop((one, two));
        let _alone = Guard::exclusive(&path, Duration::ZERO).unwrap();
        let error = Guard::shared(&path, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains(&format!("`fuser {}` tells which", path.display())), "{error}");
    }
}
