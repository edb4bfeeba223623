//! The store: opening it, asking what it holds, and reading objects.
//!
//! A present object implies a complete subtree, because children are published before their parents
//! (see [`crate::Batch`]). So "is this artifact here, with everything in it" is one `stat` of its record.

use batou_system::fs::File;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::closure::{ClosureWalk, ObjectGraph};
use crate::layout::{self, FILES, StoreLayout};
use crate::lock::{self, Guard};
use crate::object::{DecodedObject, MAX_ENCODING};
use crate::read::{ObjectReader, decode, undecodable};
use crate::{Artifact, ArtifactId, Closure, Digest, Error, Mode, Name, Node, ObjectId, RelPath, Tree, fs};

/// How many files an artifact may expand to: without a limit, a few trees that hold each other many times could
/// expand to any number.
const MAX_FILES: usize = 1 << 20;

/// What a store is for, and therefore what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A host's store: when `commit` returns, everything is on the disk and every artifact is checked out.
    Host,
    /// The controller's store: its content can be made again, so nothing waits for the disk. Artifacts that are only
    /// sent on need no checkout; [`Store::check_out`] makes one.
    Cache,
}

/// A content-addressed store below one folder. It keeps no files open between calls, and may be used from several
/// threads and processes at once.
#[derive(Debug)]
pub struct Store {
    pub(crate) layout: StoreLayout,
    pub(crate) durability: Durability,
}

impl Store {
    /// Opens the store at `root`, which is created if absent, and removes what interrupted writers left.
    pub fn open(root: &Path, durability: Durability) -> Result<Self, Error> {
        let store = Self::at(root, durability)?;
        if !store.layout.check_format()? {
            store.create()?;
        }
        store.sweep_debris()?;
        Ok(store)
    }

    /// Opens a store that exists, without writing anything; `None` if there is none.
    pub fn open_existing(root: &Path, durability: Durability) -> Result<Option<Self>, Error> {
        let store = Self::at(root, durability)?;
        Ok(store.layout.check_format()?.then_some(store))
    }

