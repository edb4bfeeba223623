//! Copying artifacts between two places that hold objects.
//!
//! Because a present object implies a complete subtree, the question what is missing starts at the roots and
//! descends only where something is absent: where everything is present it is one question.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use crate::closure::{ClosureWalk, ObjectGraph};
use crate::pipe::{self, Receiver};
use crate::read::ObjectReader;
use crate::read::{mismatch, read_encoding};
use crate::store::undecodable;
use crate::{Artifact, ArtifactId, Error, Monitor, ObjectId, Phase, Store, Tree};

/// An object's bytes, ready to be read.
pub type Opened<'r> = Result<Box<dyn Read + 'r>, Error>;

/// A place that holds objects: the local store, or a remote one.
///
/// Objects travel as their bytes: a blob's content, a tree's or artifact record's canonical encoding.
pub trait Depot: Send {
    /// Which of the objects are not here. A parent that is here has all its children.
    fn missing(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error>;

    /// Reads the objects in the order given; `each` sees every one once. What `each` reads to its end has
    /// been checked.
    fn get(
        &mut self,
        objects: &[ObjectId],
        each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Stores the objects (children before parents), each opened once and in this order; nothing is visible
    /// until all have arrived and been checked. An object that is here already may be left unopened.
    fn put<'r>(
        &mut self,
        objects: &[ObjectId],
        open: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
    ) -> Result<(), Error>;
}

impl Depot for &Store {
    fn missing(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let mut missing = Vec::new();
        for object in objects {
            if !self.contains(object)? {
                missing.push(*object);
            }
        }
        Ok(missing)
    }

    fn get(
        &mut self,
        objects: &[ObjectId],
        each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        objects.iter().try_for_each(|object| each(object, &mut self.object(object)?))
    }

    fn put<'r>(
        &mut self,
        objects: &[ObjectId],
        open: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
    ) -> Result<(), Error> {
        let batch = self.batch()?;
        for object in objects {
            if !batch.has(object)? {
                batch.receive(object, &mut *open(object)?)?;
            }
        }
        batch.commit()
    }
}

impl crate::Batch<'_> {
    /// Adds an object as it travels, and checks that it is what its id says.
    pub fn receive(&self, object: &ObjectId, from: &mut dyn Read) -> Result<(), Error> {
        match object {
            ObjectId::Blob { digest, size, mode } => {
                // One byte more than announced is enough to know that it is wrong.
                let mut announced = from.take(size.saturating_add(1));
                match self.blob(Some(digest), *mode, &mut announced)? {
                    crate::Node::File { size: found, .. } if found != *size => {
                        Err(mismatch(object, &format!("{found} bytes")))
                    }
                    _ => Ok(()),
                }
            }
            ObjectId::Tree(_) => {
                let bytes = read_encoding(object, from)?;
                self.tree(&Tree::decode(&bytes).map_err(undecodable(*object))?).map(drop)
            }
            ObjectId::Artifact(_) => {
                let bytes = read_encoding(object, from)?;
                self.artifact(&Artifact::decode(&bytes).map_err(undecodable(*object))?).map(drop)
            }
        }
    }
}

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects sent.
    pub objects: u64,
    /// Bytes of files sent.
    pub bytes: u64,
}

impl Copied {
    pub(crate) fn of(objects: &[ObjectId]) -> Self {
        let bytes = objects.iter().fold(0_u64, |sum, object| sum.saturating_add(object.size()));
        Self { objects: objects.len() as u64, bytes }
    }
}

/// What of the artifacts and all they need is missing at `to`, children before parents. To look into a store on this
/// machine costs next to nothing, so `to` is asked twice at most: for the artifacts, and for all that the absent ones
/// need.
pub fn lacking(from: &Store, to: &mut dyn Depot, roots: &[ArtifactId]) -> Result<Vec<ObjectId>, Error> {
    let roots: BTreeSet<_> = roots.iter().map(|id| ObjectId::Artifact(*id)).collect();
    let absent: BTreeSet<_> = to.missing(&roots.iter().copied().collect::<Vec<_>>())?.into_iter().collect();
    let mut walk = ClosureWalk::new(from);
    for root in roots.intersection(&absent) {
        walk.add(*root)?;
    }
    let mut objects = walk.finish().objects();
    if !objects.is_empty() {
        // The answer only picks from what was asked: nothing else of the store is `to`'s to have.
        let missing: HashSet<_> = to.missing(&objects)?.into_iter().collect();
        objects.retain(|object| missing.contains(object));
    }
    Ok(objects)
}

/// Sends the artifacts with everything they need, as far as `to` lacks it. Nothing is visible there before all has
/// arrived.
pub fn send(
    from: &Store,
    to: &mut dyn Depot,
    roots: &[ArtifactId],
    monitor: &dyn Monitor,
) -> Result<Copied, Error> {
    let objects = lacking(from, to, roots)?;
    let copied = Copied::of(&objects);
    monitor.begin(Phase::Copying, copied.objects, copied.bytes);
    if !objects.is_empty() {
        to.put(&objects, &mut |object| Ok(Box::new(MonitoredObject::new(from, object, monitor)?)))?;
    }
    Ok(copied)
}

