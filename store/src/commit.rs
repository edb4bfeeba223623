//! Publishing a batch: the order of writes, barriers and renames.
//!
//! 1. Checkouts are built from the temporary files, and their stat records and the records are written.
//! 2. Barrier: all contents and the folders built so far.
//! 3. Blobs, trees (children first), checkouts and stat records are renamed into place. Barrier.
//! 4. Records are renamed into place, references first. Barrier.
//!
//! So in a host's store a record is present only when its checkout is complete, and after a crash at any point
//! there are only whole objects and temporary files. Two processes that publish the same artifact take turns (the
//! lock `publish`): the second finds the record there and drops its own.
//!
//! A [`Durability::Cache`](crate::Durability::Cache) store has no barriers, and checkouts only where
//! [`Store::check_out`] is asked for them.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::batch::Pending;
use crate::checkout::Checkout;
use crate::durable::FEW;
use crate::lock::Guard;
use crate::placing::StagedCheckout;
use crate::{Artifact, ArtifactId, Error, ObjectId, Store, fs};

/// How many checkouts are worth a thread.
const SHARE: usize = 4;

/// An artifact whose record and, where it is to have one, checkout are complete under temporary names.
struct StagedArtifact {
    id: ArtifactId,
    record: PathBuf,
    checkout: Option<StagedCheckout>,
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
    if store.is_durable() {
        settle(store, pending, &staged)?;
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
    for artifact in &staged {
        let object = ObjectId::Artifact(artifact.id);
        if replacing.contains(&object) || !store.contains(&object)? {
            if let Some(checkout) = &artifact.checkout {
                checkout.place(&mut touched)?;
            }
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

/// Writes the records and, for a host, builds the checkouts, in parallel.
fn stage(store: &Store, folder: &Path, pending: &Pending) -> Result<Vec<StagedArtifact>, Error> {
    let stage = |(index, (id, artifact)): (usize, &(ArtifactId, Artifact))| {
        let record = folder.join(format!("r{index}"));
        fs::write_new(&record, &artifact.encode(), 0o444, false)?;
        let checkout = store.is_durable().then(|| {
            let source = Checkout { store, pending: Some(pending) };
            let stats = folder.join(format!("s{index}"));
            StagedCheckout::build(source, (id, &artifact.name), &artifact.tree, stats)
        });
        Ok(StagedArtifact { id: *id, record, checkout: checkout.transpose()? })
    };
    // A few are built sooner by this thread than handed over to others.
    pending.artifacts.par_iter().enumerate().with_min_len(SHARE).map(stage).collect()
}

/// Waits until everything that is written under temporary names is on the disk.
fn settle(store: &Store, pending: &Pending, staged: &[StagedArtifact]) -> Result<(), Error> {
    // Each artifact has a record, a stat record and a folder.
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

/// Renames a file to its final name, and notes the folder whose names change.
pub(crate) fn move_into_place(from: &Path, to: &Path, touched: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(Error::io("move into place", to))?;
    let folder = fs::parent(to);
    if !touched.contains(folder) {
        touched.insert(folder.to_owned());
    }
    Ok(())
}
