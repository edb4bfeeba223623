//! A rendered component as the objects that it will become: its trees, its artifact, and the content of its
//! files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use batou_environments::{Content, Dependency, Entry, Rendered};
use batou_store::{
    Artifact, ArtifactId, Batch, Digest, Error, Mode, Monitor, Name, Node, ObjectId, RelPath, SourceHasher,
    Tree,
};
use batou_system::fs::{File, open_file};
use rayon::prelude::*;

use crate::error::{CommandError, ExitKind};

const CONTENTS_CONTEXT: &str = "batou 2026-11 contents of entries v1";

/// How many files make a thread worthwhile.
const SHARE: usize = 32;

/// What a component will be in the store, before anything is stored.
pub(super) struct ComponentLayout<'r> {
    pub(super) id: ArtifactId,
    pub(super) artifact: Artifact,
    /// Children before parents.
    trees: Vec<Tree>,
    /// What units may depend on, by path.
    nodes: BTreeMap<&'r str, Node>,
    files: Vec<FileContent<'r>>,
}

struct FileContent<'r> {
    content: &'r Content,
    digest: Digest,
    size: u64,
    mode: Mode,
}

/// How many files there are, and how many bytes they have together.
#[derive(Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Amount {
    fn and(self, size: u64) -> Self {
        Self { files: self.files + 1, bytes: self.bytes.saturating_add(size) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// How much of a component has to be hashed. A source that cannot be examined is reported only when it is
    /// read.
    pub(super) fn rendered(rendered: &Rendered) -> Self {
        let contents = rendered.entries.values().filter_map(|entry| match entry {
            Entry::File { content, .. } => Some(content),
            _ => None,
        });
        contents.fold(Self::default(), |amount, content| match content {
            Content::Bytes(bytes) => amount.and(bytes.len() as u64),
            Content::Source(path) => amount.and(std::fs::metadata(path).map_or(0, |found| found.len())),
        })
    }
}

/// A folder on the way to being a [`Tree`].
#[derive(Default)]
struct Folder(BTreeMap<Name, FolderEntry>);

enum FolderEntry {
    Folder(Folder),
    Leaf(Node),
}

impl<'r> ComponentLayout<'r> {
    /// Hashes a component's files.
    pub(super) fn of(
        rendered: &'r Rendered,
        sources: &SourceHasher,
        monitor: &dyn Monitor,
    ) -> Result<Self, CommandError> {
        let subject = || format!("{}/{}", rendered.host, rendered.component);
        let name = Name::new(rendered.component.clone());
        let name = name.map_err(|error| CommandError::input(subject()).because(error))?;
        let mut root = Folder::default();
        let (mut files, mut nodes) = (Vec::new(), BTreeMap::new());
        let entries: Vec<_> = rendered.entries.iter().collect();
        let hashed = entries.par_iter().with_min_len(SHARE).map(|(_, entry)| hash(entry, sources, monitor));
        let hashed: Vec<_> = hashed.collect::<Result<_, _>>()?;
        for ((path, entry), hashed) in entries.into_iter().zip(hashed) {
            let fault = |message: String| CommandError::input(format!("{}: {path}: {message}", subject()));
            let checked =
                RelPath::new(path).map_err(|error| fault("not a path in a release".into()).because(error))?;
            let child = match entry {
                Entry::Directory => FolderEntry::Folder(Folder::default()),
                Entry::Symlink { target } => FolderEntry::Leaf(Node::Symlink { target: target.clone() }),
                Entry::File { content, mode } => {
                    let mode = Mode::new(*mode)
                        .map_err(|error| fault("the mode cannot be".into()).because(error))?;
                    let (digest, size) = hashed.expect("every file was hashed");
                    files.push(FileContent { content, digest, size, mode });
                    FolderEntry::Leaf(Node::File { digest, size, mode })
                }
            };
            if let FolderEntry::Leaf(node) = &child {
                nodes.insert(path.as_str(), node.clone());
            }
            let names: Vec<Name> = checked.names().collect();
            if !root.insert(&names, child) {
                return Err(fault("there is already a file or folder of that name".into()));
            }
        }
        let mut trees = Vec::new();
        let tree = root.fold(&mut trees);
        let artifact = Artifact { name, tree, references: BTreeSet::new() };
        Ok(Self { id: artifact.id(), artifact, trees, nodes, files })
    }

    /// The digest of something that a unit depends on.
    pub(super) fn digest(&self, dependency: &Dependency) -> String {
        match dependency {
            Dependency::Entries(paths) => self.contents(paths.iter().map(String::as_str)).to_string(),
            Dependency::Value(digest) => digest.clone(),
        }
    }

    /// One digest for entries and their names. It differs if the content, mode or kind of any of them does.
    fn contents<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Digest {
        let text = |node: &Node| match node {
            Node::File { digest, mode, .. } => format!("file {digest} {:04o}", mode.bits()),
            Node::Symlink { target } => format!("symlink {target}"),
            Node::Directory { .. } => "folder".to_owned(),
        };
        // A declared folder is empty, and so has no node of its own.
        let described = |path| (path, self.nodes.get(path).map_or_else(|| "folder".to_owned(), text));
        let described: Vec<(&str, String)> = paths.into_iter().map(described).collect();
        Digest::derive(CONTENTS_CONTEXT, &serde_json::to_vec(&described).expect("texts are plain data"))
    }

    /// How much there is to store.
    pub(super) fn amount(&self) -> Amount {
        self.files.iter().fold(Amount::default(), |amount, file| amount.and(file.size))
    }

    /// All objects that it consists of.
    pub(super) fn objects(&self) -> impl Iterator<Item = ObjectId> {
        let files = self.files.iter();
        let files =
            files.map(|file| ObjectId::Blob { digest: file.digest, size: file.size, mode: file.mode });
        let trees = self.trees.iter().map(|tree| ObjectId::Tree(tree.digest()));
        files.chain(trees).chain([ObjectId::Artifact(self.id)])
    }

    /// Adds all of it to what is to be stored.
    pub(super) fn add_to(&self, batch: &Batch<'_>, monitor: &dyn Monitor) -> Result<(), CommandError> {
        self.files.par_iter().with_min_len(SHARE).try_for_each(|file| file.add_to(batch, monitor))?;
        for tree in &self.trees {
            batch.tree(tree)?;
        }
        batch.artifact(&self.artifact)?;
        Ok(())
    }
}

impl Folder {
    /// Adds a child at this path; returns whether the place was free.
    fn insert(&mut self, path: &[Name], child: FolderEntry) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        if rest.is_empty() {
            return match (self.0.get(first), &child) {
                (None, _) => self.0.insert(first.clone(), child).is_none(),
                (Some(FolderEntry::Folder(_)), FolderEntry::Folder(_)) => true,
                (Some(_), _) => false,
            };
        }
        match self.0.entry(first.clone()).or_insert_with(|| FolderEntry::Folder(Self::default())) {
            FolderEntry::Folder(folder) => folder.insert(rest, child),
            FolderEntry::Leaf(_) => false,
        }
    }

    /// Returns the folder's digest, and adds its tree and those below it to `trees`.
    fn fold(self, trees: &mut Vec<Tree>) -> Digest {
        let mut tree = Tree::new();
        for (name, child) in self.0 {
            let node = match child {
                FolderEntry::Leaf(node) => node,
                FolderEntry::Folder(folder) => Node::Directory { digest: folder.fold(trees) },
            };
            tree.insert(name, node).expect("a map has each name once");
        }
        let digest = tree.digest();
        trees.push(tree);
        digest
    }
}

