//! `read` and `glob`: files of the project, which count as inputs of what is made of them.

use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::starlark::stop::Stop;
use crate::template::cause;

/// Larger files are not configuration.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A folder with more files than this is not meant to be searched.
const MOST: usize = 100_000;

/// The files of a project, as code of one of its folders sees them.
#[derive(Debug)]
pub(crate) struct ReadableFiles<'a> {
    pub(crate) root: &'a Path,
    /// Relative to the project; the library has none.
    pub(crate) folder: Option<PathBuf>,
}

/// What was read, and its cause: a name and a digest.
pub(crate) type Read<T> = (T, (String, String));

impl ReadableFiles<'_> {
    /// The text of a file, by its path below the folder, or, after `//`, below the project.
    pub(crate) fn read(&self, name: &str) -> Result<Read<String>, Stop> {
        let relative = self.relative(name)?;
        let path = self.inside(&relative)?;
        let failed =
            |error: std::io::Error| Stop::mistake(format!("cannot read {}: {error}", relative.display()));
        let bytes = batou_system::fs::read_at_most(&path, LARGEST).map_err(failed)?;
        let cause = (format!("file {}", relative.display()), cause::digest(&bytes));
        let text = String::from_utf8(bytes).map_err(|_| {
            Stop::mistake(format!("{} is not UTF-8 text", relative.display()))
                .help("to ship it as it is, use c.file(…, template = False)")
        })?;
        Ok((text, cause))
    }

    /// The files below the folder whose paths match one of the patterns, and none of the excluded ones, in order.
    pub(crate) fn glob(&self, patterns: &[String], exclude: &[String]) -> Result<Read<Vec<String>>, Stop> {
        let folder = self.folder.clone().ok_or_else(no_folder)?;
        let wanted = FilePatterns::new(patterns, exclude)?;
        let real = self.inside(&folder)?;
        let mut found = Vec::new();
        let mut seen = 0_usize;
        let mut entries = WalkDir::new(&real).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            seen += 1;
            if seen > MOST {
                let message = format!("there are more than {MOST} files in {}", folder.display());
                return Err(Stop::mistake(message).help("move what is not configuration elsewhere"));
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    wanted.excuse(&error, &real, &folder)?;
                    continue;
                }
            };
            let below = entry.path().strip_prefix(&real).unwrap_or(entry.path());
            if entry.file_type().is_dir() {
                if !wanted.may_be_in(below) {
                    entries.skip_current_dir();
                } else if entry.path_is_symlink() {
                    self.inside(&folder.join(below))?;
                }
            } else if wanted.is_match(below) {
                self.inside(&folder.join(below))?;
                found.push(plain(below)?);
            }
        }
        found.sort();
        let name = format!("files {}/{{{}}}", folder.display(), patterns.join(","));
        let digest = cause::digest(found.join("\n").as_bytes());
        Ok((found, (name, digest)))
    }

    /// The path from the project's root.
    fn relative(&self, name: &str) -> Result<PathBuf, Stop> {
        let (folder, below) = match name.strip_prefix("//") {
            Some(below) => (PathBuf::new(), below),
            None => (self.folder.clone().ok_or_else(no_folder)?, name),
        };
        let plain = Path::new(below).components().all(|part| matches!(part, Component::Normal(_)));
        if below.is_empty() || !plain {
            let message = format!("`{name}` is not a path below the Starlark file's folder");
            return Err(Stop::mistake(message).help("a path from the project's root begins with `//`"));
        }
        Ok(folder.join(below))
    }

    /// Where a file really is; refused if a symlink leads outside the project.
    fn inside(&self, relative: &Path) -> Result<PathBuf, Stop> {
        match self.root.join(relative).canonicalize() {
            Ok(path) if path.starts_with(self.root) => Ok(path),
            Ok(_) => Err(Stop::mistake(format!("{} lies outside the project", relative.display()))
                .help("copy it into the project")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Stop::mistake(format!("there is no file {}", relative.display())))
            }
            Err(error) => Err(Stop::mistake(format!("cannot read {}: {error}", relative.display()))),
        }
    }
}

