//! Where `-o FILE` writes. A file appears whole because it is renamed into place, but renaming would replace a
//! device, a pipe or `/dev/stdout` with a plain file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::error::CommandError;

/// The path that is renamed over: if `path` is a link to a file, that file's own path. Anything that exists and
/// is not a file is refused.
pub fn place(path: &Path) -> Result<PathBuf, CommandError> {
    let unusable = |error| unwritable(path, error);
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(unusable).and_then(in_folder),
        Ok(_) => Err(CommandError::input(format!("{} exists and is not a regular file", path.display()))
            .hint("batou replaces files as a whole, which only works with regular files: name one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => in_folder(path.to_owned()),
        Err(error) => Err(unusable(error)),
    }
}

/// The path, if a file can be made beside it: else a plan would be made, or a release built, for nothing.
fn in_folder(path: PathBuf) -> Result<PathBuf, CommandError> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, folder_of(&path), access, AtFlags::EACCESS) {
        Ok(()) => Ok(path),
        Err(error) => Err(unwritable(&path, io::Error::from(error))),
    }
}

/// The folder of a file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is said of a file that the user named and that cannot be written, at whatever time that shows: it is bad input.
pub fn unwritable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::input(format!("{} cannot be written", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let [new, file, link, device] = ["new", "file", "link", "device"].map(|name| root.join(name));
        fs::write(&file, "").unwrap();
        symlink("file", &link).unwrap();
        symlink("/dev/null", &device).unwrap();
        assert_eq!(place(&new).unwrap(), new);
        assert_eq!(place(&file).unwrap(), file);
        assert_eq!(place(&link).unwrap(), file, "the link stays");
        for other in [&device, &root] {
            assert_eq!(place(other).unwrap_err().exit_code(), 2);
        }
        for nowhere in [root.join("none/file"), file.join("below")] {
            let error = place(&nowhere).unwrap_err();
            assert_eq!(
                (error.exit_code(), error.to_string()),
                (2, format!("{} cannot be written", nowhere.display()))
            );
        }
    }
}