impl FileContent<'_> {
    /// Adds the content; a source is read only if the store does not have its content yet.
    fn add_to(&self, batch: &Batch<'_>, monitor: &dyn Monitor) -> Result<(), CommandError> {
        let Self { content, digest, size, mode } = *self;
        match content {
            Content::Bytes(bytes) => {
                batch.bytes(bytes, mode)?;
                monitor.advance(1, size);
            }
            Content::Source(_) if batch.has(&ObjectId::Blob { digest, size, mode })? => {
                monitor.advance(1, size);
            }
            Content::Source(path) => {
                let file = open_file(path).map_err(|error| unreadable(path, error))?;
                let stored = batch.blob(Some(&digest), mode, &mut WatchedSource { file, monitor });
                stored.map_err(|error| changed(path, error))?;
                monitor.advance(1, 0);
            }
        }
        Ok(())
    }
}

/// A source that is read while the monitor watches.
struct WatchedSource<'m> {
    file: File,
    monitor: &'m dyn Monitor,
}

impl Read for WatchedSource<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.monitor.advance(0, count as u64);
        Ok(count)
    }
}

/// Digest and size of a file; `None` if it is not a file.
fn hash(
    entry: &Entry,
    sources: &SourceHasher,
    monitor: &dyn Monitor,
) -> Result<Option<(Digest, u64)>, CommandError> {
    match entry {
        Entry::File { content: Content::Bytes(bytes), .. } => {
            monitor.advance(1, bytes.len() as u64);
            Ok(Some((Digest::of(bytes), bytes.len() as u64)))
        }
        Entry::File { content: Content::Source(path), .. } => {
            let hashed = sources.digest(path, monitor);
            Ok(Some(hashed.map_err(|error| CommandError::from_error(ExitKind::Input, error))?))
        }
        Entry::Directory | Entry::Symlink { .. } => Ok(None),
    }
}

fn changed(path: &Path, error: Error) -> CommandError {
    match error {
        Error::Mismatch { .. } => {
            CommandError::input(format!("{} changed while it was built", path.display()))
                .hint("build again when nobody writes to it")
        }
        other => other.into(),
    }
}

fn unreadable(path: &Path, error: io::Error) -> CommandError {
    CommandError::input(format!("{} cannot be read", path.display())).because(error)
}
