//! Open files.

use std::fs::TryLockError;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::Metadata;
#[cfg(feature = "simulation")]
use crate::simulation::{SimulatedFile, on_disk};

/// The flag of `open` with which nobody waits for whoever has the other end of a pipe.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// An open file or folder.
#[derive(Debug)]
pub struct File(Handle);

#[derive(Debug)]
enum Handle {
    Real(std::fs::File),
    #[cfg(feature = "simulation")]
    Simulated(SimulatedFile),
}

/// How a file is opened, and made where it is absent.
#[expect(clippy::struct_excessive_bools, reason = "what the operating system takes, one by one")]
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
    pub(crate) truncate: bool,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) mode: u32,
    pub(crate) flags: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing is allowed yet. Files are made with the mode 0666, less the umask.
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            flags: 0,
        }
    }

    /// Whether to read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether to write.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Whether each write goes to the end.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Whether to remove what the file has.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Whether to make a file that is absent.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Whether to make a file, and fail where there is one.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// The permission bits of a file that is made, of which the umask takes some away.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Further flags of `open`.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.flags = flags;
        self
    }

    /// Opens a file or folder. A pipe, a socket or a device in its place is refused, and never waited for or read: like a
    /// folder that was to be read, it is an error of the kind [`IsADirectory`](io::ErrorKind::IsADirectory).
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        #[cfg(feature = "simulation")]
        if let Some(opened) = self.simulated(path) {
            return opened;
        }
        Ok(self.real(path)?.0)
    }

    /// The same, with what is known of the file, which must be asked for anyway.
    pub(super) fn open_examined(&self, path: &Path) -> io::Result<(File, Metadata)> {
        #[cfg(feature = "simulation")]
        if let Some(opened) = self.simulated(path) {
            let file = opened?;
            let found = file.metadata()?;
            return Ok((file, found));
        }
        self.real(path)
    }

    #[cfg(feature = "simulation")]
    fn simulated(&self, path: &Path) -> Option<io::Result<File>> {
        let changes = self.create || self.create_new || self.truncate;
        let opened = on_disk("open", path, changes, |disk| disk.open(path, self))?;
        Some(opened.map(|handle| File(Handle::Simulated(SimulatedFile::new(handle, path)))))
    }

    fn real(&self, path: &Path) -> io::Result<(File, Metadata)> {
        let mut options = std::fs::OpenOptions::new();
        options.read(self.read).write(self.write).append(self.append).truncate(self.truncate);
        options.create(self.create).create_new(self.create_new).mode(self.mode);
        let opened = options.custom_flags(self.flags | NONBLOCK).open(path);
        let file = opened.map_err(|error| if is_deaf(&error) { no_file() } else { error })?;
        let found = file.metadata()?;
        if found.is_file() || found.is_dir() {
            Ok((File(Handle::Real(file)), found.into()))
        } else {
            Err(no_file())
        }
    }
}

/// Whether what was to be opened is a socket, a pipe that nobody reads, or a device that is not there.
fn is_deaf(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, "it is a pipe, a socket or a device, and no file")
}

/// What is done with an open file: by the operating system, or by the disk of the simulation.
macro_rules! call {
    ($file:expr, $real:ident => $do:expr, $name:literal, $changes:literal, $disk:ident, $id:ident => $simulate:expr) => {
        match &$file.0 {
            Handle::Real($real) => $do,
            #[cfg(feature = "simulation")]
            Handle::Simulated(file) => file.on_disk($name, $changes, |$disk, $id| $simulate),
        }
    };
}

impl File {
    /// Opens a file or folder for reading.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing, made where it is absent and emptied where it is not.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// How to open a file.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// What is known of it.
    pub fn metadata(&self) -> io::Result<Metadata> {
        call!(self, real => real.metadata().map(Metadata::from), "fstat", false, disk, id => disk.fstat(id))
    }

    /// Waits until its content, or a folder's names, are on the disk.
    pub fn sync_all(&self) -> io::Result<()> {
        call!(self, real => real.sync_all(), "fsync", true, disk, id => disk.fsync(id))
    }

