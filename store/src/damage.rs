//! Dropping what is damaged, and everything above it, from a store whose content can be made again.
//!
//! A present object promises a complete subtree, and builds rely on that: what is present is neither looked into nor
//! written again. So once a promise turns out to be broken, everything that makes it has to go. Then the next build
//! finds it absent, and makes it again from its sources.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

use batou_system::thread;

use crate::closure::ObjectGraph;
use crate::gc::PATIENCE;
use crate::lock::Guard;
use crate::mark::Mark;
use crate::stats::Stat;
use crate::{ArtifactId, Digest, Error, Mode, Monitor, ObjectId, ObjectKind, Phase, Silent, Store, fs};

/// What was found damaged or missing, and what went because of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The objects that were not there, or not as they were written.
    pub faults: BTreeSet<ObjectId>,
    /// The artifacts that needed one of them, and are absent now.
    pub artifacts: BTreeSet<ArtifactId>,
    /// Those of the artifacts that were checked out. Their folders stay until they are checked out again.
    pub checked_out: BTreeSet<ArtifactId>,
}

impl Store {
    /// Reads everything that these artifacts need, and removes what is damaged together with those of the artifacts
    /// and trees that need it. What is whole stays. What is below a damaged tree cannot be known from it: `made` names
    /// objects that are about to be made again, and of these the damaged ones go as well. Fails with [`Error::Busy`] if
    /// others are still writing after half a minute. A process must not call this while it has a batch open itself.
    pub fn drop_damaged(
        &self,
        roots: &[ArtifactId],
        made: &[ObjectId],
        monitor: &dyn Monitor,
    ) -> Result<Dropped, Error> {
        let Some(_alone) = Guard::exclusive_within(&self.layout.folder("lock"), PATIENCE)? else {
            return Err(Error::Busy(self.root().to_owned()));
        };
        let mut first: Vec<_> = roots.iter().map(|id| ObjectId::Artifact(*id)).collect();
        for object in made {
            // One that is missing is made in any case, and one that has another size is missing to a build.
            if fs::lstat(&self.layout.object(object))?.is_some() {
                first.push(*object);
            }
        }
        let survey = Survey::of(self, &first, monitor)?;
        let dead = survey.dead();
        let mut dropped = Dropped { faults: survey.faults, ..Dropped::default() };
        let mark = Mark::make_durable(self)?;
        // Parents first: each of them promises that everything below it is there.
        for object in dead.iter().rev() {
            if let ObjectId::Artifact(id) = object {
                dropped.artifacts.insert(*id);
                if self.forget_checkout(id)? {
                    dropped.checked_out.insert(*id);
                }
            }
            fs::remove_tree(&self.layout.object(object))?;
        }
        if !dead.is_empty() {
            let folders = ObjectKind::ALL.into_iter().map(ObjectKind::folder).chain(["stats"]);
            self.barrier(&folders.map(|name| self.layout.folder(name)).collect())?;
        }
        mark.remove()?;
        Ok(dropped)
    }

    /// Removes the objects that need one which is missing; their content is not read. Only for the holder of the exclusive
    /// lock.
    pub(crate) fn drop_lacking(&self) -> Result<(), Error> {
        let mut survey = Survey { only_names: true, ..Survey::default() };
        let mut first = Vec::new();
        for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Blob) {
            first.extend(self.scan(kind)?.into_iter().filter_map(|found| found.object));
        }
        survey.walk(self, first.iter())?;
        for blob in survey.blobs(&[]) {
            if !self.contains(&blob)? {
                survey.faults.insert(blob);
            }
        }
        let mut touched = BTreeSet::new();
        for object in survey.dead().iter().rev() {
            let path = self.layout.object(object);
            fs::remove_tree(&path)?;
            touched.insert(fs::parent(&path).to_owned());
        }
        self.barrier(&touched)
    }

    /// Reads these objects and everything that they need, and returns those of them all that are damaged or missing, or need
    /// one that is: what has to be written again before the others keep their promises.
    pub fn unsound(&self, objects: &[ObjectId]) -> Result<HashSet<ObjectId>, Error> {
        Ok(Survey::of(self, objects, &Silent)?.dead().into_iter().collect())
    }

    /// Removes the stat record of a checkout, which then counts as absent; whether there was one. The artifact's name may
    /// be unknown by now, and its digits are enough.
    fn forget_checkout(&self, id: &ArtifactId) -> Result<bool, Error> {
        let digits = format!("{id:.40}-");
        let mut known = false;
        for entry in fs::entries(&self.layout.folder("stats"))? {
            if entry.file_name().to_string_lossy().starts_with(&digits) {
                fs::remove_tree(&entry.path())?;
                known = true;
            }
        }
        Ok(known)
    }

    /// What a blob's file is instead of what it should be; nothing if it is whole.
    pub(crate) fn blob_fault(&self, digest: &Digest, size: u64, mode: Mode) -> Result<Option<String>, Error> {
        let path = self.layout.blob(digest, mode);
        let Some(metadata) = fs::lstat(&path)? else { return Ok(Some("it is missing".to_owned())) };
        let stat = Stat::of(&metadata);
        if !metadata.is_file() {
            return Ok(Some("it is not a file".to_owned()));
        }
        if !stat.has_mode(mode) {
            return Ok(Some(format!("its mode is {:04o}", stat.mode)));
        }
        if stat.size != size {
            return Ok(Some(format!("it has {} bytes instead of {size}", stat.size)));
        }
        let found = hash(&path)?;
        Ok((found != *digest).then(|| format!("its digest is {found}")))
    }
}

