//! The few operations on files that are needed; every error names its path.
//!
//! A file that others read appears whole: it is written under a temporary name and renamed.

use batou_system::fs::{self, File, OpenOptions};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use batou_system::random;

use crate::Error;

/// A name that begins with `prefix`, and that no other process, thread or earlier call has used.
///
/// The process tells whose it is; that no other has it is left to chance, and whoever makes it refuses one that is there.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}{}-{:016x}", random::process(), random::number())
}

/// The mode of records that may hold what only their owner is to read: commands, their output, settings.
pub const PRIVATE: u32 = 0o600;
/// The mode of records that anybody may read.
pub const PUBLIC: u32 = 0o644;

/// Writes a file so that it appears whole, or not at all: temporary file beside it, rename. It has these permission bits,
/// less the umask. With `durable` it also survives a power cut once this returns.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<(), Error> {
    let temporary = beside(path);
    let written = write_new(&temporary, bytes, mode, durable)
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("replace", path)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    if durable { fsync_directory(parent(path)) } else { Ok(()) }
}

/// Makes `link` a symbolic link to `target`. A link that is already there is replaced in one step. With `durable` it
/// also survives a power cut once this returns.
pub fn swap_symlink(link: &Path, target: &Path, durable: bool) -> Result<(), Error> {
    let temporary = beside(link);
    batou_system::fs::symlink(target, &temporary).map_err(Error::io("create the link", &temporary))?;
    if let Err(source) = fs::rename(&temporary, link) {
        let _ = fs::remove_file(&temporary);
        return Err(Error::Io { action: "replace the link", path: link.to_owned(), source });
    }
    if durable { fsync_directory(parent(link)) } else { Ok(()) }
}

/// Waits until the names in a folder have reached the disk.
pub fn fsync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(Error::io("sync", path))
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(unique(".batou-"))
}

/// Creates a file that must not exist yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<(), Error> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    if durable { file.sync_all().map_err(Error::io("sync", path)) } else { Ok(()) }
}

/// Opens a file for writing that must not exist yet. The umask applies to `mode`.
pub(crate) fn create_new(path: &Path, mode: u32) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path).map_err(Error::io("create", path))
}

/// Creates a folder and what is missing above it.
pub(crate) fn create_directories(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io("create the folder", path))
}

/// Makes the folder that is to hold a file, and removes what is no folder where the folder is to be, and no file where the
/// file is to be. Only for files that can be made again, whose places are nobody else's.
pub(crate) fn make_way(file: &Path) -> Result<(), Error> {
    let folder = parent(file);
    if lstat(folder)?.is_some_and(|found| found.is_file()) {
        remove_file(folder)?;
    }
    if lstat(file)?.is_some_and(|found| found.is_dir()) {
        remove_tree(file)?;
    }
    create_directories(folder)
}

/// Reads a whole file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { action: "open", path: path.to_owned(), source }),
    };
    let size = file.metadata().map_err(Error::io("examine", path))?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        let subject = path.display().to_string();
        return Err(Error::TooLarge { subject, size: size.max(bytes.len() as u64), limit });
    }
    Ok(Some(bytes))
}

/// Like [`read_limited`], but empty, and so damaged, where there is no file of that name but something else, or too large a
/// one.
pub(crate) fn read_or_damaged(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match read_limited(path, limit) {
        Err(Error::TooLarge { .. }) => Ok(Some(Vec::new())),
        Err(error) if error.io_kind() == Some(io::ErrorKind::IsADirectory) => Ok(Some(Vec::new())),
        // The folder in which it was is none any more.
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotADirectory) => Ok(None),
        read => read,
    }
}

/// Reads an object's file of at most `limit` bytes; `None` if there is none. Something else of that name is damage, like
/// content of which nobody knows what it was.
pub(crate) fn read_object(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match read_limited(path, limit) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::IsADirectory) => Err(no_file(path)),
        read => read,
    }
}

/// There is something that cannot be read where an object belongs.
pub(crate) fn no_file(path: &Path) -> Error {
    let fault = "it is a folder, a pipe, a socket or a device, and no file: move it away".to_owned();
    Error::Damaged { path: path.to_owned(), fault }
}

/// What `lstat` says; `None` if there is nothing of that name.
pub(crate) fn lstat(path: &Path) -> Result<Option<fs::Metadata>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(Error::Io { action: "examine", path: path.to_owned(), source }),
    }
}

/// The entries of a folder, sorted by name; none if there is no such folder.
pub(crate) fn entries(path: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { action: "list", path: path.to_owned(), source }),
    };
    let mut entries = listing.collect::<io::Result<Vec<_>>>().map_err(Error::io("list", path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Whether a name is one of our temporary ones, see [`atomic_write`] and [`swap_symlink`].
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".batou-")
}

/// Sets permission bits.
pub(crate) fn set_mode(path: &Path, bits: u32) -> Result<(), Error> {
    fs::set_mode(path, bits).map_err(Error::io("set the mode of", path))
}

/// Removes a file, or a folder and everything in it, including read-only folders. It is not an error if there is
/// nothing.
///
/// Symbolic links are removed, never followed. Checked-out folders lack the write bit, which even their owner needs
/// to empty them, so it is set first.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Error> {
    let Some(metadata) = lstat(path)? else { return Ok(()) };
    if !metadata.is_dir() {
        return remove_file(path).map(drop);
    }
    if metadata.mode() & 0o700 != 0o700 {
        set_mode(path, 0o700)?;
    }
    for entry in fs::read_dir(path).map_err(Error::io("list", path))? {
        let entry = entry.map_err(Error::io("list", path))?;
        if entry.file_type().is_ok_and(fs::FileType::is_dir) {
            remove_tree(&entry.path())?;
        } else {
            remove_file(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Removes a file; returns whether there was one.
pub(crate) fn remove_file(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { action: "remove", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        atomic_write(&path, b"one", PRIVATE, true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        atomic_write(&path, b"two", PUBLIC, false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir(folder.path().join("d")).unwrap();
        atomic_write(&folder.path().join("d"), b"x", PUBLIC, false).unwrap_err();
        swap_symlink(&folder.path().join("d"), Path::new("a"), false).unwrap_err();
        let names: Vec<_> = entries(folder.path()).unwrap().iter().map(fs::DirEntry::file_name).collect();
        assert_eq!(names, ["a", "d"]);
    }

    #[test]
    fn read_only_folders_are_removed_and_links_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, tree) = (folder.path().join("kept"), folder.path().join("tree"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/link")).unwrap();
        for path in ["a/b", "a", ""] {
            set_mode(&tree.join(path), 0o555).unwrap();
        }
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap().unwrap(), b"12345");
        assert!(matches!(read_limited(&path, 4), Err(Error::TooLarge { size: 5, limit: 4, .. })));
        assert!(read_limited(&folder.path().join("b"), 4).unwrap().is_none());
    }
}
