//! Where `-o FILE` writes. A file appears whole because it is renamed into place, but renaming would replace a
//! device, a pipe or `/dev/stdout` with a plain file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CommandError;

/// The path that is renamed over: if `path` is a link to a file, that file's own path. Anything that exists and
/// is not a file is refused.
pub fn place(path: &Path) -> Result<PathBuf, CommandError> {
    let unusable =
        |error| CommandError::usage(format!("{} cannot be written", path.display())).because(error);
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(unusable),
        Ok(_) => Err(CommandError::usage(format!("{} exists and is not a regular file", path.display()))
            .hint("batou replaces files as a whole, which only works with regular files: name one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(unusable(error)),
    }
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
    }
}
