//! Files: what the standard library and the kernel offer of them, under the same names.

mod file;
mod listing;
mod metadata;

use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags, renameat_with};

pub use std::fs::TryLockError;

pub use file::{File, OpenOptions};
pub use listing::{DirEntry, OpenFolder, ReadDir, read_dir, walk};
pub use metadata::{FileType, Metadata, Space};

/// The mode of a folder for which none is given; the umask takes some of it away.
const FOLDER: u32 = 0o777;

/// Leaves the function with what the simulated disk says, where there is one.
macro_rules! simulate {
    ($name:literal, $path:expr, $changes:literal, $disk:ident => $work:expr) => {
        #[cfg(feature = "simulation")]
        if let Some(result) = crate::simulation::on_disk($name, $path, $changes, |$disk| $work) {
            return result;
        }
    };
}

/// What is known of a file; a link is followed.
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    simulate!("stat", path, false, disk => disk.stat(path, true));
    std::fs::metadata(path).map(Metadata::from)
}

/// What is known of a file; a link is not followed.
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    simulate!("lstat", path, false, disk => disk.stat(path, false));
    std::fs::symlink_metadata(path).map(Metadata::from)
}

/// Whether a path leads to anything.
pub fn exists(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok()
}

/// Whether a path leads to a folder.
pub fn is_dir(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok_and(|found| found.is_dir())
}

/// Whether a path leads to a regular file.
pub fn is_file(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok_and(|found| found.is_file())
}

/// Whether a path is in use, be it by a link to nowhere, or by what may not be looked at.
pub fn is_taken(path: impl AsRef<Path>) -> bool {
    let free =
        |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    !symlink_metadata(path).is_err_and(free)
}

/// Whether there is a symbolic link at a path.
pub fn is_symlink(path: impl AsRef<Path>) -> bool {
    symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// The path without links.
pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    simulate!("realpath", path, false, disk => disk.real_path(path));
    std::fs::canonicalize(path)
}

/// Reads a whole file.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file for reading. Unlike by [`File::open`], a folder is refused, too.
pub fn open_file(path: impl AsRef<Path>) -> io::Result<File> {
    Ok(open_examined(path.as_ref())?.0)
}

fn open_examined(path: &Path) -> io::Result<(File, Metadata)> {
    let (file, found) = File::options().read(true).open_examined(path)?;
    if found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, and no file"));
    }
    Ok((file, found))
}

/// Reads a whole file. More than `largest` bytes are an error of the kind
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge).
pub fn read_at_most(path: impl AsRef<Path>, largest: u64) -> io::Result<Vec<u8>> {
    let (file, found) = open_examined(path.as_ref())?;
    let size = found.len().min(largest);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        let message = format!("it is larger than {} MiB", largest >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads a whole file of text.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes a file, made where it is absent and replaced where it is not.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path)?.write_all(bytes.as_ref())
}

/// Makes a folder.
pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    create_dir_with(path, FOLDER)
}

/// Makes a folder with these permission bits, less the umask.
pub fn create_dir_with(path: impl AsRef<Path>, mode: u32) -> io::Result<()> {
    let path = path.as_ref();
    simulate!("mkdir", path, true, disk => disk.create_directory(path, mode));
    std::fs::DirBuilder::new().mode(mode).create(path)
}

/// Makes a folder, and what is missing above it.
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if path == Path::new("") || is_dir(path) {
        return Ok(());
    }
    let made = match create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dir_all(path.parent().ok_or(error)?)?;
            create_dir(path)
        }
        made => made,
    };
    made.or_else(|error| if is_dir(path) { Ok(()) } else { Err(error) })
}

/// Removes a file or a link.
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    simulate!("unlink", path, true, disk => disk.remove_file(path));
    std::fs::remove_file(path)
}

/// Removes a folder, which must be empty.
pub fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    simulate!("rmdir", path, true, disk => disk.remove_directory(path));
    std::fs::remove_dir(path)
}

/// Removes a folder and everything in it; links are not followed.
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        match symlink_metadata(path)?.file_type() {
            FileType::Directory => {}
            FileType::Symlink => return remove_file(path),
            _ => return Err(rustix::io::Errno::NOTDIR.into()),
        }
        for entry in read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_dir_all(entry.path())?;
            } else {
                remove_file(entry.path())?;
            }
        }
        return remove_dir(path);
    }
    std::fs::remove_dir_all(path)
}

/// Gives what has one name another; what had that is gone.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    simulate!("rename", from, true, disk => disk.rename(from, to));
    std::fs::rename(from, to)
}

/// Exchanges what two names stand for.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    simulate!("exchange", one, true, disk => disk.exchange(one, other));
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Gives a file another name.
pub fn hard_link(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    simulate!("link", to, true, disk => disk.link(from, to));
    std::fs::hard_link(from, to)
}

/// Makes a symbolic link to `target`.
pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (target, link) = (target.as_ref(), link.as_ref());
    simulate!("symlink", link, true, disk => disk.symlink(target, link));
    std::os::unix::fs::symlink(target, link)
}

/// What a symbolic link points to.
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    simulate!("readlink", path, false, disk => disk.read_link(path));
    std::fs::read_link(path)
}

/// Sets permission bits; a link is followed.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<()> {
    let path = path.as_ref();
    simulate!("chmod", path, true, disk => disk.set_mode(path, mode));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Whether this user may make and remove entries of a folder; why not is the error.
pub fn check_writable(path: &Path) -> io::Result<()> {
    simulate!("access", path, false, disk => disk.check_writable(path));
    Ok(rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// What the filesystem of a path has left.
pub fn space(path: &Path) -> io::Result<Space> {
    simulate!("statvfs", path, false, disk => disk.space(path));
    let found = rustix::fs::statvfs(path)?;
    // Some filesystems have no fixed number of files, and say that they have none at all.
    let files = (found.f_files > 0).then_some(found.f_favail);
    Ok(Space { bytes: found.f_bavail.saturating_mul(found.f_frsize), files })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_a_file_of_limited_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read_at_most(&path, 4).unwrap(), b"1234");
        assert_eq!(read_at_most(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let refused = read_at_most(folder.path(), 4).unwrap_err();
        assert_eq!(refused.to_string(), "it is a folder, and no file");
    }

    #[test]
    fn a_path_is_taken_by_whatever_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        let taken = ["", "file", "link", "none", "file/below"].map(|name| is_taken(path(name)));
        assert_eq!(taken, [true, true, true, false, false]);
    }
}
