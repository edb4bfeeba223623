//! A machine's disk: a POSIX filesystem in memory, which forgets in a power cut what nobody synced.
//!
//! What it is like, and from where that is taken:
//!
//! - Calls do what the Linux manual pages say of them (`open(2)`, `rename(2)`, `path_resolution(7)`, …), with the same
//!   error numbers. A test compares it with a real filesystem, call by call.
//! - A power cut leaves what POSIX and the manual of `fsync(2)` promise, and no more, whatever a filesystem does in its
//!   favour ("Calling `fsync()` does not necessarily ensure that the entry in the directory containing the file has also
//!   reached disk"): a file's content and mode are kept by an fsync of the file, names by an fsync of the folder, all by
//!   syncfs. In particular a new file that was renamed over an old one may turn out empty, as on XFS, btrfs, and ext4
//!   without `auto_da_alloc`; and what was done later may be kept where something earlier is lost, as the log trees of
//!   btrfs have it, which are written folder by folder.
//! - A rename, a link or an exchange is one entry of the journal (ext4, XFS) or one transaction (btrfs): it is kept as a
//!   whole or not at all. Of two that are about the same name, the later is not kept without the earlier.
//! - Content that was not synced becomes: what it was, what it should be, a first part of that, or zeroes. The latter two
//!   leave alone what was synced and not written to since. (What filesystems keep and reorder: Pillai et al., "All File
//!   Systems Are Not Created Equal", OSDI 2014.)
//!
//! What it does not have: more than one user, owners that change, times of access, extended attributes, quotas, devices
//! and mounts (it is one filesystem, in which relative paths begin at the top), numbers of files that are used again,
//! and writes that pass a later write of the same file. An fsync that fails may have written nothing or all, or lose what it
//! was to write, as the judge wills.

mod handle;
mod names;
mod power;
mod resolve;
mod space;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use rustix::io::Errno;

use self::handle::OpenFile;
pub(crate) use self::handle::SimulatedFile;
use self::power::NameChange;
use crate::fs::{FileType, Metadata};

/// The number of the top folder.
const TOP: u64 = 1;
/// What the umask takes away.
const UMASK: u32 = 0o022;
/// The user that all files belong to, and all processes run as.
const USER: u32 = 1000;
/// The size of a block, in bytes.
const BLOCK: u64 = 4096;

/// What a user may do with a file.
const READ: u32 = 4;
const WRITE: u32 = 2;
const ENTER: u32 = 1;

/// A disk.
#[derive(Debug)]
pub struct Disk {
    inodes: BTreeMap<u64, SimulatedInode>,
    last: u64,
    open: BTreeMap<u64, OpenFile>,
    /// What has happened to names since they were last synced, in this order.
    pending: Vec<NameChange>,
    /// How many blocks and files there can be, and are.
    capacity: (u64, u64),
    used: (u64, u64),
    fault: Option<DiskFault>,
    /// How much was used when the disk became full.
    filled: (u64, u64),
    user: u32,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Nothing can be changed: `EROFS`.
    ReadOnly,
    /// Others have taken all room: `ENOSPC`, but for what is removed from then on.
    Full,
    /// Nothing can be read, changed or synced: `EIO`. What is known of files is still in memory.
    Broken,
}

/// A file, folder or link.
#[derive(Debug)]
struct SimulatedInode {
    content: InodeContent,
    now: Attributes,
    synced: Attributes,
    /// How many names it has.
    names: u64,
    /// How often it is open.
    open: u64,
}

#[derive(Debug)]
enum InodeContent {
    File(FileBytes),
    Folder { entries: BTreeMap<OsString, u64>, synced: BTreeMap<OsString, u64>, parent: u64 },
    Link(PathBuf),
}

#[derive(Debug, Default)]
struct FileBytes {
    bytes: Rc<Vec<u8>>,
    synced: Rc<Vec<u8>>,
    /// How much of it has not been written to since it was synced.
    kept: usize,
    /// What a sync that failed was to write, and no later one will, unless the file changes.
    lost: Option<Rc<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attributes {
    mode: u32,
    mtime: SystemTime,
    ctime: SystemTime,
    /// The bytes for which room was set aside.
    reserved: u64,
}

/// The time of the machine that is at work.
fn time() -> SystemTime {
    crate::simulation::wall().unwrap_or(SystemTime::UNIX_EPOCH)
}

impl Default for Disk {
    /// A disk that is hard to fill.
    fn default() -> Self {
        Self::new(1 << 40, 1 << 24)
    }
}

impl Disk {
    /// An empty disk with room for so many bytes and files.
    pub fn new(bytes: u64, files: u64) -> Self {
        let mut disk = Self {
            inodes: BTreeMap::new(),
            last: TOP,
            open: BTreeMap::new(),
            pending: Vec::new(),
            capacity: (bytes / BLOCK, files),
            used: (0, 0),
            fault: None,
            filled: (0, 0),
            user: USER,
        };
        let content = InodeContent::Folder { entries: BTreeMap::new(), synced: BTreeMap::new(), parent: TOP };
        disk.inodes.insert(TOP, SimulatedInode::new(content, 0o755));
        disk.count();
        disk
    }

