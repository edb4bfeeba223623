//! A look at checkouts: whether everything is there as it was made, by metadata alone.
//!
//! It reads the stat records, asks for the metadata of each file, and opens no file, so that it can be taken each time that a
//! host is asked what it has. What is changed in place and then made to look as before, only `verify` finds.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::Path;

use batou_system::fs::{FileType, OpenFolder};

use crate::layout::{self, FILES};
use crate::stats::{self, Stat, StatLine, stat_lines};
use crate::{ArtifactId, Error, Fault, Name, ObjectId, Problem, Remedy, Store, fs};

impl Store {
    /// What does not look as it was made: in the checkouts of artifacts, and of the store's own folders and locks those that
    /// are missing, which [`Store::open`] makes again.
    pub fn look(&self, artifacts: &[(ArtifactId, &Name)]) -> Result<Vec<Problem>, Error> {
        let mut problems = self.lacking_folders()?;
        for (id, name) in artifacts {
            problems.extend(self.look_at(id, name)?);
        }
        Ok(problems)
    }

    /// What does not look as it was made in one artifact's checkout.
    pub(crate) fn look_at(&self, id: &ArtifactId, name: &Name) -> Result<Vec<Problem>, Error> {
        let mut look =
            CheckoutLook { store: self, id, folder: &self.artifact_path(id, name), problems: Vec::new() };
        let object = ObjectId::Artifact(*id);
        let record = self.layout.object(&object);
        if fs::lstat(&record)?.is_none() {
            let detail = object.to_string();
            look.problems.push(self.problem(Fault::Missing, &record, detail, Remedy::Fetch(object)));
        }
        let path = self.layout.stats(id, name);
        let bytes = fs::read_or_damaged(&path, stats::MAX_SEALED)?.unwrap_or_default();
        match stat_lines(&bytes).and_then(Iterator::collect::<Option<Vec<_>>>) {
            Some(lines) => look.all(&lines)?,
            None => look.report(Fault::Damaged, &path, "the stat record is missing or damaged"),
        }
        Ok(look.problems)
    }

    fn lacking_folders(&self) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        for name in layout::folders().chain(FILES) {
            let path = self.layout.folder(name);
            if fs::lstat(&path)?.is_none() {
                problems.push(self.problem(Fault::Missing, &path, "a part of the store", Remedy::Look));
            }
        }
        Ok(problems)
    }

    pub(crate) fn problem(
        &self,
        fault: Fault,
        path: &Path,
        detail: impl Into<String>,
        remedy: Remedy,
    ) -> Problem {
        let path = path.strip_prefix(self.root()).unwrap_or(path).to_owned();
        Problem { path, fault, detail: detail.into(), remedy }
    }
}

/// A look at one checkout.
struct CheckoutLook<'a> {
    store: &'a Store,
    id: &'a ArtifactId,
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl CheckoutLook<'_> {
    fn report(&mut self, fault: Fault, path: &Path, detail: impl Into<String>) {
        self.problems.push(self.store.problem(fault, path, detail, Remedy::CheckOut(*self.id)));
    }

    fn all(&mut self, lines: &[StatLine<'_>]) -> Result<(), Error> {
        // Most neighbours are in one folder, whose path need not be looked up for each of them.
        let mut opened: Option<(&str, Option<OpenFolder>)> = None;
        let mut changed = Vec::new();
        for line in lines {
            let (parent, name) = line.path.rsplit_once('/').unwrap_or(("", line.path));
            if opened.as_ref().is_none_or(|(folder, _)| *folder != parent) {
                opened = Some((parent, self.open(parent)?));
            }
            // Where a folder is missing, or is none, that was told of the folder.
            let Some((_, Some(folder))) = &opened else { continue };
            if self.one(line, folder, if name.is_empty() { "." } else { name })? {
                changed.push(line.path);
            }
        }
        self.strangers(&changed, lines)
    }

    /// Opens a folder of the checkout; `None` if there is no such folder.
    fn open(&mut self, folder: &str) -> Result<Option<OpenFolder>, Error> {
        let path = if folder.is_empty() { self.folder.to_owned() } else { self.folder.join(folder) };
        match OpenFolder::open(&path) {
            Ok(opened) => Ok(Some(opened)),
            // One that may not be entered has another mode, which its own line tells.
            Err(error) if is_none(&error) || error.kind() == ErrorKind::PermissionDenied => {
                // Those below the checkout's own folder are told of with their own lines.
                if folder.is_empty() {
                    self.report(Fault::Missing, &path, "the folder of the artifact");
                }
                Ok(None)
            }
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    /// Looks at one path; whether it is a folder in which something was added or removed.
    fn one(&mut self, line: &StatLine<'_>, folder: &OpenFolder, name: &str) -> Result<bool, Error> {
        let root = self.folder;
        let path = || root.join(line.path);
        let found = match folder.metadata(name) {
            Ok(found) => found,
            Err(error) if is_none(&error) => {
                let what = if line.kind == "d" { "a folder" } else { "a file" };
                self.report(Fault::Missing, &path(), format!("{what} of the artifact"));
                return Ok(false);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(Error::io("examine", path())(error)),
        };
        let kind = match found.file_type() {
            FileType::File => "f",
            FileType::Symlink => "l",
            FileType::Directory => "d",
            FileType::Other => "",
        };
        let stat = Stat::of(&found);
        if kind != line.kind {
            self.report(Fault::Damaged, &path(), "it was replaced");
        } else if stat.mode != line.stat.mode {
            self.report(Fault::Damaged, &path(), format!("its mode is {:04o}", stat.mode));
        } else if kind == "d" {
            return Ok((stat.mtime, stat.inode) != (line.stat.mtime, line.stat.inode));
        } else if stat != line.stat {
            self.report(Fault::Damaged, &path(), "it was changed");
        }
        Ok(false)
    }

    /// Reports what folders hold that the artifact has not.
    fn strangers(&mut self, folders: &[&str], lines: &[StatLine<'_>]) -> Result<(), Error> {
        if folders.is_empty() {
            return Ok(());
        }
        let known: HashSet<_> = lines.iter().map(|line| self.folder.join(line.path)).collect();
        for folder in folders {
            for entry in fs::entries(&self.folder.join(folder))? {
                let path = entry.path();
                if !known.contains(&path) {
                    self.report(Fault::Foreign, &path, "the artifact has no such file");
                }
            }
        }
        Ok(())
    }
}

/// Whether there is nothing of that name, or no folder where one is wanted.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