/// The digest of a file's content, read as a stream.
pub(crate) fn hash(path: &Path) -> Result<Digest, Error> {
    let mut file = batou_system::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut hasher = crate::FileHasher::new();
    io::copy(&mut file, &mut hasher).map_err(Error::io("read", path))?;
    Ok(hasher.finish())
}

/// Everything below a few artifacts, as far as it can be read.
#[derive(Default)]
struct Survey {
    /// Each object with its children; children before parents.
    objects: Vec<(ObjectId, Vec<ObjectId>)>,
    /// What is damaged or missing.
    faults: BTreeSet<ObjectId>,
    /// Whether only names may be missing: then what may not be read now is no reason to remove it.
    only_names: bool,
}

impl Survey {
    fn of(store: &Store, first: &[ObjectId], monitor: &dyn Monitor) -> Result<Self, Error> {
        let mut survey = Self::default();
        survey.walk(store, first.iter().filter(|object| !object.is_blob()))?;
        let blobs = survey.blobs(first);
        let bytes = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size()));
        monitor.begin(Phase::Verifying, blobs.len() as u64, bytes);
        let faulty = |blob: &ObjectId| {
            let ObjectId::Blob { digest, size, mode } = *blob else { return Ok(None) };
            let fault = store.blob_fault(&digest, size, mode)?;
            monitor.advance(1, size);
            Ok::<_, Error>(fault.map(|_| *blob))
        };
        let faulty = thread::each(&blobs.into_iter().collect::<Vec<_>>(), 1, faulty)?;
        survey.faults.extend(faulty.into_iter().flatten());
        Ok(survey)
    }

    /// The blobs among what was asked for and what that needs.
    fn blobs(&self, first: &[ObjectId]) -> BTreeSet<ObjectId> {
        let all = self.objects.iter().flat_map(|(_, children)| children).chain(first);
        all.filter(|object| object.is_blob()).copied().collect()
    }

    /// Reads the records and trees. The walk has a stack of its own, so a deep tree cannot exhaust the thread's.
    fn walk<'o>(&mut self, store: &Store, first: impl Iterator<Item = &'o ObjectId>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut stack: Vec<_> = first.map(|object| (*object, None)).collect();
        while let Some((object, left)) = stack.pop() {
            if let Some(children) = left {
                self.objects.push((object, children));
                continue;
            }
            if !seen.insert(object) {
                continue;
            }
            let Some(children) = read(store, &object, self.only_names)? else {
                self.faults.insert(object);
                self.objects.push((object, Vec::new()));
                continue;
            };
            let below = children.iter().filter(|child| !child.is_blob()).copied();
            let below: Vec<_> = below.map(|child| (child, None)).collect();
            stack.push((object, Some(children)));
            stack.extend(below);
        }
        Ok(())
    }

    /// The faulty objects and all above them, children before parents.
    fn dead(&self) -> Vec<ObjectId> {
        let mut whole: HashMap<ObjectId, bool> = self.faults.iter().map(|fault| (*fault, false)).collect();
        let blobs = self.faults.iter().filter(|fault| fault.is_blob());
        let mut dead: Vec<_> = blobs.copied().collect();
        for (object, children) in &self.objects {
            let sound = !self.faults.contains(object)
                && children.iter().all(|child| whole.get(child).copied().unwrap_or(true));
            whole.insert(*object, sound);
            if !sound {
                dead.push(*object);
            }
        }
        dead
    }
}

/// The children of a record or tree; none where it is missing or damaged.
fn read(store: &Store, object: &ObjectId, only_names: bool) -> Result<Option<Vec<ObjectId>>, Error> {
    if !store.contains(object)? {
        return Ok(None);
    }
    match store.children(object) {
        Ok((children, _)) => Ok(Some(children)),
        Err(Error::Damaged { .. } | Error::Encoding { .. } | Error::Missing(_) | Error::TooLarge { .. }) => {
            Ok(None)
        }
        Err(error) if !only_names && error.io_kind() == Some(io::ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}
