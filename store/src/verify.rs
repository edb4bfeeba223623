//! Verification: finding everything in a store that is damaged, missing or foreign.
//!
//! [`Store::verify`] reads every byte once. [`Store::verify_artifacts`] is what a switch does: it compares the
//! files of a few artifacts with what was recorded when they were checked out, and hashes those that differ. A look at them
//! ([`Store::look`]) hashes none.

use std::collections::{BTreeSet, HashSet};

use batou_system::thread;

use self::checkout::{CheckoutComparison, Whole};
use self::object::{CheckResult, Inodes, ObjectCheck, Sizes};
use crate::layout::{self, StoreLayout};
use crate::lock::Guard;
use crate::object::DecodedObject;
use crate::scan::ScannedFile;
use crate::stats::{self, Stats};
use crate::{
    Artifact, ArtifactId, Digest, Error, Fault, Mode, Monitor, ObjectId, ObjectKind, Phase, Problem, Remedy,
    Store, directory_name, fs,
};

mod checkout;
mod object;

impl Store {
    /// Checks everything in the store. Waits while gc is running; others may write meanwhile.
    pub fn verify(&self, monitor: &dyn Monitor) -> Result<Vec<Problem>, Error> {
        let _shared = Guard::shared(&self.layout.folder("lock"), self.patience())?;
        let blobs = self.scan(ObjectKind::Blob)?;
        let mut encodings = Vec::new();
        for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Blob) {
            encodings.extend(self.scan(kind)?);
        }
        monitor.begin(Phase::Verifying, (blobs.len() + encodings.len()) as u64, 0);
        let check = ObjectCheck { store: self, monitor };
        let mut problems = check.top()?;

        let decoded = collect(&encodings, |found| check.encoding(found), &mut problems)?;
        let needed: BTreeSet<_> = decoded.iter().flat_map(|(_, decoded)| decoded.children()).collect();
        let sizes: Sizes = needed.iter().filter_map(size).collect();
        let inodes: Inodes =
            collect(&blobs, |found| check.blob(found, &sizes), &mut problems)?.into_iter().collect();
        problems.extend(check.missing(&needed)?);
        let checkouts = thread::each(&decoded, 1, |(object, decoded)| {
            check.checkout_of(object, decoded, Whole::ByInode(&inodes))
        });
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
        let check = ObjectCheck { store: self, monitor: &crate::Silent };
        let problems = thread::each(ids, 1, |id| check.artifact(id))?;
        let mut problems: Vec<_> = problems.into_iter().flatten().collect();
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
    for result in thread::each(found, 1, check)? {
        match result {
            Ok(value) => whole.push(value),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(whole)
}

/// The size of a blob, as what needs it gives it.
fn size(object: &ObjectId) -> Option<((Digest, Mode), u64)> {
    match object {
        ObjectId::Blob { digest, size, mode } => Some(((*digest, *mode), *size)),
        _ => None,
    }
}

impl ObjectCheck<'_> {
    /// Checks the format file, and what is beside the store's folders.
    fn top(&self) -> Result<Vec<Problem>, Error> {
        let folder = |name: &str| self.store.layout.folder(name);
        let mut problems = Vec::new();
        let format = folder("format");
        match fs::read_or_damaged(&format, 4096) {
            Ok(Some(text)) if text == StoreLayout::format_text().as_bytes() => {}
            Ok(None) => {
                problems.push(self.problem(Fault::Missing, &format, "the format file", Remedy::Format));
            }
            Ok(Some(_)) => {
                problems.push(self.problem(Fault::Damaged, &format, "it names no version", Remedy::Format));
            }
            Err(error) => return Err(error),
        }
        for name in layout::folders() {
            if !fs::lstat(&folder(name))?.is_some_and(|m| m.is_dir() || m.is_symlink()) {
                let path = folder(name);
                problems.push(self.problem(Fault::Missing, &path, "a folder of the store", Remedy::Look));
            }
        }
        for entry in fs::entries(self.store.root())? {
            let name = entry.file_name();
            if !layout::is_ours(&name) && !fs::is_temporary(&name) {
                problems.push(Problem { remedy: Remedy::Look, ..self.foreign(&entry.path()) });
            }
        }
        Ok(problems)
    }

    /// Checks one artifact, from its record, for a switch.
    fn artifact(&self, id: &ArtifactId) -> Result<Vec<Problem>, Error> {
        let object = ObjectId::Artifact(*id);
        let found = ScannedFile { path: self.store.layout.object(&object), object: Some(object) };
        if fs::lstat(&found.path)?.is_none() {
            let remedy = Remedy::Fetch(object);
            return Ok(vec![self.problem(Fault::Missing, &found.path, object.to_string(), remedy)]);
        }
        match self.encoding(&found)? {
            Ok((object, decoded)) => self.checkout_of(&object, &decoded, Whole::ByStat),
            Err(problem) => Ok(vec![problem]),
        }
    }

    /// Checks an object's checkout, if it is an artifact: only artifacts have one.
    fn checkout_of(
        &self,
        object: &ObjectId,
        decoded: &DecodedObject,
        whole: Whole,
    ) -> Result<Vec<Problem>, Error> {
        match (object, decoded) {
            (ObjectId::Artifact(id), DecodedObject::Artifact(artifact)) => self.checkout(id, artifact, whole),
            _ => Ok(Vec::new()),
        }
    }

    /// Checks the checkout of an artifact and its stat record.
    fn checkout(&self, id: &ArtifactId, record: &Artifact, whole: Whole) -> Result<Vec<Problem>, Error> {
        let path = self.store.layout.stats(id, &record.name);
        let stats = fs::read_or_damaged(&path, stats::MAX_SEALED)?.and_then(|bytes| Stats::decode(&bytes));
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
            CheckoutComparison { check: *self, id: *id, stats: &stats, strange: 0, whole, problems };
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
        for found in self.store.scan(ObjectKind::Artifact)? {
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
