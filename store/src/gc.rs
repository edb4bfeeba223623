//! Garbage collection: removing what nothing needs.
//!
//! gc has the store to itself: it holds alone the lock that writers share. It marks everything needed by the caller's
//! roots, by the roots below `roots/` and by the leases of live holders, and removes the rest, parents before
//! children, so that an interruption at any point leaves no object that lacks a child (after a power cut, once the store is
//! opened, see [`Mark`]). A marked object that is
//! missing or damaged stops gc before it removes anything, because it is not known what else that object needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use batou_system::thread;

use crate::closure::{ClosureWalk, ObjectGraph};
use crate::lock::Guard;
use crate::mark::Mark;
use crate::scan::ScannedFile;
use crate::{ArtifactId, Closure, Error, Monitor, ObjectId, ObjectKind, Phase, Store, directory_name, fs};

/// How long whoever needs the store to itself waits for writers to finish.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What gc removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many objects of each kind; artifacts with their checkouts.
    counts: BTreeMap<ObjectKind, u64>,
    /// Bytes of the objects' files.
    pub bytes: u64,
}

impl Collected {
    /// How many objects of this kind.
    pub fn of(&self, kind: ObjectKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// How many objects.
    pub fn objects(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Store {
    /// Removes everything that none of these roots, the named roots and the leases needs, and what dead writers left.
    /// Fails with [`Error::Busy`] if others are still writing after half a minute.
    pub fn gc(&self, roots: &[ArtifactId], monitor: &dyn Monitor) -> Result<Collected, Error> {
        self.gc_with(|| Ok(roots.to_vec()), monitor)
    }

    /// Like [`Store::gc`], but asks for the roots only while everybody else has to wait, so that a root which a
    /// writer has just made is not missed.
    pub fn gc_with<E: From<Error>>(
        &self,
        roots: impl FnOnce() -> Result<Vec<ArtifactId>, E>,
        monitor: &dyn Monitor,
    ) -> Result<Collected, E> {
        let lock = self.layout.folder("lock");
        let Some(_alone) = Guard::exclusive_within(&lock, PATIENCE)? else {
            return Err(Error::Busy(self.root().to_owned()).into());
        };
        self.remove_debris()?;
        let marked = self.mark(&roots()?)?;
        Ok(self.sweep(&marked, monitor)?)
    }

    /// Everything that must stay.
    fn mark(&self, roots: &[ArtifactId]) -> Result<Closure, Error> {
        let mut walk = ClosureWalk::new(self);
        self.end_roots()?;
        let named = self.roots()?.into_values().flatten();
        for root in roots.iter().copied().chain(named) {
            // What is gone from a cache is made again when it is next built, and cannot be kept meanwhile.
            if self.is_durable() || self.contains(&ObjectId::Artifact(root))? {
                walk.add(ObjectId::Artifact(root))?;
            }
        }
        for object in self.leased()? {
            if self.contains(&object)? {
                walk.add(object)?;
            }
        }
        Ok(walk.finish())
    }

    fn sweep(&self, marked: &Closure, monitor: &dyn Monitor) -> Result<Collected, Error> {
        let mut dead = Vec::new();
        for kind in ObjectKind::ALL {
            dead.push((kind, self.dead(kind, marked)?));
        }
        let mut collected = Collected::default();
        for (kind, found) in &dead {
            if !found.is_empty() {
                collected.counts.insert(*kind, found.len() as u64);
            }
        }
        monitor.begin(Phase::Sweeping, collected.objects(), 0);
        let mark = Mark::make_durable(self)?;
        // Records first: each of them promises that everything below it is there.
        for (kind, found) in dead.into_iter().rev() {
            let paths = match kind {
                ObjectKind::Blob => found.into_iter().map(|found| found.path).collect(),
                _ => self.parents_first(found)?,
            };
            collected.bytes += self.remove(&paths, monitor)?;
            if kind == ObjectKind::Artifact {
                self.remove_checkouts(marked)?;
            }
        }
        mark.remove()?;
        Ok(collected)
    }

    /// The objects of a kind that are not marked. Files that are not objects are left for `verify` to report.
    fn dead(&self, kind: ObjectKind, marked: &Closure) -> Result<Vec<ScannedFile>, Error> {
        let live: HashSet<_> = marked.of(kind).into_iter().map(ObjectId::without_size).collect();
        let mut found = self.scan(kind)?;
        found.retain(|found| found.object.is_some_and(|object| !live.contains(&object)));
        Ok(found)
    }

    /// The files of dead objects of one kind, parents before children.
    fn parents_first(&self, dead: Vec<ScannedFile>) -> Result<Vec<PathBuf>, Error> {
        let objects: BTreeSet<_> = dead.into_iter().filter_map(|found| found.object).collect();
        let mut walk = ClosureWalk::new(Dead { store: self, objects: &objects });
        for object in &objects {
            walk.add(*object)?;
        }
        let children_first = walk.finish().objects();
        Ok(children_first.iter().rev().map(|object| self.layout.object(object)).collect())
    }

    /// Removes files in this order, and returns how many bytes they had.
    fn remove(&self, paths: &[PathBuf], monitor: &dyn Monitor) -> Result<u64, Error> {
        let mut touched = BTreeSet::new();
        let mut bytes = 0;
        for path in paths {
            let size = fs::lstat(path)?.map_or(0, |metadata| metadata.size());
            fs::remove_tree(path)?;
            touched.insert(fs::parent(path).to_owned());
            monitor.advance(1, size);
            bytes += size;
        }
        self.barrier(&touched)?;
        Ok(bytes)
    }

    /// Removes checkouts and stat records whose artifact is gone.
    fn remove_checkouts(&self, marked: &Closure) -> Result<(), Error> {
        let mut live = HashSet::new();
        for object in marked.of(ObjectKind::Artifact) {
            if let ObjectId::Artifact(id) = object {
                live.insert(directory_name(&id, &self.artifact(&id)?.name));
            }
        }
        for folder in ["artifacts", "stats"] {
            let folder = self.layout.folder(folder);
            let names = fs::entries(&folder)?;
            let names = names.iter().filter_map(|entry| entry.file_name().into_string().ok());
            let dead: Vec<_> = names.filter(|name| is_directory_name(name) && !live.contains(name)).collect();
            thread::each(&dead, 1, |name| fs::remove_tree(&folder.join(name)))?;
            if !dead.is_empty() {
                self.barrier(&BTreeSet::from([folder]))?;
            }
        }
        Ok(())
    }
}

/// The objects of one kind that are to be removed. A walk over them sees no other objects; one that cannot be read has no
/// children.
struct Dead<'a> {
    store: &'a Store,
    objects: &'a BTreeSet<ObjectId>,
}

impl ObjectGraph for Dead<'_> {
    fn children(&self, object: &ObjectId) -> Result<(Vec<ObjectId>, u64), Error> {
        let (mut children, length) = self.store.children(object).unwrap_or_default();
        children.retain(|child| self.objects.contains(child));
        Ok((children, length))
    }
}

/// Whether a name looks like `<40 digits>-<name>`.
fn is_directory_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(digits, rest)| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        digits.len() == 40 && digits.bytes().all(hex) && !rest.is_empty()
    })
}
