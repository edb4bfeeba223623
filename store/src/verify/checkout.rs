//! Comparing a checkout with the tree it was made from.

use batou_system::fs::Metadata;
use std::collections::BTreeSet;
use std::path::Path;

use super::object::{Inodes, ObjectCheck, Sizes};
use crate::damage::hash;
use crate::object::DecodedObject;
use crate::scan::ScannedFile;
use crate::stats::{Stat, Stats};
use crate::{ArtifactId, Digest, Error, Fault, Mode, Node, ObjectId, Problem, RelPath, Remedy, Tree, fs};

/// How a file of a checkout is known to be undamaged without being read.
#[derive(Clone, Copy)]
pub(super) enum Whole<'a> {
    /// It is a link to a blob that was found undamaged.
    ByInode(&'a Inodes),
    /// Its metadata are as they were when it was checked out.
    ByStat,
}

/// Compares one checkout with its tree.
pub(super) struct CheckoutComparison<'a> {
    pub(super) check: ObjectCheck<'a>,
    pub(super) id: ArtifactId,
    pub(super) stats: &'a Stats,
    /// How many files `stats` lacks, or has with another digest.
    pub(super) strange: usize,
    pub(super) whole: Whole<'a>,
    pub(super) problems: Vec<Problem>,
}

impl CheckoutComparison<'_> {
    pub(super) fn report(&mut self, fault: Fault, path: &Path, detail: impl Into<String>) {
        let problem = self.check.problem(fault, path, detail, Remedy::CheckOut(self.id));
        self.problems.push(problem);
    }

    pub(super) fn folder(
        &mut self,
        tree: &Digest,
        path: &Path,
        below: Option<&RelPath>,
    ) -> Result<(), Error> {
        let object = ObjectId::Tree(*tree);
        let file = self.check.store.layout.object(&object);
        if fs::lstat(&file)?.is_none() {
            let remedy = Remedy::Fetch(object);
            self.problems.push(self.check.problem(Fault::Missing, &file, object.to_string(), remedy));
            return Ok(());
        }
        let tree = match self.check.encoding(&ScannedFile { path: file, object: Some(object) })? {
            Ok((_, DecodedObject::Tree(tree))) => tree,
            Ok(_) => return Ok(()),
            Err(problem) => {
                self.problems.push(problem);
                return Ok(());
            }
        };
        match fs::lstat(path)? {
            None => self.report(Fault::Missing, path, "a folder of the artifact"),
            Some(metadata) if !metadata.is_dir() => self.report(Fault::Damaged, path, "it is not a folder"),
            Some(metadata) => {
                let mode = metadata.mode() & 0o7777;
                if mode != 0o555 {
                    self.report(Fault::Damaged, path, format!("its mode is {mode:04o}"));
                }
                // Into one that its owner may not enter nobody can look, and it is made anew as a whole.
                if mode & 0o500 == 0o500 {
                    self.entries(&tree, path, below)?;
                }
            }
        }
        Ok(())
    }

    fn entries(&mut self, tree: &Tree, path: &Path, below: Option<&RelPath>) -> Result<(), Error> {
        for entry in fs::entries(path)? {
            let name = entry.file_name();
            if name.to_str().is_none_or(|name| tree.get(name).is_none()) {
                self.report(Fault::Foreign, &entry.path(), "the artifact has no such file");
            }
        }
        for (name, node) in tree.iter() {
            let (path, relative) = (path.join(name), RelPath::below(below, name)?);
            match node {
                Node::Directory { digest } => self.folder(digest, &path, Some(&relative))?,
                Node::Symlink { target } => self.symlink(target, &path)?,
                Node::File { digest, size, mode } => {
                    self.file((digest, *size, *mode), &path, self.stats.file(&relative))?;
                }
            }
        }
        Ok(())
    }

    fn symlink(&mut self, target: &str, path: &Path) -> Result<(), Error> {
        match fs::lstat(path)? {
            None => self.report(Fault::Missing, path, "a symbolic link of the artifact"),
            Some(metadata) if !metadata.is_symlink() => {
                self.report(Fault::Damaged, path, "it is not a symbolic link");
            }
            Some(_) => {
                let found = batou_system::fs::read_link(path).map_err(Error::io("read the link", path))?;
                if found != Path::new(target) {
                    self.report(Fault::Damaged, path, format!("it points to {}", found.display()));
                }
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        (digest, size, mode): (&Digest, u64, Mode),
        path: &Path,
        recorded: Option<(Stat, Digest)>,
    ) -> Result<(), Error> {
        if recorded.is_none_or(|(_, then)| then != *digest) {
            self.strange += 1;
        }
        let Some(metadata) = fs::lstat(path)? else {
            self.report(Fault::Missing, path, "a file of the artifact");
            return Ok(());
        };
        if !metadata.is_file() {
            self.report(Fault::Damaged, path, "it is not a file");
            return Ok(());
        }
        let (stat, object) = (Stat::of(&metadata), ObjectId::Blob { digest: *digest, size, mode });
        if !stat.has_mode(mode) {
            self.report(Fault::Damaged, path, format!("its mode is {:04o}", stat.mode));
            return self.blob_of(object);
        }
        if !self.is_whole(&metadata, digest, recorded) {
            let content = hash(path)?;
            if content != *digest {
                self.report(Fault::Damaged, path, format!("its digest is {content}"));
                self.blob_of(object)?;
            }
        }
        Ok(())
    }

    fn is_whole(&self, metadata: &Metadata, digest: &Digest, recorded: Option<(Stat, Digest)>) -> bool {
        match self.whole {
            Whole::ByInode(inodes) => inodes.get(&(metadata.dev(), metadata.ino())) == Some(digest),
            Whole::ByStat => recorded == Some((Stat::of(metadata), *digest)),
        }
    }

    /// Checks the blob of a damaged file. It is usually damaged too, since they are one inode, and a new checkout
    /// would link to it again.
    fn blob_of(&mut self, object: ObjectId) -> Result<(), Error> {
        let ObjectId::Blob { digest, size, mode } = object else { return Ok(()) };
        let path = self.check.store.layout.object(&object);
        if fs::lstat(&path)?.is_none() {
            self.problems.extend(self.check.missing(&BTreeSet::from([object]))?);
        } else {
            let sizes = Sizes::from([((digest, mode), size)]);
            self.problems.extend(self.check.blob(&ScannedFile { path, object: Some(object) }, &sizes)?.err());
        }
        Ok(())
    }
}
