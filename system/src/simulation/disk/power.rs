//! What is on the disk, and what a power cut leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::names::set;
use super::{Disk, FileBytes, InodeContent, SimulatedInode, TOP};

/// What a name is to stand for.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    pub(super) folder: u64,
    pub(super) name: OsString,
    pub(super) to: Option<u64>,
}

/// Names that change together.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) namings: Vec<Naming>,
    pub(super) moves_folder: bool,
}

/// Changes that belong together, because they are about the same names, or both move folders.
#[derive(Default)]
struct Bound {
    names: BTreeSet<(u64, OsString)>,
    moves: bool,
}

impl Bound {
    fn holds(&self, change: &NameChange) -> bool {
        let mut names = change.namings.iter();
        self.moves && change.moves_folder
            || names.any(|naming| self.names.contains(&(naming.folder, naming.name.clone())))
    }

    fn add(&mut self, change: &NameChange) {
        self.moves |= change.moves_folder;
        self.names.extend(change.namings.iter().map(|naming| (naming.folder, naming.name.clone())));
    }
}

/// Which of the changes of names a power cut leaves.
#[derive(Clone, Copy)]
enum Luck {
    /// The first so many, as in a journal that is written in order.
    First(usize),
    /// Each with so many chances out of four.
    Each(u8),
}

impl Disk {
    /// Waits until a file or folder is on the disk.
    pub(super) fn sync_one(&mut self, number: u64) -> Result<(), Errno> {
        self.check_read()?;
        let inode = self.inode_mut(number)?;
        inode.synced = inode.now;
        match &mut inode.content {
            InodeContent::File(content) => content.settle(),
            InodeContent::Folder { .. } => self.sync_names(number),
            InodeContent::Link(_) => {}
        }
        Ok(())
    }

    /// From now on the changes of a file count as written, and are not.
    pub(in crate::simulation) fn lose_changes(&mut self, path: &Path) {
        let Ok(number) = self.find(path, false) else { return };
        if let Ok(SimulatedInode { content: InodeContent::File(content), .. }) = self.inode_mut(number) {
            content.lost = Some(Rc::clone(&content.bytes));
        }
    }

    /// Writes the changes of a folder's names, and those without which they could not be.
    fn sync_names(&mut self, folder: u64) {
        let mut bound = Bound::default();
        let mut kept = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            if change.namings.iter().any(|naming| naming.folder == folder) || bound.holds(&change) {
                bound.add(&change);
                kept.push(change);
            } else {
                self.pending.push(change);
            }
        }
        self.pending.reverse();
        kept.iter().rev().for_each(|change| self.write_names(change));
        self.forget();
    }

    fn write_names(&mut self, change: &NameChange) {
        for Naming { folder, name, to } in &change.namings {
            if let Some(InodeContent::Folder { synced, .. }) =
                self.inodes.get_mut(folder).map(|inode| &mut inode.content)
            {
                set(synced, name, *to);
            }
        }
    }

    pub(crate) fn sync(&mut self) -> Result<(), Errno> {
        self.check_read()?;
        for change in std::mem::take(&mut self.pending) {
            self.write_names(&change);
        }
        for inode in self.inodes.values_mut() {
            inode.synced = inode.now;
            if let InodeContent::File(content) = &mut inode.content {
                content.settle();
            }
        }
        self.forget();
        Ok(())
    }

    /// What is left after a power cut: what was synced, and of the rest what the chance wills.
    pub(in crate::simulation) fn power_cut(&mut self, random: &mut fastrand::Rng) {
        self.open.clear();
        let pending = std::mem::take(&mut self.pending);
        let luck = if random.bool() {
            Luck::First(random.usize(..=pending.len()))
        } else {
            Luck::Each(random.u8(..=4))
        };
        let mut lost = Bound::default();
        for (place, change) in pending.iter().enumerate() {
            let lucky = match luck {
                Luck::First(count) => place < count,
                Luck::Each(chances) => random.u8(..4) < chances,
            };
            if lucky && !lost.holds(change) {
                self.write_names(change);
            } else {
                lost.add(change);
            }
        }
        for inode in self.inodes.values_mut() {
            if inode.synced != inode.now && random.bool() {
                inode.synced = inode.now;
            }
            inode.now = inode.synced;
            match &mut inode.content {
                InodeContent::File(content) => content.cut(random),
                InodeContent::Folder { entries, synced, .. } => entries.clone_from(synced),
                InodeContent::Link(_) => {}
            }
        }
        self.rebuild();
    }

    /// Counts anew after a power cut, beginning at the top.
    fn rebuild(&mut self) {
        let mut names: BTreeMap<u64, u64> = BTreeMap::new();
        let mut folders = vec![(TOP, TOP)];
        while let Some((folder, above)) = folders.pop() {
            let Some(inode) = self.inodes.get_mut(&folder) else { continue };
            let InodeContent::Folder { entries, parent, .. } = &mut inode.content else { continue };
            *parent = above;
            for below in entries.values() {
                *names.entry(*below).or_default() += 1;
            }
            let below: Vec<_> = entries.values().copied().collect();
            folders.extend(below.into_iter().map(|below| (below, folder)));
        }
        self.inodes.retain(|number, _| *number == TOP || names.contains_key(number));
        for (number, inode) in &mut self.inodes {
            inode.names = names.get(number).copied().unwrap_or(0);
            inode.open = 0;
        }
        self.count();
    }

    /// Forgets what has no name, neither now nor after a power cut, and is not open.
    fn forget(&mut self) {
        if self.pending.is_empty() {
            self.inodes.retain(|number, inode| *number == TOP || inode.names > 0 || inode.open > 0);
        }
    }
}

impl FileBytes {
    fn settle(&mut self) {
        if self.lost.as_ref() == Some(&self.bytes) {
            return;
        }
        self.lost = None;
        self.synced = Rc::clone(&self.bytes);
        self.kept = self.bytes.len();
    }

    /// What a power cut leaves of it.
    fn cut(&mut self, random: &mut fastrand::Rng) {
        if self.bytes != self.synced {
            let left = match random.u8(..4) {
                0 => Vec::clone(&self.synced),
                1 => Vec::clone(&self.bytes),
                2 => self.bytes[..random.usize(self.kept..=self.bytes.len())].to_vec(),
                _ => {
                    let mut zeroes = self.bytes[..self.kept].to_vec();
                    zeroes.resize(self.bytes.len(), 0);
                    zeroes
                }
            };
            self.bytes = Rc::new(left);
        }
        self.lost = None;
        self.settle();
    }
}
