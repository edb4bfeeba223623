//! Moving a finished checkout into place.
//!
//! A checkout is built beside the others, under a temporary name. So it is on their filesystem, which may not be the
//! store's, and the rename into place stays within one folder: a read-only folder cannot be moved to another one.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use batou_system::{fs as system, thread};

use crate::checkout::{Checkout, Vouched};
use crate::durable::move_into_place;
use crate::lock::Guard;
use crate::{ArtifactId, Digest, Error, Name, Store, fs};

/// A complete checkout under a temporary name, and its stat record. The checkout is removed when this is dropped.
pub(crate) struct StagedCheckout {
    path: PathBuf,
    target: PathBuf,
    stats: PathBuf,
    stats_target: PathBuf,
}

impl StagedCheckout {
    /// Builds it, and writes the stat record to `stats`.
    pub(crate) fn build(
        source: Checkout<'_>,
        (id, name): (&ArtifactId, &Name),
        tree: &Digest,
        stats: PathBuf,
    ) -> Result<Self, Error> {
        let layout = &source.store.layout;
        let staged = Self {
            path: layout.folder("artifacts").join(fs::unique(".batou-")),
            target: layout.checkout(id, name),
            stats,
            stats_target: layout.stats(id, name),
        };
        let files = source.stage(tree, &staged.path)?;
        fs::write_new(&staged.stats, &files.encode(), 0o444, false)?;
        Ok(staged)
    }

    /// Its files and folders, and the stat record.
    pub(crate) fn contents(&self) -> Result<impl Iterator<Item = PathBuf>, Error> {
        let walk = system::walk(&self.path).map_err(Error::io("list", &self.path))?;
        let entries = walk.into_iter().filter(|(_, kind)| !kind.is_symlink()).map(|(path, _)| path);
        Ok(entries.chain([self.stats.clone()]))
    }

    /// Renames it into place. A checkout that is already there, because it is damaged or a commit was interrupted, is
    /// exchanged for it, so that a reader always finds one or the other.
    pub(crate) fn place(&self, touched: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
        if fs::lstat(&self.target)?.is_some_and(|old| old.is_dir()) {
            self.exchange()?;
        } else {
            fs::remove_tree(&self.target)?;
            system::rename(&self.path, &self.target).map_err(Error::io("move into place", &self.target))?;
        }
        touched.insert(fs::parent(&self.target).to_owned());
        move_into_place(&self.stats, &self.stats_target, touched)
    }

    /// Exchanges the names of the old and the new folder; in several steps if the filesystem cannot do it in one.
    fn exchange(&self) -> Result<(), Error> {
        match system::exchange(&self.path, &self.target) {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                let aside = fs::parent(&self.path).join(fs::unique(".batou-"));
                let moved = system::rename(&self.target, &aside)
                    .and_then(|()| system::rename(&self.path, &self.target))
                    .and_then(|()| system::rename(&aside, &self.path));
                moved.map_err(Error::io("move into place", &self.target))
            }
            exchanged => exchanged.map_err(Error::io("move into place", &self.target)),
        }
    }
}

impl Drop for StagedCheckout {
    /// Removes the checkout if it was not placed, and otherwise the one that it replaced.
    fn drop(&mut self) {
        // Whatever cannot be removed now is removed when the store is next opened.
        let _ = fs::remove_tree(&self.path);
    }
}

impl Store {
    /// Checks out those of the artifacts, all of which must be present, that are not checked out yet, and again those
    /// whose files are not as they were checked out, which are returned. If there is nothing to do, nothing is written.
    pub fn check_out(&self, artifacts: &[(ArtifactId, &Name)]) -> Result<Vec<ArtifactId>, Error> {
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        let stage = |(id, name): &(ArtifactId, &Name)| {
            // Most look as they were made: only of others need trees and files be read.
            if self.look_at(id, name)?.is_empty() {
                return Ok::<_, Error>(None);
            }
            let known = fs::lstat(&self.layout.stats(id, name))?.is_some_and(|found| found.is_file());
            if known && self.verify_artifacts(&[*id])?.is_empty() {
                return Ok(None);
            }
            Ok(Some((known.then_some(*id), self.stage_checkout(id)?)))
        };
        let (known, staged): (Vec<_>, Vec<_>) =
            thread::each(artifacts, 1, stage)?.into_iter().flatten().unzip();
        self.place_checkouts(&staged)?;
        Ok(known.into_iter().flatten().collect())
    }

    /// Replaces an artifact's checkout. What it links to must be known to be whole, see [`Store::unsound`].
    pub fn check_out_anew(&self, id: &ArtifactId) -> Result<(), Error> {
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        self.place_checkouts(&[self.stage_checkout(id)?])
    }

    fn stage_checkout(&self, id: &ArtifactId) -> Result<StagedCheckout, Error> {
        let artifact = self.artifact(id)?;
        let stats = self.layout.folder("tmp").join(fs::unique("stats-"));
        let vouched = Vouched::of(self, &artifact.name)?;
        let source = Checkout { store: self, pending: None, vouched: &vouched };
        fs::create_directories(&self.layout.folder("artifacts"))?;
        StagedCheckout::build(source, (id, &artifact.name), &artifact.tree, stats)
    }

    fn place_checkouts(&self, staged: &[StagedCheckout]) -> Result<(), Error> {
        if staged.is_empty() {
            return Ok(());
        }
        if self.is_durable() {
            let mut contents = BTreeSet::new();
            for checkout in staged {
                contents.extend(checkout.contents()?);
            }
            self.barrier(&contents)?;
        }
        let _turn = Guard::exclusive(&self.layout.folder("publish"), self.patience())?;
        let mut touched = BTreeSet::new();
        staged.iter().try_for_each(|checkout| checkout.place(&mut touched))?;
        self.barrier(&touched)
    }
}
