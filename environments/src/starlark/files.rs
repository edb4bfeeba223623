//! `read` and `glob`: files of the project, which count as inputs of what is made of them.

use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::cause;
use crate::starlark::stop::Stop;

/// Larger files are no configuration.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Folders with more in them are not meant.
const MOST: usize = 100_000;

/// The files of a project, as code of one of its folders sees them.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    pub(crate) root: &'a Path,
    /// Relative to the project; the library has none.
    pub(crate) folder: Option<PathBuf>,
}

/// What was read, and the cause that it is: a name and a digest.
pub(crate) type Read<T> = (T, (String, String));

impl Files<'_> {
    /// The text of a file, by its path below the folder, or, after `//`, below the project.
    pub(crate) fn read(&self, name: &str) -> Result<Read<String>, Stop> {
        let relative = self.relative(name)?;
        let path = self.inside(&relative)?;
        let failed =
            |error: std::io::Error| Stop::mistake(format!("cannot read {}: {error}", relative.display()));
        let meta = std::fs::metadata(&path).map_err(failed)?;
        if !meta.is_file() {
            return Err(Stop::mistake(format!("{} is not a file", relative.display())));
        }
        if meta.len() > LARGEST {
            return Err(Stop::mistake(format!("{} is larger than 16 MiB", relative.display())));
        }
        let bytes = std::fs::read(&path).map_err(failed)?;
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
        let (wanted, unwanted) = (globs(patterns)?, globs(exclude)?);
        let real = self.inside(&folder)?;
        let mut found = Vec::new();
        for (seen, entry) in
            WalkDir::new(&real).follow_links(true).sort_by_file_name().into_iter().enumerate()
        {
            let entry = entry.map_err(|error| Stop::mistake(format!("cannot read the folder: {error}")))?;
            if seen > MOST {
                let message = format!("there are more than {MOST} files in {}", folder.display());
                return Err(Stop::mistake(message).help("keep what is not configuration elsewhere"));
            }
            let below = entry.path().strip_prefix(&real).unwrap_or(entry.path());
            let Some(path) = below.to_str().filter(|_| !entry.file_type().is_dir()) else { continue };
            let shown = wanted.is_match(below) && !unwanted.is_match(below);
            if shown && !unwanted.is_match(entry.file_name()) {
                self.inside(&folder.join(path))?;
                found.push(path.to_owned());
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
            let message = format!("`{name}` is not a path below the folder");
            return Err(Stop::mistake(message).help("a path from the project's root begins with `//`"));
        }
        Ok(folder.join(below))
    }

    /// Where a file really is; one that a symlink takes outside is refused.
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
