//! A reserve for full disks: a release that fills the disk is a reason to go back, and going back needs a little room and a few
//! files, for the intent, the pointer and the records.
//!
//! It is made once a release is in force, and given up by what brings nothing new: a switch for which everything is there, going
//! back, and collecting. An upload never gets it.

use batou_system::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use batou_store::fs::PRIVATE;

use crate::error::Error;
use crate::target::TargetDirectory;

/// How many bytes are kept where there is plenty: for the journal's room and the records, of which each is written beside the
/// old one.
const ROOM: u64 = 1 << 20;
/// How many files are kept where there are plenty, and so inodes.
const FILES: u64 = 16;
/// Of what is free, one part in so many is kept at most: the rest is for the release that is in force.
const SHARE: u64 = 8;
/// What is kept is a multiple of so many bytes.
const BLOCK: u64 = 4 << 10;

/// Keeps room and files, as far as they are there. That it cannot be kept is no failure of the release that is in force.
pub(crate) fn keep(target: &TargetDirectory) {
    let kept = make(target);
    if kept.is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory) && give_up(target).is_ok() {
        let _ = make(target);
    }
}

fn make(target: &TargetDirectory) -> io::Result<()> {
    let folder = target.reserve();
    if !fs::is_dir(&folder) {
        remove(&folder)?;
        fs::create_dir_with(&folder, 0o700)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(PRIVATE);
    let room = options.open(folder.join("room"))?;
    let found = room.metadata()?.len();
    let left = fs::space(&folder)?;
    for number in 1..left.files.map_or(FILES, |files| share(files, FILES)) {
        let path = folder.join(number.to_string());
        if !fs::exists(&path) {
            options.open(path)?;
        }
    }
    // What is kept already is part of what there was to take a share of, so that it does not shrink the next time.
    let wanted = share(left.bytes.saturating_add(found), ROOM) / BLOCK * BLOCK;
    if found >= wanted {
        return Ok(());
    }
    // A filesystem may have taken what there was, although it was too little.
    room.allocate(wanted).inspect_err(|_| drop(room.set_len(found)))
}

/// How much of what is free is kept.
fn share(free: u64, enough: u64) -> u64 {
    enough.min(free / SHARE)
}

/// Gives the reserve up where the filesystem has less left than is kept.
pub(crate) fn give_up_if_full(target: &TargetDirectory) -> Result<(), Error> {
    let path = target.directory();
    let left = fs::space(path).map_err(Error::io("examine the filesystem of", path))?;
    if left.bytes < ROOM || left.files.is_some_and(|files| files < FILES) { give_up(target) } else { Ok(()) }
}

/// Does something that needs little room, and if there is none gives the reserve up and does it once more. So it is with a
/// quota, of which the filesystem's figures say nothing.
pub(crate) fn draw_on<T>(
    target: &TargetDirectory,
    mut work: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    match work() {
        Err(error) if error.is_full() && is_kept(target) => {
            give_up(target)?;
            work()
        }
        done => done,
    }
}

fn is_kept(target: &TargetDirectory) -> bool {
    fs::read_dir(target.reserve()).is_ok_and(|mut entries| entries.next().is_some())
}

/// Gives the reserve up; that there is none is no failure.
pub(crate) fn give_up(target: &TargetDirectory) -> Result<(), Error> {
    let folder = target.reserve();
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("list", &folder))?,
    };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.iter().try_for_each(|path| remove(path).map_err(Error::io("remove", path)))
}

/// Removes whatever is at one of our places, if anything is.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        found => found.and_then(|_| fs::remove_file(path)),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_small_share_of_what_is_free_is_kept() {
        for (free, kept) in
            [(0, 0), (30 << 10, 3840), (600 << 10, 75 << 10), (8 << 20, ROOM), (1 << 40, ROOM)]
        {
            assert_eq!(share(free, ROOM), kept);
        }
        assert_eq!((share(20, FILES), share(1000, FILES)), (2, FILES));
    }

    #[test]
    fn who_has_no_room_gets_the_reserve_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = TargetDirectory::new(folder.path().to_str().unwrap()).unwrap();
        let tries = Cell::new(0);
        let failing = |errno: Errno, times: u32| {
            tries.set(0);
            draw_on(&target, || {
                tries.set(tries.get() + 1);
                let error = Error::io("write", Path::new("/x"))(errno.into());
                if tries.get() > times { Ok(()) } else { Err(error) }
            })
        };
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            keep(&target);
            failing(errno, 1).unwrap();
            assert!(!is_kept(&target), "it was needed");
            failing(errno, 1).unwrap_err();
            assert_eq!(tries.get(), 1, "there is none any more");
        }
        keep(&target);
        failing(Errno::DQUOT, 2).unwrap_err();
        keep(&target);
        failing(Errno::IO, 1).unwrap_err();
        assert!(is_kept(&target), "that was not for want of room");
    }
}
