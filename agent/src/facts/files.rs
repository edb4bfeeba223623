//! Which files match a pattern, name by name, so that only folders that may hold a match are read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batou_system::{clock, fs};

use super::pattern::FilePattern;

/// The most matches.
const MOST: usize = 10_000;
/// How long the search may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The paths that match, sorted. If a folder does not exist, nothing in it matches. As in a shell, a name that begins
/// with a dot is matched only by a pattern that does too.
pub(super) fn matching(pattern: &str) -> Result<Vec<String>, String> {
    let end = clock::now() + PATIENCE;
    let mut found = vec![PathBuf::from("/")];
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        found = if name.contains(['*', '?', '[', '{', '\\']) {
            let pattern =
                FilePattern::new(name).map_err(|error| format!("{name} is not a pattern: {error}"))?;
            let hidden = name.starts_with('.');
            let mut below = Vec::new();
            for folder in &found {
                let wanted = |name: &str| pattern.matches(name) && (hidden || !name.starts_with('.'));
                list(folder, wanted, end, &mut below)?;
            }
            below
        } else {
            let inside = found.into_iter().map(|folder| folder.join(name));
            inside.filter(|path| fs::symlink_metadata(path).is_ok()).collect()
        };
    }
    let text = |path: PathBuf| path.into_os_string().into_string();
    let paths: Result<Vec<_>, _> = found.into_iter().map(text).collect();
    let mut paths =
        paths.map_err(|path| format!("the name of {} is not UTF-8", Path::new(&path).display()))?;
    paths.sort();
    Ok(paths)
}

fn list(
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
    end: Instant,
    found: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // A name that is not UTF-8 is matched by the rest of it, so that it is reported rather than left out.
        if wanted(&name.to_string_lossy()) {
            found.push(folder.join(name));
        }
        if found.len() > MOST {
            return Err(format!("more than {MOST} files match"));
        }
        if clock::now() > end {
            return Err(format!("the search took more than {} s", PATIENCE.as_secs()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn patterns_match_name_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/one", "a/two", "a/.hidden", "b/one", "b/deep/one", "file"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join("a/link")).unwrap();
        let found = |pattern: &str| {
            let found = matching(&format!("{}/{pattern}", folder.path().display())).unwrap();
            let prefix = format!("{}/", folder.path().display());
            found.iter().map(|path| path.strip_prefix(&prefix).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("*/one"), ["a/one", "b/one"]);
        assert_eq!(found("a/*"), ["a/link", "a/one", "a/two"]);
        assert_eq!(found("a/.h*"), ["a/.hidden"]);
        assert_eq!(found("[ab]/{one,two}"), ["a/one", "a/two", "b/one"]);
        assert_eq!(found("b/*/one"), ["b/deep/one"]);
        assert_eq!(found("file"), ["file"]);
        assert!(found("none/*").is_empty() && found("file/*").is_empty() && found("none").is_empty());
    }

    #[test]
    fn too_many_and_foreign_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = format!("{}/*", folder.path().display());
        fs::write(folder.path().join(OsStr::from_bytes(b"a\xff")), "").unwrap();
        assert!(matching(&pattern).unwrap_err().ends_with("is not UTF-8"));
        for number in 0..MOST {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(matching(&pattern).unwrap_err(), "more than 10000 files match");
    }
}
