//! Importing a source folder: its files, hashed in parallel, as a tree of the store.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{Seek, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use globset::GlobSet;
use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use crate::digest::FileHasher;
use crate::index::{Index, Signature, now};
use crate::{Batch, Digest, Error, Mode, Node, ObjectId, RelPath, Store, Tree};

/// Files from this size on are hashed before they are copied, because most are present already.
const LARGE: u64 = 256 << 10;

/// An imported folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Digest of its tree.
    pub node: Digest,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many of them had to be read.
    pub hashed: u64,
}

/// Something in the source folder.
struct Entry {
    path: PathBuf,
    relative: RelPath,
    metadata: Metadata,
}

impl Store {
    /// Imports a folder without what `exclude` matches (paths relative to the folder). Symbolic links are
    /// kept as they are; devices, sockets, setuid files and names that are not UTF-8 are errors.
    ///
    /// With `cache`, a file beside the source that this call maintains, files that have not changed since
    /// the last import are not read again.
    pub fn import(&self, source: &Path, exclude: &GlobSet, cache: Option<&Path>) -> Result<Imported, Error> {
        let source = std::path::absolute(source).map_err(Error::io("find", source))?;
        let old = cache.map_or_else(|| Index::new(&source), |path| Index::load(path, &source));
        let started = now();
        let batch = self.batch()?;
        let import = Import { batch: &batch, index: &old, hashed: AtomicU64::new(0) };
        let entries = entries(&source, exclude)?;
        let nodes = entries.par_iter().map(|entry| import.node(entry)).collect::<Result<Vec<_>, _>>()?;
        let hashed = import.hashed.into_inner();

        let mut index = Index::new(&source);
        let (mut files, mut bytes) = (0, 0);
        for (entry, node) in entries.iter().zip(&nodes) {
            if let Some(Node::File { digest, size, .. }) = node {
                files += 1;
                bytes += size;
                index.add(entry.relative.clone(), Signature::of(&entry.metadata), *digest, started);
            }
        }
        let node = trees(&batch, &entries, nodes)?;
        batch.commit()?;
        if let Some(path) = cache.filter(|_| index != old) {
            index.save(path)?;
        }
        Ok(Imported { node, files, bytes, hashed })
    }
}

/// Lists the folder, each folder before what it holds.
fn entries(source: &Path, exclude: &GlobSet) -> Result<Vec<Entry>, Error> {
    let relative =
        |entry: &DirEntry| entry.path().strip_prefix(source).map(Path::to_owned).unwrap_or_default();
    let walk = WalkDir::new(source).sort_by_file_name().into_iter();
    let mut entries = Vec::new();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !exclude.is_match(relative(entry))) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(source).to_owned();
            Error::Io { action: "read", path, source: error.into() }
        })?;
        if entry.depth() == 0 {
            if !entry.path().is_dir() {
                return Err(unsupported(entry.path(), "it is not a folder"));
            }
            continue;
        }
        let relative = relative(&entry);
        let text =
            relative.to_str().ok_or_else(|| unsupported(entry.path(), "its name is not valid UTF-8"))?;
        let metadata = std::fs::symlink_metadata(entry.path()).map_err(Error::io("examine", entry.path()))?;
        entries.push(Entry { relative: RelPath::new(text)?, metadata, path: entry.into_path() });
    }
    Ok(entries)
}

/// Makes the trees from the bottom up, and returns the one at the top.
fn trees(batch: &Batch, entries: &[Entry], nodes: Vec<Option<Node>>) -> Result<Digest, Error> {
    let mut open: BTreeMap<&str, Tree> = BTreeMap::new();
    // Backwards, what a folder holds comes before the folder.
    for (entry, node) in entries.iter().zip(nodes).rev() {
        let path = entry.relative.as_str();
        let node = match node {
            Some(node) => node,
            None => Node::Directory { digest: batch.tree(&open.remove(path).unwrap_or_default())? },
        };
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = crate::Name::new(name)?;
        let inserted = open.entry(parent).or_default().insert(name, node);
        inserted.map_err(|source| Error::Encoding { subject: entry.path.display().to_string(), source })?;
    }
    batch.tree(&open.remove("").unwrap_or_default())
}

struct Import<'a> {
    batch: &'a Batch<'a>,
    index: &'a Index,
    hashed: AtomicU64,
}

impl Import<'_> {
    /// The node of a file or link; `None` for a folder.
    fn node(&self, entry: &Entry) -> Result<Option<Node>, Error> {
        let kind = entry.metadata.file_type();
        if kind.is_dir() {
            return Ok(None);
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&entry.path).map_err(Error::io("read the link", &entry.path))?;
            let target =
                target.to_str().ok_or_else(|| unsupported(&entry.path, "its target is not valid UTF-8"))?;
            return Ok(Some(Node::Symlink { target: target.to_owned() }));
        }
        if !kind.is_file() {
            let kind = if kind.is_socket() {
                "a socket"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "a device"
            };
            return Err(unsupported(&entry.path, &format!("it is {kind}, which cannot be stored")));
        }
        self.file(entry).map(Some)
    }

    fn file(&self, entry: &Entry) -> Result<Node, Error> {
        let bits = entry.metadata.mode() & 0o7777;
        let mode = Mode::new(bits).map_err(|error| unsupported(&entry.path, &error.to_string()))?;
        let size = entry.metadata.size();
        if let Some(digest) = self.index.get(&entry.relative, &Signature::of(&entry.metadata))
            && self.batch.has(&ObjectId::Blob { digest, size, mode })?
        {
            return Ok(Node::File { digest, size, mode });
        }
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let mut file = File::open(&entry.path).map_err(Error::io("open", &entry.path))?;
        let node = self.read(entry, &mut file, mode)?;
        let after = file.metadata().map_err(Error::io("examine", &entry.path))?;
        if Signature::of(&after) != Signature::of(&entry.metadata) {
            return Err(changed(entry));
        }
        Ok(node)
    }

    fn read(&self, entry: &Entry, file: &mut File, mode: Mode) -> Result<Node, Error> {
        if entry.metadata.size() < LARGE {
            return self.batch.blob(None, mode, file);
        }
        let size = entry.metadata.size();
        let digest = hash(file).map_err(Error::io("read", &entry.path))?;
        if self.batch.has(&ObjectId::Blob { digest, size, mode })? {
            return Ok(Node::File { digest, size, mode });
        }
        file.rewind().map_err(Error::io("read", &entry.path))?;
        match self.batch.blob(Some(&digest), mode, file) {
            Err(Error::Mismatch { .. }) => Err(changed(entry)),
            stored => stored,
        }
    }
}

fn hash(file: &mut File) -> std::io::Result<Digest> {
    let mut hasher = FileHasher::new();
    std::io::copy(file, &mut hasher)?;
    hasher.flush()?;
    Ok(hasher.finish())
}

fn changed(entry: &Entry) -> Error {
    unsupported(&entry.path, "it changed while it was read")
}

fn unsupported(path: &Path, reason: &str) -> Error {
    Error::Unsupported { path: path.to_owned(), reason: reason.to_owned() }
}