    /// Waits until everything that its filesystem has is on the disk.
    pub fn sync_filesystem(&self) -> io::Result<()> {
        call!(self, real => Ok(rustix::fs::syncfs(real)?), "syncfs", true, disk, _id => disk.sync())
    }

    /// Shortens it, or fills it up with zeroes.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        call!(self, real => real.set_len(size), "ftruncate", true, disk, id => disk.set_len(id, size))
    }

    /// Sets its permission bits.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        call!(
            self, real => real.set_permissions(std::fs::Permissions::from_mode(mode)),
            "fchmod", true, disk, id => disk.fchmod(id, mode)
        )
    }

    /// Sets room aside for bytes in it from `offset` on; it is as long afterwards as it was.
    pub fn reserve(&self, offset: u64, size: u64) -> io::Result<()> {
        call!(
            self, real => Ok(rustix::fs::fallocate(real, FallocateFlags::KEEP_SIZE, offset, size)?),
            "fallocate", true, disk, id => disk.allocate(id, offset, size, true)
        )
    }

    /// Makes it at least this long, with room for all of it.
    pub fn allocate(&self, size: u64) -> io::Result<()> {
        call!(
            self, real => Ok(rustix::fs::fallocate(real, FallocateFlags::empty(), 0, size)?),
            "fallocate", true, disk, id => disk.allocate(id, 0, size, false)
        )
    }

    /// Takes its lock alone, if nobody has it. The lock ends when the file is closed.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        match &self.0 {
            Handle::Real(file) => file.try_lock(),
            #[cfg(feature = "simulation")]
            Handle::Simulated(file) => file.try_lock(true),
        }
    }

    /// Takes its lock together with others, if nobody has it alone.
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        match &self.0 {
            Handle::Real(file) => file.try_lock_shared(),
            #[cfg(feature = "simulation")]
            Handle::Simulated(file) => file.try_lock(false),
        }
    }

    /// Waits for its lock, and takes it alone.
    pub fn lock(&self) -> io::Result<()> {
        match &self.0 {
            Handle::Real(file) => file.lock(),
            #[cfg(feature = "simulation")]
            Handle::Simulated(file) => file.lock(),
        }
    }

    /// Copies what is left of it to another file, within the kernel where that can do it.
    pub fn copy_to(&mut self, other: &mut Self) -> io::Result<u64> {
        match (&mut self.0, &mut other.0) {
            (Handle::Real(from), Handle::Real(to)) => io::copy(from, to),
            #[cfg(feature = "simulation")]
            _ => io::copy(self, other),
        }
    }

    fn read_bytes(&self, buffer: &mut [u8]) -> io::Result<usize> {
        call!(self, real => { let mut real = real; real.read(buffer) }, "read", false, disk, id => disk.read(id, buffer))
    }

    fn read_rest(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        call!(
            self, real => { let mut real = real; real.read_to_end(bytes) },
            "read", false, disk, id => disk.read_to_end(id, bytes)
        )
    }

    fn write_bytes(&self, bytes: &[u8]) -> io::Result<usize> {
        call!(self, real => { let mut real = real; real.write(bytes) }, "write", true, disk, id => disk.write(id, bytes))
    }

    fn seek_to(&self, to: SeekFrom) -> io::Result<u64> {
        match &self.0 {
            Handle::Real(file) => {
                let mut file = file;
                file.seek(to)
            }
            #[cfg(feature = "simulation")]
            Handle::Simulated(file) => file.seek(to),
        }
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_bytes(buffer)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_rest(bytes)
    }
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_bytes(buffer)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_rest(bytes)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_bytes(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_bytes(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seek_to(to)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Without the refusal this waits for ever: nobody has the other end of the pipe.
    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket, device] = ["pipe", "socket", "device"].map(|name| folder.path().join(name));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        mknodat(CWD, &socket, FileType::Socket, Mode::RWXU, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        for path in [pipe, socket, device] {
            let opened = [
                File::open(&path),
                File::create(&path),
                File::options().append(true).create(true).open(&path),
                File::options().read(true).write(true).open(&path),
            ];
            for opened in opened {
                assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::IsADirectory, "{}", path.display());
            }
            assert!(super::super::read(&path).is_err());
        }
        assert!(File::open(folder.path()).is_ok(), "a folder can be opened, to be synced");
    }
}
