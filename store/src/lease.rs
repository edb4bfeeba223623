//! Leases: objects that gc must keep although nothing refers to them yet.
//!
//! A lease is a file below `leases/` that its holder keeps locked. The kernel releases the lock when the holder dies,
//! so a dead holder protects nothing, and a lease's age does not matter.

use batou_system::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::json::json;
use crate::lock::Guard;
use crate::{Error, ObjectId, Store, fs};

/// The longest lease that is read, in bytes.
const MAX_LEASE: u64 = 1 << 30;

/// Keeps objects from gc until it is dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    _file: File,
}

impl Store {
    /// Takes a lease on objects, whether or not they are present yet. It has to be taken before asking which are
    /// missing: otherwise gc could remove one that was found present. Waits while gc is running.
    pub fn lease(&self, objects: &[ObjectId]) -> Result<Lease, Error> {
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        let name = fs::unique("lease-");
        let temporary = self.layout.folder("tmp").join(&name);
        let path = self.layout.folder("leases").join(name);
        let mut file = fs::create_new(&temporary, 0o600)?;
        file.lock().map_err(Error::io("lock", &temporary))?;
        let text = json(&objects);
        file.write_all(&text).map_err(Error::io("write", &temporary))?;
        // It is locked and complete before anyone sees it.
        batou_system::fs::rename(&temporary, &path).map_err(Error::io("move into place", &path))?;
        Ok(Lease { path, _file: file })
    }

    /// The objects leased by live holders. The files of dead holders' leases are removed. Only for the holder of the
    /// store's exclusive lock.
    pub(crate) fn leased(&self) -> Result<Vec<ObjectId>, Error> {
        let mut objects = Vec::new();
        for entry in fs::entries(&self.layout.folder("leases"))? {
            let path = entry.path();
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) if error.kind() == ErrorKind::IsADirectory => {
                    fs::remove_tree(&path)?;
                    continue;
                }
                opened => opened.map_err(Error::io("open", &path))?,
            };
            match file.try_lock_shared() {
                Ok(()) => fs::remove_tree(&path)?,
                Err(TryLockError::Error(source)) => return Err(Error::Io { action: "lock", path, source }),
                Err(TryLockError::WouldBlock) => {
                    let text = fs::read_limited(&path, MAX_LEASE)?.unwrap_or_default();
                    let held: Vec<ObjectId> = match serde_json::from_slice(&text) {
                        // The holder has just removed it.
                        Err(_) if text.is_empty() => Vec::new(),
                        Err(error) => return Err(Error::Damaged { path, fault: error.to_string() }),
                        Ok(held) => held,
                    };
                    objects.extend(held);
                }
            }
        }
        Ok(objects)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // If the file cannot be removed, it is unlocked in a moment all the same, and then protects nothing.
        let _ = fs::remove_file(&self.path);
    }
}
