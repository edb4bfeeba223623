//! How much room there is.

use std::path::Path;

use rustix::io::Errno;

use super::{BLOCK, Disk, DiskFault, InodeContent, SimulatedInode};
use crate::fs::Space;

impl Disk {
    pub(crate) fn space(&self, path: &Path) -> Result<Space, Errno> {
        self.find(path, true)?;
        Ok(Space { bytes: self.free_blocks() * BLOCK, files: Some(self.free_files()) })
    }

    pub(super) fn free_blocks(&self) -> u64 {
        self.limits().0.saturating_sub(self.used.0)
    }

    fn free_files(&self) -> u64 {
        self.limits().1.saturating_sub(self.used.1)
    }

    fn limits(&self) -> (u64, u64) {
        if self.fault == Some(DiskFault::Full) { self.filled } else { self.capacity }
    }

    /// Makes a file, folder or link, which has no name yet. The folder that will have it is given to a new folder.
    pub(super) fn add(&mut self, content: InodeContent, mode: u32) -> Result<u64, Errno> {
        let inode = SimulatedInode::new(content, mode);
        let blocks = inode.blocks();
        if self.free_files() == 0 || blocks > self.free_blocks() {
            return Err(Errno::NOSPC);
        }
        self.used.0 += blocks;
        self.used.1 += 1;
        self.last += 1;
        self.inodes.insert(self.last, inode);
        Ok(self.last)
    }

    /// Changes how much room a file takes; does nothing where there is not enough.
    pub(super) fn resize(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut SimulatedInode),
        size: u64,
    ) -> Result<(), Errno> {
        let room = self.free_blocks();
        let inode = self.inode_mut(number)?;
        let before = inode.blocks();
        if size.div_ceil(BLOCK).saturating_sub(before) > room {
            return Err(Errno::NOSPC);
        }
        change(inode);
        let after = inode.blocks();
        self.used.0 = (self.used.0 + after).saturating_sub(before);
        Ok(())
    }

    /// Frees the blocks of a file that has no name left and is not open. The file itself is forgotten only once the
    /// removal of its last name is on the disk: until then a crash brings the name back.
    pub(super) fn release(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get(&number)
            && inode.names == 0
            && inode.open == 0
        {
            self.used.0 = self.used.0.saturating_sub(inode.blocks());
            self.used.1 = self.used.1.saturating_sub(1);
        }
    }

    /// Counts anew what is used.
    pub(super) fn count(&mut self) {
        let used = self
            .inodes
            .iter()
            .filter(|(number, inode)| **number == super::TOP || inode.names > 0 || inode.open > 0);
        self.used = used.fold((0, 0), |(blocks, files), (_, inode)| (blocks + inode.blocks(), files + 1));
    }
}
