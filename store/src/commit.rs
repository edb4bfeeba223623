//! Publishing a batch: the order of writes, barriers and renames.
//!
//! 1. Checkouts are built in `tmp/` from the temporary files, with their stat records and the records.
//! 2. Barrier: all contents and the folders built so far.
//! 3. Blobs, trees (children first), checkouts and stat records are renamed into place. Barrier.
//! 4. Records are renamed into place, references first. Barrier.
//!
//! So a record is present only when its checkout is complete, and after a crash at any point there are only
//! whole objects and temporary files. Two processes that publish the same artifact take turns (the lock
//! `publish`): the second finds the record there and drops its own.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::batch::Pending;
use crate::checkout::Checkout;
use crate::durable::device;
use crate::lock::Guard;
use crate::{Artifact, ArtifactId, Error, ObjectId, Store, fs, stats};

/// How many checkouts are worth a thread.
const FEW: usize = 4;

/// An artifact whose checkout, stat record and record are complete under temporary names.
struct StagedArtifact<'a> {
    id: ArtifactId,
    artifact: &'a Artifact,
    checkout: PathBuf,
    stats: PathBuf,
    record: PathBuf,
}

/// Makes what a batch wrote visible; `folder` is the batch's own.
/// What is in `replacing` is published although it is there already.
pub(crate) fn publish(
    store: &Store,
    folder: &Path,
    pending: &Pending,
    replacing: &HashSet<ObjectId>,
) -> Result<(), Error> {
    let staged = stage(store, folder, pending)?;
    let published = rename_all(store, folder, pending, (&staged, replacing));
    // Below `folder` the batch cleans up; beside the checkouts only what was not renamed is left.
    staged
        .iter()
        .filter(|s| !s.checkout.starts_with(folder))
        .try_for_each(|s| fs::remove_tree(&s.checkout))?;
    published
}

fn rename_all(
    store: &Store,
    folder: &Path,
    pending: &Pending,
    (staged, replacing): (&[StagedArtifact], &HashSet<ObjectId>),
) -> Result<(), Error> {
    if store.is_durable() {
        store.barrier(&contents(pending, staged))?;
    }
    let mut touched = BTreeSet::new();
    for ((digest, mode), blob) in &pending.blobs {
        move_into_place(&blob.path, &store.layout.blob(digest, *mode), &mut touched)?;
    }
    for (digest, path) in &pending.tree_files {
        move_into_place(path, &store.layout.tree(digest), &mut touched)?;
    }
    if staged.is_empty() {
        return store.barrier(&touched);
    }
    let _turn = Guard::exclusive(&store.layout.folder("publish"))?;
    let mut records = Vec::new();
    for artifact in staged {
        let object = ObjectId::Artifact(artifact.id);
        if replacing.contains(&object) || !store.contains(&object)? {
            place_checkout(store, folder, artifact, &mut touched)?;
            records.push(artifact);
        }
    }
    store.barrier(&touched)?;
    touched.clear();
    for artifact in records {
        move_into_place(&artifact.record, &store.layout.record(&artifact.id), &mut touched)?;
    }
    store.barrier(&touched)
}

/// Builds the checkouts in parallel.
fn stage<'a>(store: &Store, folder: &Path, pending: &'a Pending) -> Result<Vec<StagedArtifact<'a>>, Error> {
    if pending.artifacts.is_empty() {
        return Ok(Vec::new());
    }
    // A rename cannot cross filesystems, so where checkouts have their own they are built beside the others.
    let artifacts = store.layout.folder("artifacts");
    let beside = device(&artifacts)? != device(folder)?;
    let build = |(index, (id, artifact)): (usize, &'a (ArtifactId, Artifact))| {
        let checkout =
            if beside { artifacts.join(fs::unique(".batou-")) } else { folder.join(format!("c{index}")) };
        let (stats, record) = (folder.join(format!("s{index}")), folder.join(format!("r{index}")));
        let files = Checkout { store, pending: Some(pending) }.stage(&artifact.tree, &checkout)?;
        fs::write_new(&stats, &stats::seal(&files), 0o444, false)?;
        fs::write_new(&record, &artifact.encode(), 0o444, false)?;
        Ok(StagedArtifact { id: *id, artifact, checkout, stats, record })
    };
    // A few are built sooner by this thread than handed over to others.
    pending.artifacts.par_iter().enumerate().with_min_len(FEW).map(build).collect()
}

/// Every file and folder that holds something new.
fn contents(pending: &Pending, staged: &[StagedArtifact]) -> BTreeSet<PathBuf> {
    let blobs = pending.blobs.values().map(|blob| blob.path.clone());
    let trees = pending.tree_files.iter().map(|(_, path)| path.clone());
    let mut contents: BTreeSet<_> = blobs.chain(trees).collect();
    for artifact in staged {
        contents.extend([artifact.stats.clone(), artifact.record.clone()]);
        let walk = walkdir::WalkDir::new(&artifact.checkout).into_iter().filter_map(Result::ok);
        contents.extend(walk.filter(|e| !e.file_type().is_symlink()).map(walkdir::DirEntry::into_path));
    }
    contents
}

/// Renames a complete checkout into place. What is there already, left by an interrupted commit or damaged,
/// changes places with it, so that a reader finds one or the other.
fn place_checkout(
    store: &Store,
    folder: &Path,
    staged: &StagedArtifact,
    touched: &mut BTreeSet<PathBuf>,
) -> Result<(), Error> {
    let target = store.artifact_path(&staged.id, &staged.artifact.name);
    if fs::lstat(&target)?.is_some_and(|old| old.is_dir()) {
        // Only who may write to a folder may move it to another parent.
        fs::set_mode(&target, 0o755)?;
        exchange(&staged.checkout, &target, folder)?;
    } else {
        fs::remove_tree(&target)?;
        std::fs::rename(&staged.checkout, &target).map_err(Error::io("move into place", &target))?;
    }
    fs::set_mode(&target, 0o555)?;
    move_into_place(&staged.stats, &store.layout.stats(&staged.id, staged.artifact), touched)?;
    touched.extend([store.layout.folder("artifacts"), target]);
    Ok(())
}

/// Lets two folders change names; in two steps where the filesystem cannot do it in one.
fn exchange(new: &Path, target: &Path, folder: &Path) -> Result<(), Error> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = folder.join(fs::unique("old-"));
            let moved = std::fs::rename(target, aside).and_then(|()| std::fs::rename(new, target));
            moved.map_err(Error::io("move into place", target))
        }
        exchanged => exchanged.map_err(|error| Error::io("move into place", target)(error.into())),
    }
}

/// Renames a file to its final name, and notes the folders whose names change.
pub(crate) fn move_into_place(from: &Path, to: &Path, touched: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    let folder = fs::parent(to);
    if let Err(error) = std::fs::rename(from, to) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(Error::Io { action: "move into place", path: to.to_owned(), source: error });
        }
        fs::create_directories(folder)?;
        touched.insert(fs::parent(folder).to_owned());
        std::fs::rename(from, to).map_err(Error::io("move into place", to))?;
    }
    if !touched.contains(folder) {
        touched.insert(folder.to_owned());
    }
    Ok(())
}
