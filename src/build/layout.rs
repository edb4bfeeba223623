//! A rendered component as the objects that it will be: its trees, its artifact, and the content of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use batou_environments::{Content, Entry, Rendered};
use batou_store::{Artifact, ArtifactId, Batch, Digest, FileHasher, Mode, Name, Node, RelPath, Tree};

use crate::error::CommandError;

/// What a component is in the store, before anything is stored.
pub(super) struct Layout<'r> {
    pub(super) id: ArtifactId,
    pub(super) artifact: Artifact,
    /// Children before parents.
    trees: Vec<Tree>,
    files: Vec<FileContent<'r>>,
}

struct FileContent<'r> {
    content: &'r Content,
    digest: Digest,
    mode: Mode,
}

/// A folder on the way to being a [`Tree`].
#[derive(Default)]
struct Folder(BTreeMap<Name, Child>);

enum Child {
    Folder(Folder),
    Leaf(Node),
}

impl<'r> Layout<'r> {
    /// Hashes a component's files.
    pub(super) fn of(rendered: &'r Rendered) -> Result<Self, CommandError> {
        let subject = || format!("{}/{}", rendered.host, rendered.component);
        let name = Name::new(rendered.component.clone());
        let name = name.map_err(|error| CommandError::input(subject()).because(error))?;
        let mut root = Folder::default();
        let mut files = Vec::new();
        for (path, entry) in &rendered.entries {
            let fault = |message: String| CommandError::input(format!("{}: {path}: {message}", subject()));
            let checked =
                RelPath::new(path).map_err(|error| fault("not a path in a release".into()).because(error))?;
            let child = match entry {
                Entry::Directory => Child::Folder(Folder::default()),
                Entry::Symlink { target } => Child::Leaf(Node::Symlink { target: target.clone() }),
                Entry::File { content, mode } => {
                    let mode = Mode::new(*mode)
                        .map_err(|error| fault("the mode cannot be".into()).because(error))?;
                    let (digest, size) = hash(content)?;
                    files.push(FileContent { content, digest, mode });
                    Child::Leaf(Node::File { digest, size, mode })
                }
            };
            let names: Vec<Name> = checked.names().collect();
            if !root.insert(&names, child) {
                return Err(fault("there is already a file or folder of that name".into()));
            }
        }
        let mut trees = Vec::new();
        let tree = root.fold(&mut trees);
        let artifact = Artifact { name, tree, references: BTreeSet::new() };
        Ok(Self { id: artifact.id(), artifact, trees, files })
    }

    /// Adds all of it to what is stored.
    pub(super) fn add_to(&self, batch: &Batch<'_>) -> Result<(), CommandError> {
        for file in &self.files {
            match file.content {
                Content::Bytes(bytes) => drop(batch.bytes(bytes, file.mode)?),
                Content::Source(path) => drop(batch.blob(Some(&file.digest), file.mode, &mut open(path)?)?),
            }
        }
        for tree in &self.trees {
            batch.tree(tree)?;
        }
        batch.artifact(&self.artifact)?;
        Ok(())
    }
}

impl Folder {
    /// Whether the place was free.
    fn insert(&mut self, path: &[Name], child: Child) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        if rest.is_empty() {
            return match (self.0.get(first), &child) {
                (None, _) => self.0.insert(first.clone(), child).is_none(),
                (Some(Child::Folder(_)), Child::Folder(_)) => true,
                (Some(_), _) => false,
            };
        }
        match self.0.entry(first.clone()).or_insert_with(|| Child::Folder(Self::default())) {
            Child::Folder(folder) => folder.insert(rest, child),
            Child::Leaf(_) => false,
        }
    }

    /// Its digest; its tree and those below are added to `trees`.
    fn fold(self, trees: &mut Vec<Tree>) -> Digest {
        let mut tree = Tree::new();
        for (name, child) in self.0 {
            let node = match child {
                Child::Leaf(node) => node,
                Child::Folder(folder) => Node::Directory { digest: folder.fold(trees) },
            };
            tree.insert(name, node).expect("a map has each name once");
        }
        let digest = tree.digest();
        trees.push(tree);
        digest
    }
}

fn hash(content: &Content) -> Result<(Digest, u64), CommandError> {
    match content {
        Content::Bytes(bytes) => Ok((Digest::of(bytes), bytes.len() as u64)),
        Content::Source(path) => {
            let mut hasher = FileHasher::new();
            let mut source = open(path)?;
            let size = io::copy(&mut source, &mut hasher).map_err(|error| unreadable(path, error))?;
            Ok((hasher.finish(), size))
        }
    }
}

fn open(path: &Path) -> Result<impl Read + use<>, CommandError> {
    File::open(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> CommandError {
    CommandError::input(format!("{} cannot be read", path.display())).because(error)
}
