//! Open files.

use std::fs::TryLockError;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::resolve::LONGEST_NAME;
use super::{BLOCK, Disk, DiskFault, FileBytes, InodeContent, READ, UMASK, WRITE, time};
use crate::fs::{Metadata, OpenOptions};
use crate::simulation::{self, on_disk};

/// The numbers of open files, which are different on all disks.
static LAST: AtomicU64 = AtomicU64::new(0);

/// A file that somebody has open.
#[derive(Debug)]
pub(super) struct OpenFile {
    inode: u64,
    process: u32,
    offset: u64,
    reads: bool,
    writes: bool,
    appends: bool,
    /// Its lock: alone, or shared.
    lock: Option<bool>,
}

/// What a process has of an open file. Dropping it closes the file.
#[derive(Debug)]
pub(crate) struct SimulatedFile {
    number: u64,
    path: PathBuf,
}

impl SimulatedFile {
    pub(crate) fn new(number: u64, path: &Path) -> Self {
        Self { number, path: path.to_owned() }
    }

    /// Does a step with it.
    pub(crate) fn on_disk<T>(
        &self,
        name: &'static str,
        changes: bool,
        work: impl FnOnce(&mut Disk, u64) -> Result<T, Errno>,
    ) -> io::Result<T> {
        on_disk(name, &self.path, changes, |disk| work(disk, self.number))
            .unwrap_or_else(|| Err(Errno::BADF.into()))
    }

    pub(crate) fn try_lock(&self, alone: bool) -> Result<(), TryLockError> {
        match self.on_disk("flock", false, |disk, id| disk.try_lock(id, alone)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TryLockError::WouldBlock),
            Err(error) => Err(TryLockError::Error(error)),
        }
    }

    pub(crate) fn lock(&self) -> io::Result<()> {
        while !self.on_disk("flock", false, |disk, id| disk.try_lock(id, true))? {
            // Who only looks on does not wait.
            if !simulation::park(None) {
                return Err(Errno::DEADLK.into());
            }
        }
        Ok(())
    }

    /// Going to another place of it is no step: nobody else sees it.
    pub(crate) fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let disk = simulation::disk().ok_or(Errno::BADF)?;
        Ok(disk.borrow_mut().seek(self.number, to)?)
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        if let Some(disk) = simulation::disk() {
            let had_lock = disk.borrow_mut().close(self.number);
            if had_lock {
                simulation::wake();
            }
        }
    }
}

impl Disk {
    pub(crate) fn open(&mut self, path: &Path, options: &OpenOptions) -> Result<u64, Errno> {
        let writes = options.write || options.append;
        let makes = options.create || options.create_new;
        let needs_write = makes || options.truncate;
        let contradicts = options.append && options.truncate && !options.create_new;
        if contradicts || !writes && (needs_write || !options.read) {
            return Err(Errno::INVAL);
        }
        let flags = OFlags::from_bits_retain(options.flags.cast_unsigned());
        let follow = !flags.contains(OFlags::NOFOLLOW) && !options.create_new;
        let place = self.resolve(path, follow)?;
        let Some(found) = place.found else {
            if !makes {
                return Err(Errno::NOENT);
            }
            if flags.contains(OFlags::DIRECTORY) {
                return Err(Errno::INVAL);
            }
            let content = InodeContent::File(FileBytes::default());
            let made = self.make(place, content, options.mode & 0o7777 & !UMASK)?;
            return self.hand_out(made, options);
        };
        if options.create_new {
            return Err(Errno::EXIST);
        }
        match &self.inode(found)?.content {
            InodeContent::Link(_) => return Err(Errno::LOOP),
            InodeContent::Folder { .. } if writes => return Err(Errno::ISDIR),
            InodeContent::File(_) if flags.contains(OFlags::DIRECTORY) => return Err(Errno::NOTDIR),
            _ => {}
        }
        let wanted = if options.read { READ } else { 0 } | if writes { WRITE } else { 0 };
        self.check(found, wanted)?;
        if writes && self.fault == Some(DiskFault::ReadOnly) {
            return Err(Errno::ROFS);
        }
        if options.truncate {
            self.check_change()?;
            self.truncate(found, 0)?;
        }
        self.hand_out(found, options)
    }