/// An object that is read, as the monitor sees it.
struct MonitoredObject<'m> {
    reader: ObjectReader,
    monitor: &'m dyn Monitor,
    is_file: bool,
}

impl<'m> MonitoredObject<'m> {
    fn new(from: &Store, object: &ObjectId, monitor: &'m dyn Monitor) -> Result<Self, Error> {
        Ok(Self { reader: from.object(object)?, monitor, is_file: is_file(object) })
    }
}

/// Whether an object's bytes are among those that [`Copied`] counts.
fn is_file(object: &ObjectId) -> bool {
    matches!(object, ObjectId::Blob { .. })
}

impl Read for MonitoredObject<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if self.is_file {
            self.monitor.advance(0, count as u64);
        }
        Ok(count)
    }
}

impl Drop for MonitoredObject<'_> {
    fn drop(&mut self) {
        self.monitor.advance(1, 0);
    }
}

/// Some objects, or why they are not known.
type Objects = Result<Vec<ObjectId>, Error>;

/// What of the objects, and of what they need, is missing by the word of `missing`; children first.
pub(crate) fn lacking_objects(
    from: &mut dyn Depot,
    missing: &mut dyn FnMut(&[ObjectId]) -> Objects,
    roots: &[ObjectId],
) -> Result<Vec<ObjectId>, Error> {
    let mut absent = MissingObjects::default();
    let mut seen = HashSet::new();
    let mut frontier = roots.to_vec();
    frontier.retain(|object| seen.insert(*object));
    while !frontier.is_empty() {
        let missing = missing(&frontier)?;
        absent.0.extend(missing.iter().map(|object| (*object, Vec::new())));
        let parents: Vec<_> =
            missing.into_iter().filter(|object| !matches!(object, ObjectId::Blob { .. })).collect();
        frontier.clear();
        from.get(&parents, &mut |object, bytes| {
            let children = children(object, bytes)?;
            frontier.extend(children.iter().filter(|child| seen.insert(**child)));
            absent.0.insert(*object, children);
            Ok(())
        })?;
    }
    let mut walk = ClosureWalk::new(&absent);
    for root in roots {
        walk.add(*root)?;
    }
    let objects = walk.finish().objects();
    Ok(objects.into_iter().filter(|object| absent.0.contains_key(object)).collect())
}

/// What the receiver lacks, and what that needs. What it has counts as a leaf: nothing below is sent.
#[derive(Default)]
struct MissingObjects(HashMap<ObjectId, Vec<ObjectId>>);

impl ObjectGraph for &MissingObjects {
    fn children(&self, object: &ObjectId) -> Result<(Vec<ObjectId>, u64), Error> {
        Ok((self.0.get(object).cloned().unwrap_or_default(), 0))
    }
}

/// Reads and checks a tree or record, and returns what it needs.
fn children(object: &ObjectId, bytes: &mut dyn Read) -> Result<Vec<ObjectId>, Error> {
    let encoding = read_encoding(object, bytes)?;
    Ok(match object {
        ObjectId::Blob { .. } => Vec::new(),
        ObjectId::Tree(_) => {
            ObjectId::below_tree(&Tree::decode(&encoding).map_err(undecodable(*object))?).collect()
        }
        ObjectId::Artifact(_) => {
            ObjectId::below_artifact(&Artifact::decode(&encoding).map_err(undecodable(*object))?).collect()
        }
    })
}

/// Copies the artifacts with everything they need, as far as `to` lacks it; [`send`] does it sooner from a store on
/// this machine.
///
/// Nothing is visible at `to` before all has arrived. Memory does not grow with the objects' sizes: one
/// thread reads, another writes, with a bounded pipe between them.
pub fn copy(
    from: &mut dyn Depot,
    to: &mut dyn Depot,
    roots: &[ArtifactId],
    monitor: &dyn Monitor,
) -> Result<Copied, Error> {
    let roots: Vec<_> = roots.iter().map(|id| ObjectId::Artifact(*id)).collect();
    let objects = lacking_objects(from, &mut |objects| to.missing(objects), &roots)?;
    let copied = Copied::of(&objects);
    monitor.begin(Phase::Copying, copied.objects, copied.bytes);
    if objects.is_empty() {
        return Ok(copied);
    }
    transfer(from, to, &objects, monitor)?;
    Ok(copied)
}

/// Sends objects from one depot to another.
pub(crate) fn transfer(
    from: &mut dyn Depot,
    to: &mut dyn Depot,
    objects: &[ObjectId],
    monitor: &dyn Monitor,
) -> Result<(), Error> {
    let (sender, receiver) = pipe::new();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            from.get(objects, &mut |object, bytes| {
                let counted = is_file(object);
                sender
                    .send(object, bytes, &mut |count| monitor.advance(0, if counted { count } else { 0 }))?;
                monitor.advance(1, 0);
                Ok(())
            })
        });
        let mut receiver = Some(receiver);
        let written = to.put(objects, &mut |object| Receiver::open(receiver.as_ref(), object));
        // Without a receiver a reader that still sends stops at once.
        receiver.take();
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match read {
            // Of two errors the reader's is the cause, unless it only noticed that the writer had stopped.
            Err(error) if !matches!(error, Error::PipeClosed) => Err(error),
            _ => written,
        }
    })
}
