//! Retiring a host: removing what batou made in its target directory, and nothing else.

use std::io;
use std::path::{Path, PathBuf};

use batou_system::fs;

use crate::error::Error;
use crate::pointer;
use crate::protocol::Reply;
use crate::session::Session;
use crate::target::{TargetDirectory, remove_file};
use crate::turn::Turn;

/// Removes everything that batou made; the components' own data only with `purge`. The pointer goes first and the
/// lock's file last, so that an interrupted removal can be continued. Afterwards the connection no longer holds the
/// lock.
pub(crate) fn retire(session: &mut Session, purge: bool) -> Result<Reply, Error> {
    let (about, locked, _) = session.idle()?;
    let target = &about.target;
    let generations = about.generations()?;
    about.in_force(&generations)?;
    let removed = is_there(target, purge)?;
    let links = if purge { links_of_states(target)? } else { Vec::new() };
    // Where somebody has removed the lock's file, another agent may be at work here.
    let _turn = Turn::take(target, &locked.lock)?;
    pointer::unhook(target)?;
    generations.clear()?;
    locked.leases.clear();
    for path in [target.activated(), target.intent(), target.running()] {
        remove_file(&path)?;
    }
    for number in generations.list()? {
        generations.remove(number)?;
    }
    let mut removal = Removal::default();
    removal.remove_empty(&target.generations())?;
    removal.remove_store(target)?;
    removal.remove_folder(&target.reserve())?;
    removal.remove_folder(&target.secrets())?;
    remove_file(&target.journal())?;
    removal.remove_states(target, purge)?;
    remove_file(&target.lock())?;
    removal.remove_empty(target.directory())?;
    session.locked = None;
    session.connection.watch(false);
    Ok(Reply::Retired { removed, links, stays: removal.described() })
}

/// Whether there is anything to be removed but what the taking of the lock has made.
fn is_there(target: &TargetDirectory, purge: bool) -> Result<bool, Error> {
    let has = |path: &Path| entries(path).map(|entries| !entries.is_empty());
    let journaled = fs::symlink_metadata(target.journal()).is_ok();
    Ok(journaled || has(&target.generations())? || (purge && has(&target.states())?))
}

/// The links that somebody has put in the place of components' data, or of all of it, each with where it leads. What is there
/// may be another's, too, so that only the link is removed.
fn links_of_states(target: &TargetDirectory) -> Result<Vec<String>, Error> {
    let states = target.states();
    let within = if fs::is_symlink(&states) || !fs::is_dir(&states) { Vec::new() } else { entries(&states)? };
    let links = std::iter::once(states).chain(within).filter(|path| fs::is_symlink(path));
    let described = links.map(|path| {
        let to = fs::read_link(&path).map_err(Error::io("read the link", &path))?;
        Ok(format!("{} (to {})", path.display(), to.display()))
    });
    described.collect()
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", path))?,
    };
    let paths = listing.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(Error::io("list", path))?;
    paths.sort();
    Ok(paths)
}

/// The removal of folders.
#[derive(Default)]
struct Removal {
    /// What is empty and stays, with why it cannot be removed.
    stays: Vec<(PathBuf, &'static str)>,
}

impl Removal {
    fn described(&self) -> Vec<String> {
        self.stays.iter().map(|(path, why)| format!("{} ({why})", path.display())).collect()
    }

    /// Removes the store. Without its format file it would no longer count as one, so that goes last.
    fn remove_store(&mut self, target: &TargetDirectory) -> Result<(), Error> {
        let store = target.store();
        for path in entries(&store)? {
            if path.file_name().is_some_and(|name| name != "format") {
                self.remove_tree(&path)?;
            }
        }
        self.remove_folder(&store)
    }

    /// Removes a folder that holds nothing but what batou made, and if it is a link, what it holds, too.
    fn remove_folder(&mut self, path: &Path) -> Result<(), Error> {
        if fs::is_symlink(path) && fs::is_dir(path) {
            for entry in entries(path)? {
                self.remove_tree(&entry)?;
            }
        }
        self.remove_tree(path)
    }

    /// Keeps the data of components unless they are to be purged. Empty folders hold none, and go.
    fn remove_states(&mut self, target: &TargetDirectory, purge: bool) -> Result<(), Error> {
        let states = target.states();
        if purge {
            return self.remove_tree(&states);
        }
        for path in entries(&states)? {
            self.remove_empty(&path)?;
        }
        self.remove_empty(&states)
    }

    /// Removes a folder that is empty; any other stays.
    fn remove_empty(&mut self, path: &Path) -> Result<(), Error> {
        let kept = [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotADirectory];
        let why = match fs::remove_dir(path) {
            Err(error) if kept.contains(&error.kind()) => return Ok(()),
            // The folder above may be somebody else's.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "in a folder that cannot be written to"
            }
            // Whether it is empty does not matter to the kernel then.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => "a mount point",
            other => return other.map_err(Error::io("remove", path)),
        };
        if entries(path)?.is_empty() {
            self.stays.push((path.to_owned(), why));
        }
        Ok(())
    }

    /// Removes whatever is there. Checked-out folders are read-only and are made writable first; links are not followed.
    fn remove_tree(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(Error::io("examine", path))?,
        };
        if !metadata.is_dir() {
            return fs::remove_file(path).map_err(Error::io("remove", path));
        }
        if metadata.mode() & 0o700 != 0o700 {
            fs::set_mode(path, 0o700).map_err(Error::io("set the mode of", path))?;
        }
        for entry in entries(path)? {
            self.remove_tree(&entry)?;
        }
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => self.remove_empty(path),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && self.stays_below(path) => {
                Ok(())
            }
            removed => removed.map_err(Error::io("remove", path)),
        }
    }

    fn stays_below(&self, path: &Path) -> bool {
        self.stays.iter().any(|(stays, _)| stays.starts_with(path))
    }
}
