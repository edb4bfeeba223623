//! The private folder in which a command keeps the sockets of its masters.
//!
//! Every command has its own, with a name that cannot be guessed and open to nobody else, so that no two
//! commands share a socket. The command holds a lock on its folder for as long as it lives. A folder that
//! nobody holds was left by a killed command; the next command removes it, and also the sockets of masters that
//! were killed.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::TempDir;

/// What the folders' names begin with.
const PREFIX: &str = "batou-mux-";
/// How many random characters tempfile appends to it.
const RANDOM: usize = 6;
/// How long a socket's path may be, in bytes: the kernel accepts 107, and ssh temporarily appends 17.
const LONGEST: usize = 80;
/// How many bytes a socket's own name may have, including the slash before it.
const NAME: usize = 11;

/// A folder for sockets. Dropping it removes it.
#[derive(Debug)]
pub(super) struct SocketFolder {
    // Dropped, and so removed, before the lock is released.
    folder: TempDir,
    _lock: File,
}

impl SocketFolder {
    /// Makes a folder in the first suitable one of these places, and removes what killed commands left there.
    pub(super) fn create(places: &[PathBuf]) -> io::Result<Self> {
        let mut failure = io::Error::new(
            io::ErrorKind::InvalidFilename,
            "no folder is safe and has a path that is short enough",
        );
        let places =
            || places.iter().filter(|place| place.is_absolute() && can_be_told(place) && is_safe(place));
        places().for_each(|place| sweep(place));
        for place in places() {
            if place.as_os_str().len() + 1 + PREFIX.len() + RANDOM + NAME > LONGEST {
                continue;
            }
            match Self::create_in(place) {
                Ok(folder) => return Ok(folder),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn create_in(place: &Path) -> io::Result<Self> {
        loop {
            let private = fs::Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(private)
                .rand_bytes(RANDOM)
                .tempdir_in(place)?;
            // Until it is locked, another command may take it for a leftover and remove it.
            if let Some(lock) = lock(folder.path())? {
                return Ok(SocketFolder { folder, _lock: lock });
            }
        }
    }

    /// The path of the socket with this number.
    pub(super) fn socket(&self, number: u32) -> PathBuf {
        self.folder.path().join(number.to_string())
    }
}

/// Whether ssh takes a path literally: it always replaces `${NAME}` by an environment variable, and that cannot
/// be escaped.
fn can_be_told(place: &Path) -> bool {
    !place.as_os_str().as_bytes().windows(2).any(|bytes| bytes == b"${")
}

/// Whether nobody but root can replace our folder with another.
fn is_safe(place: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    fs::metadata(place).is_ok_and(|place| {
        let (others_write, sticky) = (place.mode() & 0o022 != 0, place.mode() & 0o1000 != 0);
        [0, user].contains(&place.uid()) && (!others_write || sticky)
    })
}

/// Locks a folder; `None` if somebody else holds it or has removed it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let folder = match opened {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let (held, there) = (folder.metadata()?, fs::symlink_metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
    Ok(same.then_some(folder))
}

/// Removes the folders that killed commands of this user left in a place. What cannot be removed is left to the
/// next command.
fn sweep(place: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let ours = || entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) && ours() {
            let _ = remove_left(&entry.path());
        }
    }
}

fn remove_left(path: &Path) -> io::Result<()> {
    let Some(_lock) = lock(path)? else { return Ok(()) };
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            fs::remove_file(entry.path())?;
        }
    }
    // If anything else is in the folder, the folder stays: nobody knows whose it is.
    fs::remove_dir(path)
}

/// A socket's path as written for ssh, which expands sequences that begin with `%`.
pub(super) fn escaped(socket: &Path) -> OsString {
    let mut text = Vec::new();
    for byte in socket.as_os_str().as_bytes() {
        text.push(*byte);
        if *byte == b'%' {
            text.push(b'%');
        }
    }
    OsString::from_vec(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_private_and_ends_with_its_command() {
        let place = tempfile::tempdir().unwrap();
        let folder = SocketFolder::create(&[place.path().to_owned()]).unwrap();
        let metadata = fs::metadata(folder.folder.path()).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o700);
        let _socket = UnixListener::bind(folder.socket(u32::MAX)).unwrap();
        drop(folder);
        assert_eq!(names(place.path()), [""; 0]);
    }

    #[test]
    fn folders_in_use_stay_and_those_that_were_left_go() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        let used = SocketFolder::create(&places).unwrap();
        let left = place.path().join("batou-mux-left");
        fs::create_dir(&left).unwrap();
        drop(UnixListener::bind(left.join("0")).unwrap());
        let not_ours = place.path().join("batou-mux-file");
        fs::create_dir(&not_ours).unwrap();
        fs::write(not_ours.join("letter"), "").unwrap();
        let other = SocketFolder::create(&places).unwrap();
        let name =
            |folder: &SocketFolder| folder.folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![name(&used), name(&other), "batou-mux-file".to_owned()];
        expected.sort();
        assert_eq!(names(place.path()), expected);
    }

    #[test]
    fn a_link_to_somebody_elses_folder_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let theirs = place.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::symlink(&theirs, place.path().join("batou-mux-link")).unwrap();
        sweep(place.path());
        assert_eq!(names(place.path()), ["batou-mux-link", "theirs"]);
    }

    #[test]
    fn a_place_whose_path_is_too_long_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("d".repeat(LONGEST));
        fs::create_dir(&deep).unwrap();
        let folder = SocketFolder::create(&[deep.clone(), place.path().to_owned()]).unwrap();
        assert_eq!(folder.folder.path().parent(), Some(place.path()));
        assert!(folder.socket(u32::MAX).as_os_str().len() <= LONGEST);
        let Err(error) = SocketFolder::create(&[deep]) else { panic!("it was taken") };
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }

    #[test]
    fn a_place_in_which_ssh_would_put_something_in_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let (variable, percent) = (place.path().join("${HOME}"), place.path().join("%h"));
        for place in [&variable, &percent] {
            fs::create_dir(place).unwrap();
        }
        let folder = SocketFolder::create(&[variable, percent.clone()]).unwrap();
        assert_eq!(folder.folder.path().parent(), Some(&*percent));
    }

    #[test]
    fn a_place_where_others_could_exchange_the_folder_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        for (mode, safe) in [(0o777, false), (0o770, false), (0o1777, true), (0o755, true)] {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(SocketFolder::create(&[place.path().to_owned()]).is_ok(), safe, "{mode:o}");
        }
    }

    #[test]
    fn many_commands_at_once_do_not_remove_each_others_folders() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        std::thread::scope(|scope| {
            let starts = (0..16).map(|_| scope.spawn(|| SocketFolder::create(&places).unwrap()));
            let folders: Vec<_> =
                starts.collect::<Vec<_>>().into_iter().map(|start| start.join().unwrap()).collect();
            assert!(folders.iter().all(|folder| folder.folder.path().is_dir()));
        });
    }
}