    pub(crate) fn open_folder(&mut self, path: &Path) -> Result<u64, Errno> {
        let found = self.find(path, false);
        let found = found.map_err(|error| if error == Errno::LOOP { Errno::NOTDIR } else { error })?;
        self.entries(found)?;
        self.hand_out(found, &OpenOptions::new())
    }

    fn hand_out(&mut self, inode: u64, options: &OpenOptions) -> Result<u64, Errno> {
        self.inode_mut(inode)?.open += 1;
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let file = OpenFile {
            inode,
            process: simulation::process().unwrap_or(0),
            offset: 0,
            reads: options.read,
            writes: options.write || options.append,
            appends: options.append,
            lock: None,
        };
        self.open.insert(number, file);
        Ok(number)
    }

    /// Closes a file, unless it is closed; returns whether it had a lock.
    fn close(&mut self, number: u64) -> bool {
        let Some(file) = self.open.remove(&number) else { return false };
        if let Ok(inode) = self.inode_mut(file.inode) {
            inode.open = inode.open.saturating_sub(1);
        }
        self.release(file.inode);
        file.lock.is_some()
    }

    /// Closes everything that a process had open.
    pub(in crate::simulation) fn close_all(&mut self, process: u32) {
        let open = self.open.iter().filter(|(_, file)| file.process == process);
        let numbers: Vec<_> = open.map(|(number, _)| *number).collect();
        for number in numbers {
            self.close(number);
        }
    }

    fn file(&self, number: u64) -> Result<&OpenFile, Errno> {
        self.open.get(&number).ok_or(Errno::BADF)
    }

    fn content(&self, inode: u64) -> Result<&FileBytes, Errno> {
        match &self.inode(inode)?.content {
            InodeContent::File(content) => Ok(content),
            InodeContent::Folder { .. } => Err(Errno::ISDIR),
            InodeContent::Link(_) => Err(Errno::LOOP),
        }
    }

    fn move_to(&mut self, number: u64, offset: u64) {
        if let Some(file) = self.open.get_mut(&number) {
            file.offset = offset;
        }
    }

    pub(crate) fn fstat(&self, number: u64) -> Result<Metadata, Errno> {
        self.known(self.file(number)?.inode)
    }

    pub(crate) fn stat_at(&self, number: u64, name: &str) -> Result<Metadata, Errno> {
        let folder = self.file(number)?.inode;
        if name == "." {
            return self.known(folder);
        }
        let entries = self.entries(folder)?;
        self.check(folder, super::ENTER)?;
        if name.len() > LONGEST_NAME {
            return Err(Errno::NAMETOOLONG);
        }
        self.known(*entries.get(std::ffi::OsStr::new(name)).ok_or(Errno::NOENT)?)
    }

    pub(crate) fn fsync(&mut self, number: u64) -> Result<(), Errno> {
        let inode = self.file(number)?.inode;
        self.sync_one(inode)
    }

    pub(crate) fn fchmod(&mut self, number: u64, mode: u32) -> Result<(), Errno> {
        let inode = self.file(number)?.inode;
        self.change_mode(inode, mode)
    }

    pub(crate) fn read(&mut self, number: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let file = self.file(number)?;
        if !file.reads {
            return Err(Errno::BADF);
        }
        let (inode, offset) = (file.inode, file.offset);
        let bytes = &self.content(inode)?.bytes;
        self.check_read()?;
        let left = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.move_to(number, offset + count as u64);
        Ok(count)
    }

    pub(crate) fn read_to_end(&mut self, number: u64, into: &mut Vec<u8>) -> Result<usize, Errno> {
        let before = into.len();
        let file = self.file(number)?;
        let size = self.content(file.inode)?.bytes.len() as u64;
        let left = usize::try_from(size.saturating_sub(file.offset)).unwrap_or(0);
        into.resize(before + left, 0);
        match self.read(number, &mut into[before..]) {
            Ok(count) => Ok(count),
            Err(error) => {
                into.truncate(before);
                Err(error)
            }
        }
    }

