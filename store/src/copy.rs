//! Copying artifacts between two places that hold objects.
//!
//! A present object implies a complete subtree. So the search for what is missing starts at the roots and descends
//! only below absent objects; where everything is present, a single question settles it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use batou_system::thread;

use crate::closure::{ClosureWalk, ObjectGraph};
use crate::pipe;
use crate::read::{ObjectReader, decode, read_encoding};
use crate::{ArtifactId, Error, Monitor, ObjectId, Phase, Store};

/// An object's bytes, ready to be read.
pub type Opened<'r> = Result<Box<dyn Read + 'r>, Error>;

/// A place that holds objects: the local store, or a remote one.
///
/// Objects travel as their bytes: a blob's content, and the canonical encoding of every other object.
pub trait Depot: Send {
    /// Which of the objects are absent. A parent that is present has all its children.
    fn missing(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error>;

    /// Reads the objects in the order given, and calls `each` once for every one of them. Bytes that `each` has read
    /// to their end have been checked.
    fn get(
        &mut self,
        objects: &[ObjectId],
        each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Stores the objects, which are given children before parents, and opens each of them once, in this order.
    /// Nothing is visible until all have arrived and been checked. Objects that are present already need not be
    /// opened.
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

/// Which of the artifacts, and of everything they need, `to` lacks; children before parents. Looking into a store on
/// this machine costs next to nothing, so `to` is asked at most twice: about the artifacts, and then about everything
/// that the absent ones need.
pub fn lacking(from: &Store, to: &mut dyn Depot, roots: &[ArtifactId]) -> Result<Vec<ObjectId>, Error> {
    let roots: BTreeSet<_> = roots.iter().map(|id| ObjectId::Artifact(*id)).collect();
    let absent: BTreeSet<_> = to.missing(&roots.iter().copied().collect::<Vec<_>>())?.into_iter().collect();
    let mut walk = ClosureWalk::new(from);
    for root in roots.intersection(&absent) {
        walk.add(*root)?;
    }
    let mut objects = walk.finish().objects();
    if !objects.is_empty() {
        // The answer may come from a host, which is not trusted. It only selects from what was asked about, so that a
        // host cannot obtain any other object of this store.
        let missing: HashSet<_> = to.missing(&objects)?.into_iter().collect();
        objects.retain(|object| missing.contains(object));
    }
    Ok(objects)
}

/// Sends the artifacts and everything they need, except for what `to` already has. Nothing is visible there before
/// everything has arrived.
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

/// Reads an object, and reports its progress to a monitor.
struct MonitoredObject<'m> {
    reader: ObjectReader,
    monitor: &'m dyn Monitor,
    is_file: bool,
}

impl<'m> MonitoredObject<'m> {
    fn new(from: &Store, object: &ObjectId, monitor: &'m dyn Monitor) -> Result<Self, Error> {
        Ok(Self { reader: from.object(object)?, monitor, is_file: object.is_blob() })
    }
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

/// Objects, or the error that kept them from being known.
type Objects = Result<Vec<ObjectId>, Error>;

/// Which of the objects, and of everything below them, `missing` reports as absent; children first.
pub(crate) fn lacking_objects(
    from: &mut dyn Depot,
    missing: &mut dyn FnMut(&[ObjectId]) -> Objects,
    roots: &[ObjectId],
) -> Result<Vec<ObjectId>, Error> {
    let mut absent = MissingObjects::default();
    let mut seen = HashSet::new();
    let mut frontier = roots.to_vec();
    frontier.retain(|object| seen.insert(*object));
    // One question for each level of the tree, and none about what is below a present object.
    while !frontier.is_empty() {
        let missing = missing(&frontier)?;
        absent.0.extend(missing.iter().map(|object| (*object, Vec::new())));
        let parents: Vec<_> = missing.into_iter().filter(|object| !object.is_blob()).collect();
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

/// The objects that the receiver lacks, each with its children. An object that it has counts as a leaf: nothing below
/// it is sent.
#[derive(Default)]
struct MissingObjects(HashMap<ObjectId, Vec<ObjectId>>);

impl ObjectGraph for &MissingObjects {
    fn children(&self, object: &ObjectId) -> Result<(Vec<ObjectId>, u64), Error> {
        Ok((self.0.get(object).cloned().unwrap_or_default(), 0))
    }
}

/// Reads and checks an encoding, and returns the objects it needs directly.
fn children(object: &ObjectId, bytes: &mut dyn Read) -> Result<Vec<ObjectId>, Error> {
    Ok(decode(object, &read_encoding(object, bytes)?)?.children())
}

/// Copies the artifacts and everything they need, except for what `to` already has. From a store on this machine,
/// [`send`] is faster.
///
/// Nothing is visible at `to` before everything has arrived. One thread reads and another writes, with a bounded pipe
/// between them, so memory does not grow with the objects' sizes.
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
    let read = move || {
        from.get(objects, &mut |object, bytes| {
            let counted = object.is_blob();
            sender.send(object, bytes, &mut |count| monitor.advance(0, if counted { count } else { 0 }))?;
            monitor.advance(1, 0);
            Ok(())
        })
    };
    // Once the receiver is dropped, which is when everything was written, a reader that is still sending stops at once.
    let write = move || to.put(objects, &mut |object| receiver.open(object));
    match thread::both(read, write) {
        // If both sides failed, the reader's error is the cause, unless it only says that the writer stopped.
        (Err(error), _) if !matches!(error, Error::PipeClosed) => Err(error),
        (_, written) => written,
    }
}
