//! Where things lie below a store's root.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::artifact::directory_name;
use crate::object::VERSION;
use crate::{ArtifactId, Digest, Error, Mode, Name, ObjectId, ObjectKind, fs};

/// The folders below the root that hold no objects.
const OTHER_FOLDERS: [&str; 5] = ["artifacts", "stats", "tmp", "leases", "roots"];
/// The files below the root: two locks, for users of the store and for publishing, and the version, which is written
/// last.
pub(crate) const FILES: [&str; 3] = ["lock", "publish", "format"];

/// The folders below the root.
pub(crate) fn folders() -> impl Iterator<Item = &'static str> {
    ObjectKind::ALL.into_iter().map(ObjectKind::folder).chain(OTHER_FOLDERS)
}

/// Whether each store has something of this name below its root.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    folders().chain(FILES).any(|ours| name == ours)
}

/// How the names of marks begin.
pub(crate) const MARK: &str = "names-";

/// Whether a temporary file is a mark that names were about to change.
pub(crate) fn is_mark(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(MARK))
}

/// The first digits of an artifact's id, with which the names of its checkout and stat record begin.
pub(crate) fn directory_digits(id: &ArtifactId) -> String {
    format!("{id:.40}")
}

/// A store's root and the paths below it.
#[derive(Clone, Debug)]
pub(crate) struct StoreLayout(PathBuf);

impl StoreLayout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `blobs/<digest>-444`, `trees/<digest>`, `records/<id>`
    pub(crate) fn object(&self, object: &ObjectId) -> PathBuf {
        self.folder(object.kind().folder()).join(object.file_name())
    }

    /// A blob's file, whatever its size.
    pub(crate) fn blob(&self, digest: &Digest, mode: Mode) -> PathBuf {
        self.object(&ObjectId::Blob { digest: *digest, size: 0, mode })
    }

    /// `artifacts/<40 digits>-<name>`
    pub(crate) fn checkout(&self, id: &ArtifactId, name: &Name) -> PathBuf {
        self.0.join("artifacts").join(directory_name(id, name))
    }

    /// `stats/<40 digits>-<name>`
    pub(crate) fn stats(&self, id: &ArtifactId, name: &Name) -> PathBuf {
        self.0.join("stats").join(directory_name(id, name))
    }

    /// Checks the version; `false` if there is no store yet.
    pub(crate) fn check_format(&self) -> Result<bool, Error> {
        let path = self.folder("format");
        let bytes = match fs::read_limited(&path, 4096) {
            Err(error) if error.io_kind() == Some(ErrorKind::IsADirectory) => {
                let reason = "it is no file: move away the folder that it is in";
                return Err(Error::Foreign { path, reason });
            }
            read => read?,
        };
        let Some(bytes) = bytes else {
            return self.check_empty().map(|()| false);
        };
        let version = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.strip_prefix("batou store ")?.strip_suffix('\n'))
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse::<u64>().ok());
        match version {
            None => Err(Error::Format { path, found: String::from_utf8_lossy(&bytes).into_owned() }),
            Some(found) if found > VERSION => Err(Error::NewerFormat { path, found, known: VERSION }),
            Some(_) => Ok(true),
        }
    }

    /// The format file's content.
    pub(crate) fn format_text() -> String {
        format!("batou store {VERSION}\n")
    }

    /// Refuses a folder that holds a name which no store has. Only a store's own names can be left by an interrupted
    /// creation.
    pub(crate) fn check_empty(&self) -> Result<(), Error> {
        for entry in fs::entries(&self.0)? {
            let name = entry.file_name();
            if !is_ours(&name) && !fs::is_temporary(&name) {
                let found = name.to_string_lossy().into_owned();
                return Err(Error::NotAStore { path: self.0.clone(), found });
            }
        }
        Ok(())
    }
}