    pub(crate) fn write(&mut self, number: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let file = self.file(number)?;
        if !file.writes {
            return Err(Errno::BADF);
        }
        let (inode, appends) = (file.inode, file.appends);
        let size = self.content(inode)?.bytes.len() as u64;
        let offset = if appends { size } else { file.offset };
        self.check_change()?;
        let room = (self.inode(inode)?.blocks() + self.free_blocks()).saturating_mul(BLOCK);
        let count = (bytes.len() as u64).min(room.saturating_sub(offset));
        if count == 0 && !bytes.is_empty() {
            return Err(Errno::NOSPC);
        }
        let bytes = &bytes[..usize::try_from(count).map_err(|_| Errno::FBIG)?];
        let start = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let change = |content: &mut FileBytes| {
            let all = Rc::make_mut(&mut content.bytes);
            content.kept = content.kept.min(start);
            if all.len() < start + bytes.len() {
                all.resize(start + bytes.len(), 0);
            }
            all[start..start + bytes.len()].copy_from_slice(bytes);
        };
        self.change_content(inode, offset + count, change)?;
        self.move_to(number, offset + count);
        Ok(bytes.len())
    }

    /// Changes a file's content, for which it must not be longer than this.
    fn change_content(
        &mut self,
        inode: u64,
        size: u64,
        change: impl FnOnce(&mut FileBytes),
    ) -> Result<(), Errno> {
        let changed = |inode: &mut super::SimulatedInode| {
            if let InodeContent::File(content) = &mut inode.content {
                change(content);
            }
            (inode.now.mtime, inode.now.ctime) = (time(), time());
        };
        self.resize(inode, changed, size)
    }

    fn truncate(&mut self, inode: u64, size: u64) -> Result<(), Errno> {
        let length = usize::try_from(size).map_err(|_| Errno::FBIG)?;
        let before = self.content(inode)?.bytes.len();
        // Room that was set aside behind the end is given back by whoever shortens the file.
        if length < before || length == 0 {
            self.resize(inode, |inode| inode.now.reserved = 0, 0)?;
        }
        self.change_content(inode, size, |content| {
            content.kept = content.kept.min(length);
            Rc::make_mut(&mut content.bytes).resize(length, 0);
        })
    }

    pub(crate) fn set_len(&mut self, number: u64, size: u64) -> Result<(), Errno> {
        let file = self.file(number)?;
        if !file.writes {
            return Err(Errno::INVAL);
        }
        let inode = file.inode;
        self.check_change()?;
        self.truncate(inode, size)
    }

    pub(crate) fn allocate(&mut self, number: u64, at: u64, size: u64, keep: bool) -> Result<(), Errno> {
        let file = self.file(number)?;
        if !file.writes {
            return Err(Errno::BADF);
        }
        if size == 0 {
            return Err(Errno::INVAL);
        }
        let (inode, end) = (file.inode, at.saturating_add(size));
        let before = self.content(inode)?.bytes.len() as u64;
        self.check_change()?;
        self.resize(inode, |inode| inode.now.reserved = inode.now.reserved.max(end), end)?;
        if keep || before >= end { Ok(()) } else { self.truncate(inode, end) }
    }

    fn seek(&mut self, number: u64, to: SeekFrom) -> Result<u64, Errno> {
        let file = self.file(number)?;
        let (from, by) = match to {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(by) => (file.offset, by),
            SeekFrom::End(by) => (self.known(file.inode)?.size, by),
        };
        let offset = from.checked_add_signed(by).ok_or(Errno::INVAL)?;
        self.move_to(number, offset);
        Ok(offset)
    }

    /// Takes a lock, or exchanges the one that the file has; returns whether it could be had.
    fn try_lock(&mut self, number: u64, alone: bool) -> Result<bool, Errno> {
        let inode = self.file(number)?.inode;
        let others = self.open.iter().filter(|(other, file)| file.inode == inode && **other != number);
        let mut locks = others.filter_map(|(_, file)| file.lock);
        let free = !locks.any(|other| alone || other);
        if free && let Some(file) = self.open.get_mut(&number) {
            file.lock = Some(alone);
        }
        Ok(free)
    }
}
