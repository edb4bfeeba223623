//! Verification: finding everything in a store that is damaged, missing or foreign.
//!
//! [`Store::verify`] reads every byte once. [`Store::verify_artifacts`] is what a switch does: it compares the
//! files of a few artifacts with what was recorded when they were checked out, and hashes those that differ. A look at them
//! ([`Store::look`]) hashes none.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rayon::prelude::*;

use self::checkout::{CheckoutComparison, Whole};
use crate::damage::hash;
use crate::layout::{FILES, FOLDERS, StoreLayout};
use crate::lock::Guard;
use crate::object::MAX_ENCODING;
use crate::scan::{ObjectKind, ScannedFile};
use crate::stats::{self, Stat, Stats};
use crate::{
    Artifact, ArtifactId, Digest, Error, Fault, Mode, Monitor, Node, ObjectId, Phase, Problem, Remedy, Store,
    Tree, directory_name, fs,
};

mod checkout;

/// Undamaged blobs, by device and inode.
type Inodes = HashMap<Inode, Digest>;
/// Device and inode.
type Inode = (u64, u64);
/// What was checked, if it is undamaged, or what is wrong with it. An error ends the whole verification.
type CheckResult<T> = Result<Result<T, Problem>, Error>;
/// The sizes of blobs, as trees give them.
type Sizes = HashMap<(Digest, Mode), u64>;

impl Store {
    /// Checks everything in the store. Waits while gc is running; others may write meanwhile.
    pub fn verify(&self, monitor: &dyn Monitor) -> Result<Vec<Problem>, Error> {
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        let (blobs, trees, records) =
            (self.scan(ObjectKind::Blob)?, self.scan(ObjectKind::Tree)?, self.scan(ObjectKind::Record)?);
        monitor.begin(Phase::Verifying, (blobs.len() + trees.len() + records.len()) as u64, 0);
        let check = Verifier { store: self, monitor };
        let mut problems = check.top()?;

        let trees = collect(&trees, |found| check.tree(found), &mut problems)?;
        let sizes: Sizes = trees.iter().flat_map(sizes).collect();
        let inodes: Inodes =
            collect(&blobs, |found| check.blob(found, &sizes), &mut problems)?.into_iter().collect();
        let records = collect(&records, |found| check.record(found), &mut problems)?;

        let below = trees.iter().flat_map(|tree| ObjectId::below_tree(tree).collect::<Vec<_>>());
        let below = below.chain(
            records.iter().flat_map(|(_, record)| ObjectId::below_artifact(record).collect::<Vec<_>>()),
        );
        problems.extend(check.missing(&below.collect())?);
        let checkouts: Result<Vec<_>, Error> = records
            .par_iter()
            .map(|(id, record)| check.checkout(id, record, Whole::ByInode(&inodes)))
            .collect();
        problems.extend(checkouts?.into_iter().flatten());
        problems.extend(check.strangers()?);
        problems.extend(check.roots()?);
        problems.sort();
        problems.dedup();
        Ok(problems)
    }

    /// Checks that artifacts are complete and undamaged. Only files whose metadata have changed since they were
    /// checked out are read.
    pub fn verify_artifacts(&self, ids: &[ArtifactId]) -> Result<Vec<Problem>, Error> {
        let check = Verifier { store: self, monitor: &crate::Silent };
        let problems: Result<Vec<_>, Error> = ids.par_iter().map(|id| check.artifact(id)).collect();
        let mut problems: Vec<_> = problems?.into_iter().flatten().collect();
        problems.sort();
        problems.dedup();
        Ok(problems)
    }
}

