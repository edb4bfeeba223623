//! Objects on their way into the store.
//!
//! Everything is written below `tmp/` first, and hashed as it is written. Nothing is visible before
//! [`Batch::commit`]; a batch that is dropped, or whose process dies, leaves only temporary files. For as long as it
//! lives, a batch shares the store's lock, so that gc cannot remove an object which the batch found present and
//! therefore did not write.

use batou_system::fs::File;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::FileHasher;
use crate::lock::Guard;
use crate::object::DecodedObject;
use crate::pending::{Pending, StagedBlob};
use crate::read::{decode, mismatch, read_encoding, stream};
use crate::stats::Stat;
use crate::{Artifact, ArtifactId, Digest, Error, Mode, Node, ObjectId, Store, Tree, commit, fs};

/// Smaller content is held in memory, so that nothing is written if the store already has it.
const SMALL: usize = 256 << 10;

/// Objects that become visible together. A batch may be used from several threads.
#[derive(Debug)]
pub struct Batch<'s> {
    store: &'s Store,
    folder: PathBuf,
    made: Mutex<bool>,
    count: AtomicU64,
    pending: Mutex<Pending>,
    /// Objects that count as absent although they are there, because they are damaged.
    replacing: HashSet<ObjectId>,
    _lock: Guard,
}

impl Store {
    /// Begins a batch. Waits while gc is running.
    pub fn batch(&self) -> Result<Batch<'_>, Error> {
        self.batch_replacing(HashSet::new())
    }

    /// Begins a batch that writes these objects again although the store has them.
    pub fn batch_replacing(&self, replacing: HashSet<ObjectId>) -> Result<Batch<'_>, Error> {
        Ok(Batch {
            replacing,
            store: self,
            folder: self.layout.folder("tmp").join(fs::unique("batch-")),
            made: Mutex::new(false),
            count: AtomicU64::new(0),
            pending: Mutex::default(),
            _lock: Guard::shared(&self.layout.folder("lock"), self.patience())?,
        })
    }
}

