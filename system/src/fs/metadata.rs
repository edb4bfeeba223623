//! What is known of a file without reading it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// What kind of thing has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else: a pipe, a socket, a device.
    Other,
}

impl FileType {
    /// Whether it is a regular file.
    pub fn is_file(self) -> bool {
        self == Self::File
    }

    /// Whether it is a folder.
    pub fn is_dir(self) -> bool {
        self == Self::Directory
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(self) -> bool {
        self == Self::Symlink
    }

    fn of_mode(mode: u32) -> Self {
        match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::RegularFile => Self::File,
            rustix::fs::FileType::Directory => Self::Directory,
            rustix::fs::FileType::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

impl From<std::fs::FileType> for FileType {
    fn from(kind: std::fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else {
            Self::Other
        }
    }
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub(crate) kind: FileType,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) mode: u32,
    pub(crate) nlink: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(crate) mtime: (i64, i64),
    pub(crate) ctime: (i64, i64),
}

impl Metadata {
    /// What kind of thing it is.
    pub fn file_type(&self) -> FileType {
        self.kind
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.kind.is_dir()
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind.is_symlink()
    }

    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "the name that the standard library gives it")]
    pub fn len(&self) -> u64 {
        self.size
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its filesystem's number.
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// Its number in its filesystem.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// Its permission bits, and its kind in the bits above them.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.nlink
    }

    /// Its owner.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// When its content was changed, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.mtime.0
    }

    /// The nanoseconds that belong to [`Self::mtime`].
    pub fn mtime_nsec(&self) -> i64 {
        self.mtime.1
    }

    /// When anything about it was changed, in seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.ctime.0
    }

    /// The nanoseconds that belong to [`Self::ctime`].
    pub fn ctime_nsec(&self) -> i64 {
        self.ctime.1
    }

    /// When its content was changed.
    pub fn modified(&self) -> io::Result<SystemTime> {
        let (seconds, fraction) = self.mtime;
        let fraction = Duration::from_nanos(u64::try_from(fraction).unwrap_or(0));
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let moment = if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        moment.and_then(|moment| moment.checked_add(fraction)).ok_or(io::ErrorKind::InvalidData.into())
    }
}

impl From<std::fs::Metadata> for Metadata {
    fn from(found: std::fs::Metadata) -> Self {
        Self {
            kind: FileType::of_mode(found.mode()),
            dev: found.dev(),
            ino: found.ino(),
            mode: found.mode(),
            nlink: found.nlink(),
            uid: found.uid(),
            gid: found.gid(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl From<rustix::fs::Stat> for Metadata {
    #[allow(clippy::useless_conversion)] // on other machines some of these numbers are narrower
    fn from(found: rustix::fs::Stat) -> Self {
        let fraction = |nanoseconds| i64::try_from(nanoseconds).unwrap_or(0);
        Self {
            kind: FileType::of_mode(found.st_mode),
            dev: u64::from(found.st_dev),
            ino: u64::from(found.st_ino),
            mode: found.st_mode,
            nlink: u64::from(found.st_nlink),
            uid: found.st_uid,
            gid: found.st_gid,
            size: u64::try_from(found.st_size).unwrap_or(0),
            mtime: (i64::from(found.st_mtime), fraction(found.st_mtime_nsec)),
            ctime: (i64::from(found.st_ctime), fraction(found.st_ctime_nsec)),
        }
    }
}

/// What a filesystem has left for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In bytes.
    pub bytes: u64,
    /// How many more files there can be; `None` if the filesystem does not count them.
    pub files: Option<u64>,
}