fn no_folder() -> Stop {
    Stop::mistake("the library has no files beside it")
        .help("name a path from the project's root: `//lib/FILE`")
}

/// Which files `glob` looks for. Nothing else in a folder keeps it from finding them, such as an editor's lock file,
/// which is a dangling symlink.
struct FilePatterns {
    files: GlobSet,
    excluded: GlobSet,
    /// The folders in which they may lie.
    folders: GlobSet,
}

impl FilePatterns {
    fn new(patterns: &[String], exclude: &[String]) -> Result<FilePatterns, Stop> {
        let parts = |pattern: &String| pattern.split('/').any(|part| matches!(part, "" | "." | ".."));
        if let Some(pattern) = patterns.iter().find(|pattern| parts(pattern)) {
            let message = format!("`{pattern}` is not a pattern of paths below the Starlark file's folder");
            return Err(
                Stop::mistake(message).help("write it as \"conf.d/*.conf\", relative to the Starlark file")
            );
        }
        let folders: Vec<String> = patterns.iter().flat_map(|pattern| folders(pattern)).collect();
        Ok(FilePatterns { files: globs(patterns)?, excluded: globs(exclude)?, folders: globs(&folders)? })
    }

    fn is_match(&self, below: &Path) -> bool {
        self.files.is_match(below) && !self.is_excluded(below)
    }

    fn may_be_in(&self, folder: &Path) -> bool {
        self.folders.is_match(folder)
    }

    fn is_excluded(&self, below: &Path) -> bool {
        self.excluded.is_match(below) || below.file_name().is_some_and(|name| self.excluded.is_match(name))
    }

    /// What cannot be read is a mistake only if a pattern could mean it.
    fn excuse(&self, error: &walkdir::Error, real: &Path, folder: &Path) -> Result<(), Stop> {
        let below = error.path().and_then(|path| path.strip_prefix(real).ok()).unwrap_or(Path::new(""));
        let is_link = error.path().is_some_and(Path::is_symlink);
        let is_folder = error.loop_ancestor().is_some() || !is_link;
        let meant = self.files.is_match(below) || is_folder && self.may_be_in(below);
        if !below.as_os_str().is_empty() && (!meant || self.is_excluded(below)) {
            return Ok(());
        }
        let shown = folder.join(below);
        let message = match error.io_error() {
            None => format!("{} is a symlink to a folder that contains it", shown.display()),
            Some(_) if is_link => format!("{} is a symlink that points to nothing", shown.display()),
            Some(io) => format!("cannot read {}: {io}", shown.display()),
        };
        Err(Stop::mistake(message).help("remove it, or leave it out with `exclude`"))
    }
}

/// Patterns of the folders in which files that match a pattern may lie.
fn folders(pattern: &str) -> Vec<String> {
    if pattern.contains(['{', '[', '\\']) {
        // It is not easy to tell where the parts of such a pattern begin.
        return vec!["**".to_owned()];
    }
    let below = pattern.rsplit('/').next().filter(|last| last.contains("**")).map(|_| pattern.len());
    let ends = pattern.match_indices('/').map(|(end, _)| end).chain(below);
    ends.map(|end| pattern[..end].to_owned()).collect()
}

fn plain(below: &Path) -> Result<String, Stop> {
    let shown = || format!("the name of {} is not UTF-8, or contains a control character", below.display());
    let name = below.to_str().filter(|name| !name.chars().any(char::is_control));
    name.map(str::to_owned).ok_or_else(|| Stop::mistake(shown()).help("rename the file"))
}

fn globs(patterns: &[String]) -> Result<GlobSet, Stop> {
    let invalid = |error: globset::Error| {
        let pattern = error.glob().unwrap_or_default().to_owned();
        Stop::mistake(format!("`{pattern}` is not a pattern of file names: {}", error.kind()))
    };
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        let glob: Glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(invalid)?;
        globs.add(glob);
    }
    globs.build().map_err(invalid)
}