    /// Sets how many bytes and files there can be.
    pub fn set_capacity(&mut self, bytes: u64, files: u64) {
        self.capacity = (bytes / BLOCK, files);
    }

    /// Sets what is wrong with it from now on.
    pub fn set_fault(&mut self, fault: Option<DiskFault>) {
        self.fault = fault;
        self.filled = self.used;
    }

    /// Sets the user that all files belong to, and all processes run as; 0 may do everything.
    pub fn set_user(&mut self, user: u32) {
        self.user = user;
    }

    fn inode(&self, number: u64) -> Result<&SimulatedInode, Errno> {
        self.inodes.get(&number).ok_or(Errno::STALE)
    }

    fn inode_mut(&mut self, number: u64) -> Result<&mut SimulatedInode, Errno> {
        self.inodes.get_mut(&number).ok_or(Errno::STALE)
    }

    fn entries(&self, folder: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match &self.inode(folder)?.content {
            InodeContent::Folder { entries, .. } => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn is_folder(&self, number: u64) -> bool {
        self.inode(number).is_ok_and(|inode| matches!(inode.content, InodeContent::Folder { .. }))
    }

    /// Refuses what the mode does not allow.
    fn check(&self, number: u64, wanted: u32) -> Result<(), Errno> {
        let allowed = self.inode(number)?.now.mode >> 6;
        if self.user == 0 || allowed & wanted == wanted { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Refuses what a disk with this fault cannot do.
    fn check_change(&self) -> Result<(), Errno> {
        match self.fault {
            Some(DiskFault::ReadOnly) => Err(Errno::ROFS),
            Some(DiskFault::Broken) => Err(Errno::IO),
            Some(DiskFault::Full) | None => Ok(()),
        }
    }

    fn check_read(&self) -> Result<(), Errno> {
        if self.fault == Some(DiskFault::Broken) { Err(Errno::IO) } else { Ok(()) }
    }

    fn known(&self, number: u64) -> Result<Metadata, Errno> {
        let inode = self.inode(number)?;
        let (kind, bits, size) = match &inode.content {
            InodeContent::File(content) => (FileType::File, 0o100_000, content.bytes.len() as u64),
            InodeContent::Folder { .. } => (FileType::Directory, 0o040_000, BLOCK),
            InodeContent::Link(target) => (FileType::Symlink, 0o120_000, target.as_os_str().len() as u64),
        };
        let nlink = match &inode.content {
            InodeContent::Folder { entries, .. } if inode.names > 0 => {
                2 + entries.values().filter(|below| self.is_folder(**below)).count() as u64
            }
            _ => inode.names,
        };
        Ok(Metadata {
            kind,
            dev: 1,
            ino: number,
            mode: bits | inode.now.mode,
            nlink,
            uid: self.user,
            gid: self.user,
            size,
            mtime: parts(inode.now.mtime),
            ctime: parts(inode.now.ctime),
        })
    }

    pub(crate) fn stat(&self, path: &Path, follow: bool) -> Result<Metadata, Errno> {
        self.known(self.find(path, follow)?)
    }

    pub(crate) fn list(&self, path: &Path) -> Result<Vec<(OsString, FileType)>, Errno> {
        let folder = self.find(path, true)?;
        let entries = self.entries(folder)?;
        self.check(folder, READ)?;
        self.check_read()?;
        entries.iter().map(|(name, number)| Ok((name.clone(), self.known(*number)?.kind))).collect()
    }

    pub(crate) fn read_link(&self, path: &Path) -> Result<PathBuf, Errno> {
        match &self.inode(self.find(path, false)?)?.content {
            InodeContent::Link(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        }
    }

    pub(crate) fn set_mode(&mut self, path: &Path, mode: u32) -> Result<(), Errno> {
        let number = self.find(path, true)?;
        self.change_mode(number, mode)
    }

    fn change_mode(&mut self, number: u64, mode: u32) -> Result<(), Errno> {
        self.check_change()?;
        let now = &mut self.inode_mut(number)?.now;
        now.mode = mode & 0o7777;
        now.ctime = time();
        Ok(())
    }

    pub(crate) fn check_writable(&self, path: &Path) -> Result<(), Errno> {
        let number = self.find(path, true)?;
        self.check_change()?;
        self.check(number, WRITE | ENTER)
    }
}

impl SimulatedInode {
    fn new(content: InodeContent, mode: u32) -> Self {
        let now = Attributes { mode, mtime: time(), ctime: time(), reserved: 0 };
        Self { content, now, synced: now, names: 0, open: 0 }
    }

    /// The blocks that it takes.
    fn blocks(&self) -> u64 {
        match &self.content {
            InodeContent::File(content) => self.now.reserved.max(content.bytes.len() as u64).div_ceil(BLOCK),
            InodeContent::Folder { .. } => 1,
            InodeContent::Link(_) => 0,
        }
    }
}

fn parts(moment: SystemTime) -> (i64, i64) {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}
