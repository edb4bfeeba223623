//! Repairing what `verify` found, with objects from another store.

use std::collections::{BTreeSet, HashSet};

use crate::copy::lacking_objects;
use crate::layout::StoreLayout;
use crate::{ArtifactId, Depot, Error, ObjectId, Problem, Remedy, Silent, Store, fs};

impl Store {
    /// Repairs problems as far as possible: fetches objects from another depot, checks artifacts out again, and
    /// removes foreign files from the store's folders. Returns the problems that remain.
    ///
    /// A damaged object is replaced only once its replacement has arrived and been checked.
    pub fn repair(&self, problems: &[Problem], from: &mut dyn Depot) -> Result<Vec<Problem>, Error> {
        let mut wanted = BTreeSet::new();
        let mut checkouts = BTreeSet::new();
        for problem in problems {
            match problem.remedy {
                Remedy::Fetch(object) => drop(wanted.insert(object)),
                Remedy::CheckOut(id) => drop(checkouts.insert(id)),
                Remedy::Remove => fs::remove_tree(&self.root().join(&problem.path))?,
                Remedy::Format => {
                    let path = self.layout.folder("format");
                    let text = StoreLayout::format_text();
                    fs::atomic_write(&path, text.as_bytes(), fs::PUBLIC, self.is_durable())?;
                }
                Remedy::Look => {}
            }
        }
        self.fetch_anew(&wanted.into_iter().collect::<Vec<_>>(), from)?;
        for id in checkouts {
            self.mend_checkout(&id)?;
        }
        self.verify(&Silent)
    }

    /// Fetches damaged or missing objects, and those missing objects that they need.
    fn fetch_anew(&self, wanted: &[ObjectId], from: &mut dyn Depot) -> Result<(), Error> {
        let unknown: HashSet<_> = from.missing(wanted)?.into_iter().collect();
        let known: Vec<_> = wanted.iter().copied().filter(|object| !unknown.contains(object)).collect();
        if known.is_empty() {
            return Ok(());
        }
        let batch = self.batch_replacing(known.iter().copied().collect())?;
        let mut missing = |objects: &[ObjectId]| {
            let mut missing = Vec::new();
            for object in objects {
                if !batch.has(object)? {
                    missing.push(*object);
                }
            }
            Ok(missing)
        };
        let objects = lacking_objects(from, &mut missing, &known)?;
        from.get(&objects, &mut |object, bytes| batch.receive(object, bytes))?;
        batch.commit()
    }

    /// Replaces an artifact's checkout. If something it needs is still missing or damaged, the checkout stays as it
    /// is.
    fn mend_checkout(&self, id: &ArtifactId) -> Result<(), Error> {
        match self.check_out_anew(id) {
            Err(Error::Missing(_) | Error::Damaged { .. }) => Ok(()),
            checked_out => checked_out,
        }
    }
}
