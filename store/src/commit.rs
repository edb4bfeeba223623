//! Publishing a batch: the order of writes, barriers and renames.
//!
//! 1. Checkouts are built from the temporary files, and their stat records are written.
//! 2. Barrier: all content and all folders written so far, and a mark that names are about to change ([`Mark`]).
//! 3. Blobs, trees (children first; so would be any other kind), checkouts and stat records are renamed into place. Barrier.
//! 4. Records are renamed into place, references first. Barrier.
//!
//! 5. The mark is removed.
//!
//! So in a host's store a record is present only when its checkout is complete, and a crash at any point leaves only
//! complete objects and temporary files. After a power cut that holds once the store was opened: the mark tells that there
//! may be objects that lack a child. Two processes that publish the same artifact take turns (the lock
//! `publish`): the second finds the record in place and drops its own.
//!
//! A [`Durability::Cache`](crate::Durability::Cache) store has no barriers, and has checkouts only of the artifacts
//! that [`Store::check_out`] was called for.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use batou_system::thread;

use crate::checkout::{Checkout, Vouched};
use crate::durable::{FEW, move_into_place};
use crate::lock::Guard;
use crate::mark::Mark;
use crate::pending::Pending;
use crate::placing::StagedCheckout;
use crate::{Artifact, ArtifactId, Error, ObjectId, ObjectKind, Store};

/// The fewest checkouts that are worth handing to another thread.
const SHARE: usize = 4;

/// An artifact whose record is complete under a temporary name, and so is its checkout if it is to have one.
struct StagedArtifact<'p> {
    id: ArtifactId,
    record: &'p Path,
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
    let mark = Mark::make(store)?;
    // Content before names: a rename that reached the disk before its file's content would show a damaged object.
    if store.is_durable() {
        settle(store, pending, &staged)?;
    }
    // Children before parents; `files` is in that order. Another process may publish the same objects meanwhile: whoever
    // comes second replaces a file by an equal one.
    let mut touched = BTreeSet::new();
    for ((digest, mode), blob) in &pending.blobs {
        move_into_place(&blob.path, &store.layout.blob(digest, *mode), &mut touched)?;
    }
    for (object, path) in pending.files.iter().filter(|(object, _)| object.kind() != ObjectKind::Artifact) {
        move_into_place(path, &store.layout.object(object), &mut touched)?;
    }
    if staged.is_empty() {
        store.barrier(&touched)?;
        return mark.remove();
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
            records.push((object, artifact.record));
        }
    }
    // A record promises that all of the above is there, so the disk must have all of the above first.
    store.barrier(&touched)?;
    touched.clear();
    for (object, record) in records {
        move_into_place(record, &store.layout.object(&object), &mut touched)?;
    }
    store.barrier(&touched)?;
    mark.remove()
}

/// Builds the checkouts of the artifacts in a host's store, in parallel.
fn stage<'p>(store: &Store, folder: &Path, pending: &'p Pending) -> Result<Vec<StagedArtifact<'p>>, Error> {
    let artifacts: Vec<_> = pending.artifacts().enumerate().collect();
    let stage = |(index, (id, artifact, record)): &(usize, (ArtifactId, &Artifact, &'p Path))| {
        let checkout = store.is_durable().then(|| {
            let vouched = Vouched::of(store, &artifact.name)?;
            let source = Checkout { store, pending: Some(pending), vouched: &vouched };
            let stats = folder.join(format!("s{index}"));
            StagedCheckout::build(source, (id, &artifact.name), &artifact.tree, stats)
        });
        Ok(StagedArtifact { id: *id, record, checkout: checkout.transpose()? })
    };
    // A few checkouts are built faster than they are handed to other threads.
    thread::each(&artifacts, SHARE, stage)
}

/// Waits until everything written under temporary names is on the disk.
fn settle(store: &Store, pending: &Pending, staged: &[StagedArtifact]) -> Result<(), Error> {
    // Each artifact's checkout adds at least two: a stat record and a folder.
    if pending.blobs.len() + pending.files.len() + 2 * staged.len() > FEW {
        return store.sync_filesystems();
    }
    let blobs = pending.blobs.values().map(|blob| blob.path.clone());
    let others = pending.files.iter().map(|(_, path)| path.clone());
    // The mark's name is in `tmp`.
    let mut contents: BTreeSet<_> = blobs.chain(others).chain([store.layout.folder("tmp")]).collect();
    for artifact in staged {
        if let Some(checkout) = &artifact.checkout {
            contents.extend(checkout.contents()?);
        }
    }
    store.barrier(&contents)
}