impl Batch<'_> {
    /// Adds a file with this content.
    pub fn bytes(&self, bytes: &[u8], mode: Mode) -> Result<Node, Error> {
        self.small(Digest::of(bytes), bytes, mode)
    }

    fn small(&self, digest: Digest, bytes: &[u8], mode: Mode) -> Result<Node, Error> {
        let size = bytes.len() as u64;
        if !self.has(&ObjectId::Blob { digest, size, mode })? {
            let path = self.temporary()?;
            let mut file = fs::create_new(&path, mode.bits())?;
            file.write_all(bytes).map_err(Error::io("write", &path))?;
            self.keep(digest, mode, path, &file)?;
        }
        Ok(Node::File { digest, size, mode })
    }

    /// Adds a file from a reader, which is read to its end. With `expected` the content must have that
    /// digest, else nothing is added and the error is [`Error::Mismatch`].
    pub fn blob(&self, expected: Option<&Digest>, mode: Mode, from: &mut dyn Read) -> Result<Node, Error> {
        let subject = || expected.map_or("a file's content".to_owned(), |digest| format!("blob {digest}"));
        let mut start = Vec::new();
        from.take(SMALL as u64).read_to_end(&mut start).map_err(stream("read", subject()))?;
        if start.len() == SMALL {
            return self.large(expected, mode, &start, from);
        }
        let digest = Digest::of(&start);
        check(expected, digest)?;
        self.small(digest, &start, mode)
    }

    fn large(
        &self,
        expected: Option<&Digest>,
        mode: Mode,
        start: &[u8],
        rest: &mut dyn Read,
    ) -> Result<Node, Error> {
        let path = self.temporary()?;
        let mut file = fs::create_new(&path, mode.bits())?;
        let mut hasher = FileHasher::new();
        let mut size = 0;
        let mut buffer = start.to_vec();
        while !buffer.is_empty() {
            hasher.update(&buffer);
            file.write_all(&buffer).map_err(Error::io("write", &path))?;
            size += buffer.len() as u64;
            buffer.clear();
            let filled = rest.take(SMALL as u64).read_to_end(&mut buffer);
            filled.map_err(stream("read", "a file's content"))?;
        }
        let digest = hasher.finish();
        if let Err(error) = check(expected, digest) {
            fs::remove_file(&path)?;
            return Err(error);
        }
        if self.has(&ObjectId::Blob { digest, size, mode })? {
            fs::remove_file(&path)?;
        } else {
            self.keep(digest, mode, path, &file)?;
        }
        Ok(Node::File { digest, size, mode })
    }

    /// Gives a finished temporary file its mode and remembers it.
    fn keep(&self, digest: Digest, mode: Mode, path: PathBuf, file: &File) -> Result<(), Error> {
        let mut metadata = file.metadata().map_err(Error::io("examine", &path))?;
        if !Stat::of(&metadata).has_mode(mode) {
            file.set_mode(mode.bits()).map_err(Error::io("set the mode of", &path))?;
            metadata = file.metadata().map_err(Error::io("examine", &path))?;
        }
        let staged = StagedBlob { path, stat: Stat::of(&metadata) };
        // Two threads may have added the same content at the same time: one file of it is enough.
        if let Some(twice) = self.pending().blobs.insert((digest, mode), staged) {
            fs::remove_file(&twice.path)?;
        }
        Ok(())
    }

    /// Adds a tree. Its children must be in the store or in this batch.
    pub fn tree(&self, tree: &Tree) -> Result<Digest, Error> {
        let encoding = tree.encode();
        let digest = Tree::digest_of(&encoding);
        self.add(ObjectId::Tree(digest), &encoding, || Ok(DecodedObject::Tree(Arc::new(tree.clone()))))?;
        Ok(digest)
    }

    /// Adds an artifact, which `commit` checks out if this is a host's store. Its tree and the artifacts it refers to
    /// must be in the store or in this batch.
    pub fn artifact(&self, artifact: &Artifact) -> Result<ArtifactId, Error> {
        let subject = || format!("artifact {}", artifact.name);
        artifact.check().map_err(|source| Error::Encoding { subject: subject(), source })?;
        let encoding = artifact.encode();
        let id = Artifact::id_of(&encoding);
        let decoded = || Ok(DecodedObject::Artifact(Arc::new(artifact.clone())));
        self.add(ObjectId::Artifact(id), &encoding, decoded)?;
        Ok(id)
    }

    /// Adds an object from its bytes, and checks that they are what its id says.
    pub fn receive(&self, object: &ObjectId, from: &mut dyn Read) -> Result<(), Error> {
        let ObjectId::Blob { digest, size, mode } = object else {
            let bytes = read_encoding(object, from)?;
            return self.add(*object, &bytes, || decode(object, &bytes));
        };
        // One byte more than announced is enough to see that the content is too long.
        let mut announced = from.take(size.saturating_add(1));
        match self.blob(Some(digest), *mode, &mut announced)? {
            Node::File { size: found, .. } if found != *size => {
                Err(mismatch(object, &format!("{found} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Adds an object that is not a blob. What it needs must be in the store or in this batch.
    fn add(
        &self,
        object: ObjectId,
        encoding: &[u8],
        decoded: impl FnOnce() -> Result<DecodedObject, Error>,
    ) -> Result<(), Error> {
        if self.has(&object)? {
            return Ok(());
        }
        let decoded = decoded()?;
        for child in decoded.children() {
            self.require(object, child)?;
        }
        let path = self.temporary()?;
        fs::write_new(&path, encoding, 0o444, false)?;
        let mut pending = self.pending();
        if pending.decoded.insert(object, decoded).is_none() {
            pending.files.push((object, path));
        }
        Ok(())
    }

    /// Makes everything visible, children before parents. When this returns, a [`crate::Durability::Host`] store has
    /// all of it on the disk.
    pub fn commit(self) -> Result<(), Error> {
        let pending = std::mem::take(&mut *self.pending());
        if pending.is_empty() {
            return Ok(());
        }
        self.make_folder()?;
        commit::publish(self.store, &self.folder, &pending, &self.replacing)
    }

    /// Whether an object is in the store or in this batch already, so that it need not be written.
    pub fn has(&self, object: &ObjectId) -> Result<bool, Error> {
        if self.pending().has(object) {
            return Ok(true);
        }
        Ok(!self.replacing.contains(object) && self.store.contains(object)?)
    }

    fn require(&self, parent: ObjectId, child: ObjectId) -> Result<(), Error> {
        let present = self.pending().has(&child) || self.store.contains(&child)?;
        if present { Ok(()) } else { Err(Error::MissingChild { parent, child }) }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Each change made under the lock is a single insertion, so a thread that panicked has left it consistent.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn temporary(&self) -> Result<PathBuf, Error> {
        self.make_folder()?;
        Ok(self.folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    /// Creates the batch's folder when it is first needed: a batch that finds everything present writes nothing.
    fn make_folder(&self) -> Result<(), Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !*made {
            batou_system::fs::create_dir(&self.folder)
                .map_err(Error::io("create the folder", &self.folder))?;
            *made = true;
        }
        Ok(())
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if *self.made.lock().unwrap_or_else(PoisonError::into_inner) {
            // Whatever cannot be removed now is removed when the store is next opened.
            let _ = fs::remove_tree(&self.folder);
        }
    }
}

fn check(expected: Option<&Digest>, found: Digest) -> Result<(), Error> {
    match expected {
        Some(expected) if *expected != found => Err(mismatch(&format!("blob {expected}"), &found)),
        _ => Ok(()),
    }
}
