//! Making, moving and removing names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use rustix::io::Errno;

use super::power::{NameChange, Naming};
use super::resolve::Place;
use super::{Disk, ENTER, InodeContent, UMASK, WRITE, time};

/// How many names a file can have, as on ext4.
const MOST_NAMES: u64 = 65_000;
/// The longest target of a link, in bytes.
const LONGEST_TARGET: usize = 4095;

impl Disk {
    /// Refuses to make or remove a name in a folder.
    fn check_folder(&self, folder: u64) -> Result<(), Errno> {
        self.check_change()?;
        self.check(folder, WRITE | ENTER)
    }

    /// A name that is free.
    fn free(&self, path: &Path) -> Result<Place, Errno> {
        let place = self.resolve(path, false)?;
        if place.found.is_some() {
            return Err(Errno::EXIST);
        }
        // A folder that was removed, and that somebody stands in.
        if self.inode(place.folder)?.names == 0 && place.folder != super::TOP {
            return Err(Errno::NOENT);
        }
        Ok(place)
    }

    /// A name that can be taken away from something.
    fn taken(&self, path: &Path) -> Result<(Place, u64), Errno> {
        let place = self.resolve(path, false)?;
        let found = place.found.ok_or(Errno::NOENT)?;
        if place.name.is_empty() {
            return Err(Errno::BUSY);
        }
        Ok((place, found))
    }

    /// Both folders must be there before it is looked what is in them.
    fn check_parents(&self, paths: [&Path; 2]) -> Result<(), Errno> {
        for parent in paths.iter().filter_map(|path| path.parent()) {
            self.entries(self.find(parent, true)?)?;
        }
        Ok(())
    }

    /// Makes something new under a name.
    pub(super) fn make(&mut self, place: Place, content: InodeContent, mode: u32) -> Result<u64, Errno> {
        self.check_folder(place.folder)?;
        let number = self.add(content, mode)?;
        self.change(vec![Naming { folder: place.folder, name: place.name, to: Some(number) }])?;
        Ok(number)
    }

    pub(crate) fn create_directory(&mut self, path: &Path, mode: u32) -> Result<(), Errno> {
        let place = self.free(path)?;
        let parent = place.folder;
        let content = InodeContent::Folder { entries: BTreeMap::new(), synced: BTreeMap::new(), parent };
        self.make(place, content, mode & 0o7777 & !UMASK).map(drop)
    }

    pub(crate) fn symlink(&mut self, target: &Path, path: &Path) -> Result<(), Errno> {
        match target.as_os_str().len() {
            0 => return Err(Errno::NOENT),
            length if length > LONGEST_TARGET => return Err(Errno::NAMETOOLONG),
            _ => {}
        }
        let place = self.free(path)?;
        self.make(place, InodeContent::Link(target.to_owned()), 0o777).map(drop)
    }

    pub(crate) fn link(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let from = self.find(from, false)?;
        let place = self.free(to)?;
        self.check_folder(place.folder)?;
        if self.is_folder(from) {
            return Err(Errno::PERM);
        }
        if self.inode(from)?.names >= MOST_NAMES {
            return Err(Errno::MLINK);
        }
        self.change(vec![Naming { folder: place.folder, name: place.name, to: Some(from) }])
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> Result<(), Errno> {
        let (place, found) = self.taken(path)?;
        self.check_folder(place.folder)?;
        if self.is_folder(found) {
            return Err(Errno::ISDIR);
        }
        self.change(vec![Naming { folder: place.folder, name: place.name, to: None }])
    }

    pub(crate) fn remove_directory(&mut self, path: &Path) -> Result<(), Errno> {
        let (place, found) = self.taken(path)?;
        self.check_folder(place.folder)?;
        if !self.entries(found)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.change(vec![Naming { folder: place.folder, name: place.name, to: None }])
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.check_parents([from, to])?;
        let (source, moved) = self.taken(from)?;
        let target = self.resolve(to, false)?;
        if target.name.is_empty() {
            return Err(Errno::BUSY);
        }
        let is_folder = self.is_folder(moved);
        if is_folder && self.is_within(target.folder, moved) {
            return Err(Errno::INVAL);
        }
        if target.found.is_some_and(|found| self.is_within(source.folder, found)) {
            return Err(Errno::NOTEMPTY);
        }
        if target.found == Some(moved) {
            return Ok(());
        }
        self.check_folder(source.folder)?;
        self.check_folder(target.folder)?;
        match target.found {
            Some(found) if is_folder && !self.is_folder(found) => return Err(Errno::NOTDIR),
            Some(found) if !is_folder && self.is_folder(found) => return Err(Errno::ISDIR),
            _ => {}
        }
        self.check_move(moved, (source.folder, target.folder))?;
        if is_folder
            && let Some(found) = target.found
            && !self.entries(found)?.is_empty()
        {
            return Err(Errno::NOTEMPTY);
        }
        self.change(vec![
            Naming { folder: source.folder, name: source.name, to: None },
            Naming { folder: target.folder, name: target.name, to: Some(moved) },
        ])
    }

    pub(crate) fn exchange(&mut self, one: &Path, other: &Path) -> Result<(), Errno> {
        self.check_parents([one, other])?;
        let ((one, first), (other, second)) = (self.taken(one)?, self.taken(other)?);
        if self.is_within(other.folder, first) || self.is_within(one.folder, second) {
            return Err(Errno::INVAL);
        }
        if first == second {
            return Ok(());
        }
        self.check_folder(one.folder)?;
        self.check_folder(other.folder)?;
        self.check_move(first, (one.folder, other.folder))?;
        self.check_move(second, (other.folder, one.folder))?;
        self.change(vec![
            Naming { folder: one.folder, name: one.name, to: Some(second) },
            Naming { folder: other.folder, name: other.name, to: Some(first) },
        ])
    }

    /// A folder has `..` in it, which a move to another folder changes.
    fn check_move(&self, moved: u64, (from, to): (u64, u64)) -> Result<(), Errno> {
        if from != to && self.is_folder(moved) { self.check(moved, WRITE) } else { Ok(()) }
    }

    /// Gives names to what they are to stand for from now on, all at once.
    fn change(&mut self, namings: Vec<Naming>) -> Result<(), Errno> {
        let (now, mut before) = (time(), Vec::new());
        let moves_folder = namings.len() > 1
            && namings.iter().filter_map(|naming| naming.to).any(|number| self.is_folder(number));
        for Naming { folder, name, to } in &namings {
            if let Some(number) = to {
                let inode = self.inode_mut(*number)?;
                inode.names += 1;
                inode.now.ctime = now;
                if let InodeContent::Folder { parent, .. } = &mut inode.content {
                    *parent = *folder;
                }
            }
            let inode = self.inode_mut(*folder)?;
            (inode.now.mtime, inode.now.ctime) = (now, now);
            if let InodeContent::Folder { entries, .. } = &mut inode.content {
                before.extend(set(entries, name, *to));
            }
        }
        for number in before {
            let inode = self.inode_mut(number)?;
            inode.names = inode.names.saturating_sub(1);
            inode.now.ctime = now;
            self.release(number);
        }
        self.pending.push(NameChange { namings, moves_folder });
        Ok(())
    }
}

/// Gives a name to something else, or to nothing; returns what it stood for.
pub(super) fn set(entries: &mut BTreeMap<OsString, u64>, name: &OsString, to: Option<u64>) -> Option<u64> {
    match to {
        Some(number) => entries.insert(name.clone(), number),
        None => entries.remove(name),
    }
}