    pub(crate) fn at(root: &Path, durability: Durability) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        Ok(Self { layout: StoreLayout::new(root), durability })
    }

    /// Creates the folders, and the format file last: without it, this is not a store.
    fn create(&self) -> Result<(), Error> {
        for folder in layout::folders() {
            fs::create_directories(&self.layout.folder(folder))?;
        }
        for file in &FILES[..2] {
            let path = self.layout.folder(file);
            lock::create(&path)?;
        }
        // So that no one else who opens the store empties `tmp/` meanwhile.
        let _at_work = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        // A power cut must not leave the format file and not the rest.
        if self.is_durable() {
            fs::fsync_directory(self.root())?;
        }
        self.write_format()?;
        if self.is_durable() { fs::fsync_directory(fs::parent(self.root())) } else { Ok(()) }
    }

    /// Writes the format file, by way of `tmp/`, where nothing is left for good. Only for a holder of the lock.
    pub(crate) fn write_format(&self) -> Result<(), Error> {
        let (temporary, path) =
            (self.layout.folder("tmp").join(fs::unique("format-")), self.layout.folder("format"));
        fs::write_new(&temporary, StoreLayout::format_text().as_bytes(), 0o644, self.is_durable())?;
        batou_system::fs::rename(&temporary, &path).map_err(Error::io("replace", &path))?;
        if self.is_durable() { fs::fsync_directory(self.root()) } else { Ok(()) }
    }

    /// Removes all temporary files if nobody is using the store: then they belong to nobody.
    fn sweep_debris(&self) -> Result<(), Error> {
        if self.debris()?.is_empty() {
            return Ok(());
        }
        if let Some(_alone) = Guard::exclusive_within(&self.layout.folder("lock"), Duration::ZERO)? {
            self.remove_debris()?;
        }
        Ok(())
    }

    /// Removes all temporary files. Only for the holder of the exclusive lock.
    pub(crate) fn remove_debris(&self) -> Result<(), Error> {
        let debris = self.debris()?;
        if debris.iter().any(|path| layout::is_mark(path)) {
            self.drop_incomplete()?;
        }
        debris.iter().try_for_each(|path| fs::remove_tree(path))
    }

    fn debris(&self) -> Result<Vec<PathBuf>, Error> {
        let mut found: Vec<_> =
            fs::entries(&self.layout.folder("tmp"))?.iter().map(batou_system::fs::DirEntry::path).collect();
        let beside = fs::entries(&self.layout.folder("artifacts"))?;
        found.extend(
            beside.iter().filter(|e| fs::is_temporary(&e.file_name())).map(batou_system::fs::DirEntry::path),
        );
        Ok(found)
    }

    /// The store's folder, as an absolute path.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// How long others may keep a lock of this store. On a host whoever is at work there has the host's lock, too; here a
    /// collection of a large store may take minutes.
    pub(crate) fn patience(&self) -> Duration {
        match self.durability {
            Durability::Host => Duration::from_secs(30),
            Durability::Cache => Duration::from_mins(10),
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durability == Durability::Host
    }

    /// Whether the object is in the store, with everything it needs. This is one `stat`; nothing is read.
    pub fn contains(&self, object: &ObjectId) -> Result<bool, Error> {
        let metadata = fs::lstat(&self.layout.object(object))?;
        // A truncated blob counts as absent: the one that replaces it will have been checked.
        let fits = |length| object.stated_size().is_none_or(|size| size == length);
        Ok(metadata.is_some_and(|metadata| metadata.is_file() && fits(metadata.size())))
    }

    /// Opens the blob of this digest, in any mode. The bytes are not checked: see [`Store::object`].
    pub fn blob(&self, digest: &Digest) -> Result<File, Error> {
        for mode in Mode::all() {
            let path = self.layout.blob(digest, mode);
            match batou_system::fs::open_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(fs::no_file(&path)),
                opened => return opened.map_err(Error::io("open", path)),
            }
        }
        Err(Error::MissingBlob(*digest))
    }

    /// Reads a blob of at most `limit` bytes, and checks it.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        let file = self.blob(digest)?;
        let path = || self.layout.blob(digest, Mode::PLAIN);
        let size = file.metadata().map_err(Error::io("examine", path()))?.len();
        if size > limit {
            return Err(Error::TooLarge { subject: format!("blob {}", digest.short()), size, limit });
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, limit), &mut bytes)
            .map_err(Error::io("read", path()))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(damaged(path(), Digest::of(&bytes))) }
    }

    /// Opens an object's bytes: a blob's content, a tree's or record's encoding. The last read fails if they are not
    /// what the id says.
    pub fn object(&self, object: &ObjectId) -> Result<ObjectReader, Error> {
        ObjectReader::open(self.layout.object(object), *object)
    }

    /// Reads a tree, and checks it.
    pub fn tree(&self, digest: &Digest) -> Result<Tree, Error> {
        let object = ObjectId::Tree(*digest);
        Tree::decode(&self.encoding(&object)?).map_err(undecodable(object))
    }

    /// Reads an artifact's record, and checks it.
    pub fn artifact(&self, id: &ArtifactId) -> Result<Artifact, Error> {
        let object = ObjectId::Artifact(*id);
        Artifact::decode(&self.encoding(&object)?).map_err(undecodable(object))
    }

    /// Reads an object that is not a blob, and checks it.
    pub(crate) fn decoded(&self, object: &ObjectId) -> Result<DecodedObject, Error> {
        decode(object, &self.encoding(object)?)
    }

    fn encoding(&self, object: &ObjectId) -> Result<Vec<u8>, Error> {
        let path = self.layout.object(object);
        let bytes = fs::read_object(&path, MAX_ENCODING)?.ok_or(Error::Missing(*object))?;
        let found = object.kind().digest_of(&bytes);
        if found == *object.digest() { Ok(bytes) } else { Err(damaged(path, found)) }
    }

    /// Where the artifact's files are checked out, if they are.
    pub fn artifact_path(&self, id: &ArtifactId, name: &Name) -> PathBuf {
        self.layout.checkout(id, name)
    }

    /// All files, symbolic links and empty folders below a tree, by path.
    pub fn files(&self, tree: &Digest) -> Result<BTreeMap<RelPath, Node>, Error> {
        files(tree, |digest| self.tree(digest))
    }

    /// Everything that the artifacts need.
    pub fn closure(&self, roots: &[ArtifactId]) -> Result<Closure, Error> {
        let mut walk = ClosureWalk::new(self);
        for root in roots {
            walk.add(ObjectId::Artifact(*root))?;
        }
        Ok(walk.finish())
    }
}

/// All files, symbolic links and empty folders below a tree, by path; `read` finds the trees.
pub fn files(
    tree: &Digest,
    read: impl Fn(&Digest) -> Result<Tree, Error>,
) -> Result<BTreeMap<RelPath, Node>, Error> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<(Option<RelPath>, Digest)> = vec![(None, *tree)];
    while let Some((folder, digest)) = folders.pop() {
        for (name, node) in read(&digest)?.iter() {
            let path = RelPath::below(folder.as_ref(), name)?;
            match node {
                Node::Directory { digest } if *digest != Tree::new().digest() => {
                    folders.push((Some(path), *digest));
                }
                _ => drop(files.insert(path, node.clone())),
            }
        }
        if files.len() + folders.len() > MAX_FILES {
            return Err(Error::TooManyFiles { tree: *tree, limit: MAX_FILES });
        }
    }
    Ok(files)
}

fn damaged(path: PathBuf, found: Digest) -> Error {
    Error::Damaged { path, fault: format!("its digest is {found}") }
}

impl ObjectGraph for &Store {
    fn children(&self, object: &ObjectId) -> Result<(Vec<ObjectId>, u64), Error> {
        if object.is_blob() {
            return Ok((Vec::new(), 0));
        }
        let bytes = self.encoding(object)?;
        Ok((decode(object, &bytes)?.children(), bytes.len() as u64))
    }
}