/// Checks files in parallel. What is undamaged is returned; the rest is added to `problems`.
fn collect<T: Send>(
    found: &[ScannedFile],
    check: impl Fn(&ScannedFile) -> CheckResult<T> + Sync + Send,
    problems: &mut Vec<Problem>,
) -> Result<Vec<T>, Error> {
    let mut whole = Vec::new();
    for result in found.par_iter().map(check).collect::<Result<Vec<_>, _>>()? {
        match result {
            Ok(value) => whole.push(value),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(whole)
}

fn sizes(tree: &Tree) -> Vec<((Digest, Mode), u64)> {
    let files = tree.iter().filter_map(|(_, node)| match node {
        Node::File { digest, size, mode } => Some(((*digest, *mode), *size)),
        _ => None,
    });
    files.collect()
}

#[derive(Clone, Copy)]
struct Verifier<'a> {
    store: &'a Store,
    monitor: &'a dyn Monitor,
}

impl Verifier<'_> {
    fn problem(&self, fault: Fault, path: &Path, detail: impl Into<String>, remedy: Remedy) -> Problem {
        self.store.problem(fault, path, detail, remedy)
    }

    fn foreign(&self, path: &Path) -> Problem {
        self.problem(Fault::Foreign, path, "it is not named like anything the store makes", Remedy::Remove)
    }

    /// Checks the format file, and what is beside the store's folders.
    fn top(&self) -> Result<Vec<Problem>, Error> {
        let layout = &self.store.layout;
        let mut problems = Vec::new();
        let format = layout.folder("format");
        match fs::read_limited(&format, 4096) {
            Ok(Some(text)) if text == StoreLayout::format_text().as_bytes() => {}
            Ok(None) => {
                problems.push(self.problem(Fault::Missing, &format, "the format file", Remedy::Format));
            }
            Ok(Some(_)) | Err(Error::TooLarge { .. }) => {
                problems.push(self.problem(Fault::Damaged, &format, "it names no version", Remedy::Format));
            }
            Err(error) => return Err(error),
        }
        for name in FOLDERS {
            if !fs::lstat(&layout.folder(name))?.is_some_and(|m| m.is_dir() || m.is_symlink()) {
                let path = layout.folder(name);
                problems.push(self.problem(Fault::Missing, &path, "a folder of the store", Remedy::Look));
            }
        }
        for entry in fs::entries(layout.root())? {
            let name = entry.file_name();
            if !FOLDERS.iter().chain(&FILES).any(|ours| name == *ours) && !fs::is_temporary(&name) {
                problems.push(Problem { remedy: Remedy::Look, ..self.foreign(&entry.path()) });
            }
        }
        Ok(problems)
    }

    /// Checks that a blob is a file with the mode and the digest in its name.
    fn blob(&self, found: &ScannedFile, sizes: &Sizes) -> CheckResult<(Inode, Digest)> {
        let Some(ObjectId::Blob { digest, mode, .. }) = found.object else {
            return Ok(Err(self.foreign(&found.path)));
        };
        // A blob that no tree needs cannot be fetched, as its size is not known; but then it is not needed either.
        let size = sizes.get(&(digest, mode));
        let remedy =
            size.map_or(Remedy::Remove, |size| Remedy::Fetch(ObjectId::Blob { digest, size: *size, mode }));
        let damaged = |detail: String| Ok(Err(self.problem(Fault::Damaged, &found.path, detail, remedy)));
        let Some(metadata) = fs::lstat(&found.path)?.filter(Metadata::is_file) else {
            return damaged("it is not a file".to_owned());
        };
        if !Stat::of(&metadata).has_mode(mode) {
            return damaged(format!("its mode is {:04o}", metadata.mode() & 0o7777));
        }
        let content = hash(&found.path)?;
        self.monitor.advance(1, metadata.size());
        if content != digest {
            return damaged(format!("its digest is {content}"));
        }
        Ok(Ok(((metadata.dev(), metadata.ino()), digest)))
    }

    fn tree(&self, found: &ScannedFile) -> CheckResult<Tree> {
        let Some(ObjectId::Tree(digest)) = found.object else { return Ok(Err(self.foreign(&found.path))) };
        self.monitor.advance(1, 0);
        self.encoding(found, || self.store.tree(&digest))
    }

    fn record(&self, found: &ScannedFile) -> CheckResult<(ArtifactId, Artifact)> {
        let Some(ObjectId::Artifact(id)) = found.object else { return Ok(Err(self.foreign(&found.path))) };
        self.monitor.advance(1, 0);
        Ok(self.encoding(found, || self.store.artifact(&id))?.map(|record| (id, record)))
    }

    fn encoding<T>(&self, found: &ScannedFile, read: impl Fn() -> Result<T, Error>) -> CheckResult<T> {
        let remedy = found.object.map_or(Remedy::Remove, Remedy::Fetch);
        let damaged = |detail: String| Ok(Err(self.problem(Fault::Damaged, &found.path, detail, remedy)));
        match fs::lstat(&found.path)? {
            Some(metadata) if !metadata.is_file() => return damaged("it is not a file".to_owned()),
            Some(metadata) if metadata.size() > MAX_ENCODING => return damaged("it is too large".to_owned()),
            _ => {}
        }
        match read() {
            Ok(value) => Ok(Ok(value)),
            Err(Error::Damaged { fault, .. }) => damaged(fault),
            Err(Error::Encoding { source, .. }) => damaged(source.to_string()),
            Err(Error::Missing(_)) => {
                Ok(Err(self.problem(Fault::Missing, &found.path, "it disappeared during the check", remedy)))
            }
            Err(error) => Err(error),
        }
    }

    /// The objects that trees and records need and that are not there. A truncated file is not missing: it is found
    /// as damaged.
    fn missing(&self, needed: &HashSet<ObjectId>) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        for object in needed {
            let path = self.store.layout.object(object);
            if fs::lstat(&path)?.is_none() {
                problems.push(self.problem(
                    Fault::Missing,
                    &path,
                    object.to_string(),
                    Remedy::Fetch(*object),
                ));
            }
        }
        Ok(problems)
    }

    /// Checks one artifact, from its record, for a switch.
    fn artifact(&self, id: &ArtifactId) -> Result<Vec<Problem>, Error> {
        let object = ObjectId::Artifact(*id);
        let found = ScannedFile { path: self.store.layout.record(id), object: Some(object) };
        if fs::lstat(&found.path)?.is_none() {
            let remedy = Remedy::Fetch(object);
            return Ok(vec![self.problem(Fault::Missing, &found.path, object.to_string(), remedy)]);
        }
        match self.record(&found)? {
            Ok((id, record)) => self.checkout(&id, &record, Whole::ByStat),
            Err(problem) => Ok(vec![problem]),
        }
    }

    /// Checks the checkout of an artifact and its stat record.
    fn checkout(&self, id: &ArtifactId, record: &Artifact, whole: Whole) -> Result<Vec<Problem>, Error> {
        let path = self.store.layout.stats(id, &record.name);
        let stats = stats::read(&path)?.and_then(|bytes| Stats::decode(&bytes));
        let folder = self.store.artifact_path(id, &record.name);
        let unused = stats.is_none() && fs::lstat(&path)?.is_none() && fs::lstat(&folder)?.is_none();
        if unused && !self.store.is_durable() {
            return Ok(Vec::new()); // its trees and files are checked as objects
        }
        let mut problems = Vec::new();
        if stats.is_none() {
            let detail = "the stat record is missing or damaged";
            problems.push(self.problem(Fault::Damaged, &path, detail, Remedy::CheckOut(*id)));
        }
        let stats = stats.unwrap_or_default();
        let mut checkout =
            CheckoutComparison { check: self, id: *id, stats: &stats, strange: 0, whole, problems };
        checkout.folder(&record.tree, &folder, None)?;
        if checkout.strange > 0 && !stats.is_empty() {
            checkout.report(Fault::Damaged, &path, "it is the stat record of other files");
        }
        Ok(checkout.problems)
    }

    /// Finds checkouts and stat records whose artifact has no record. A commit renames the checkout first and the
    /// record last, so nobody may publish meanwhile.
    fn strangers(&self) -> Result<Vec<Problem>, Error> {
        let _turn = Guard::exclusive(&self.store.layout.folder("publish"), self.store.patience())?;
        let mut known = HashSet::new();
        for found in self.store.scan(ObjectKind::Record)? {
            // The name in a damaged record cannot be read, so its checkout is known by the digits alone.
            if let Some(ObjectId::Artifact(id)) = found.object {
                let name = self.store.artifact(&id).map(|record| directory_name(&id, &record.name));
                known.insert(name.unwrap_or_else(|_| format!("{id:.40}")));
            }
        }
        let mut problems = Vec::new();
        for folder in ["artifacts", "stats"] {
            for entry in fs::entries(&self.store.layout.folder(folder))? {
                let name = entry.file_name();
                let text = name.to_string_lossy();
                let digits = text.get(..40).unwrap_or_default();
                if !known.contains(&*text) && !known.contains(digits) && !fs::is_temporary(&name) {
                    problems.push(self.foreign(&entry.path()));
                }
            }
        }
        Ok(problems)
    }

    /// Checks that root files are undamaged, and that what they keep is there.
    fn roots(&self) -> Result<Vec<Problem>, Error> {
        let mut problems = Vec::new();
        for (path, root) in self.store.root_files()? {
            let Some(root) = root else {
                let detail = "it is not what was written";
                problems.push(self.problem(Fault::Damaged, &path, detail, Remedy::Look));
                continue;
            };
            let objects = root.artifacts.iter().map(|id| ObjectId::Artifact(*id)).collect();
            problems.extend(self.missing(&objects)?);
        }
        Ok(problems)
    }
}
