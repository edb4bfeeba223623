//! Publishing a batch: the order of writes, barriers and renames.
//!
//! 1. Checkouts are built from the temporary files; their stat records and the artifacts' records are written.
//! 2. Barrier: all content and all folders written so far.
//! 3. Blobs, trees (children first), checkouts and stat records are renamed into place. Barrier.
//! 4. Records are renamed into place, references first. Barrier.
//!
//! So in a host's store a record is present only when its checkout is complete, and a crash at any point leaves only
//! complete objects and temporary files. Two processes that publish the same artifact take turns (the lock
//! `publish`): the second finds the record in place and drops its own.
//!
//! A [`Durability::Cache`](crate::Durability::Cache) store has no barriers, and has checkouts only of the artifacts
//! that [`Store::check_out`] was called for.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::batch::Pending;
use crate::checkout::{Checkout, Vouched};
use crate::durable::FEW;
use crate::lock::Guard;
use crate::placing::StagedCheckout;
use crate::{Artifact, ArtifactId, Error, ObjectId, Store, fs};

/// The fewest checkouts that are worth handing to another thread.
const SHARE: usize = 4;

/// An artifact whose record is complete under a temporary name, and so is its checkout if it is to have one.
struct StagedArtifact {
    id: ArtifactId,
    record: PathBuf,
    checkout: Option<StagedCheckout>,
}

/// Makes visible what a batch wrote into its `folder`. Objects in `replacing` are published although the store has
/// them.
pub(crate) fn publish(
    store: &Store,
    folder: &Path,
    pending: &Pending,
    replacing: &HashSet<ObjectId>,
) -> Result<(), Error> {
    let staged = stage(store, folder, pending)?;
    // Content before names: a rename that reached the disk before its file's content would show a damaged object.
    if store.is_durable() {
        settle(store, pending, &staged)?;
    }
    // Children before parents; `tree_files` is in that order. Another process may publish the same blobs and trees
    // meanwhile: whoever comes second replaces a file by an equal one.
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
    // Unlike a blob, a checkout is not replaced by an equal one: programs may be reading it. Whoever comes second waits,
    // and then finds the record.
    let _turn = Guard::exclusive(&store.layout.folder("publish"), store.patience())?;
    let mut records = Vec::new();
    for artifact in &staged {
        let object = ObjectId::Artifact(artifact.id);
        if replacing.contains(&object) || !store.contains(&object)? {
            if let Some(checkout) = &artifact.checkout {
                checkout.place(&mut touched)?;
            }
            records.push(artifact);
        }
    }
    // A record promises that all of the above is there, so the disk must have all of the above first.
    store.barrier(&touched)?;
    touched.clear();
    for artifact in records {
        move_into_place(&artifact.record, &store.layout.record(&artifact.id), &mut touched)?;
    }
    store.barrier(&touched)
}

/// Writes the records and, in a host's store, builds the checkouts, in parallel.
fn stage(store: &Store, folder: &Path, pending: &Pending) -> Result<Vec<StagedArtifact>, Error> {
    let stage = |(index, (id, artifact)): (usize, &(ArtifactId, Artifact))| {
        let record = folder.join(format!("r{index}"));
        fs::write_new(&record, &artifact.encode(), 0o444, false)?;
        let checkout = store.is_durable().then(|| {
            let vouched = Vouched::of(store, &artifact.name)?;
            let source = Checkout { store, pending: Some(pending), vouched: &vouched };
            let stats = folder.join(format!("s{index}"));
            StagedCheckout::build(source, (id, &artifact.name), &artifact.tree, stats)
        });
        Ok(StagedArtifact { id: *id, record, checkout: checkout.transpose()? })
    };
    // A few checkouts are built faster than they are handed to other threads.
    pending.artifacts.par_iter().enumerate().with_min_len(SHARE).map(stage).collect()
}

/// Waits until everything written under temporary names is on the disk.
fn settle(store: &Store, pending: &Pending, staged: &[StagedArtifact]) -> Result<(), Error> {
    // Each artifact adds at least three: a record, a stat record and a folder.
    if pending.blobs.len() + pending.tree_files.len() + 3 * staged.len() > FEW {
        return store.sync_filesystems();
    }
    let blobs = pending.blobs.values().map(|blob| blob.path.clone());
    let trees = pending.tree_files.iter().map(|(_, path)| path.clone());
    let mut contents: BTreeSet<_> = blobs.chain(trees).collect();
    for artifact in staged {
        contents.insert(artifact.record.clone());
        artifact.checkout.iter().for_each(|checkout| contents.extend(checkout.contents()));
    }
    store.barrier(&contents)
}

/// Renames a file to its final name, and adds its new folder to `touched` for the next barrier.
pub(crate) fn move_into_place(from: &Path, to: &Path, touched: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    match std::fs::rename(from, to) {
        // No object is a folder, so this one is none of the store's.
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            fs::remove_tree(to)?;
            std::fs::rename(from, to)
        }
        renamed => renamed,
    }
    .map_err(Error::io("move into place", to))?;
    let folder = fs::parent(to);
    if !touched.contains(folder) {
        touched.insert(folder.to_owned());
    }
    Ok(())
}
