//! Where a plan finds what it compares: in the controller's store, and for what only hosts have, in what was
//! fetched.
//!
//! What is fetched stays in memory and is bounded: whatever a host claims to have, it can fill neither the
//! controller's disk nor its memory. Only those files are fetched whose changes are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use batou_store::{Artifact, ArtifactId, Depot, Digest, Error, Node, ObjectId, RelPath, Store, Tree, files};

/// The largest file whose text is compared, in bytes. No larger one is fetched.
pub const MAX_TEXT: u64 = 1 << 20;
/// How many bytes of records and trees are fetched from a host: enough for some hundred thousand files.
const MAX_TREES: u64 = 64 << 20;
/// How many bytes of files are fetched from a host.
const MAX_TEXTS: u64 = 32 << 20;

/// Files by path, together with empty folders and symlinks.
pub type FileNodes = BTreeMap<RelPath, Node>;

/// What was fetched from hosts. All of it was checked against its digest, so it does not matter which host it
/// came from.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    artifacts: BTreeMap<ArtifactId, Artifact>,
    trees: BTreeMap<Digest, Tree>,
    texts: BTreeMap<Digest, Vec<u8>>,
}

impl Fetched {
    /// Adds what another host had.
    pub fn add(&mut self, other: Self) {
        self.artifacts.extend(other.artifacts);
        self.trees.extend(other.trees);
        self.texts.extend(other.texts);
    }

    /// The records of artifacts and all of their trees. Beyond the limit, the rest is left out.
    pub fn trees(host: &mut dyn Depot, artifacts: &BTreeSet<ArtifactId>) -> Result<Self, Error> {
        let mut fetched = Self::default();
        let mut frontier: Vec<_> = artifacts.iter().map(|id| ObjectId::Artifact(*id)).collect();
        let (mut seen, mut room) = (BTreeSet::new(), MAX_TREES);
        while !frontier.is_empty() && room > 0 {
            let mut below = Vec::new();
            host.get(&frontier, &mut |object, bytes| {
                let Some(encoding) = bounded(bytes, &mut room)? else { return Ok(()) };
                below.extend(fetched.keep(object, &encoding)?.into_iter().filter(|tree| seen.insert(*tree)));
                Ok(())
            })?;
            frontier = below.into_iter().map(ObjectId::Tree).collect();
        }
        Ok(fetched)
    }

    /// Keeps a record or tree, and returns the trees directly below it. Objects of other kinds are not asked for.
    fn keep(&mut self, object: &ObjectId, encoding: &[u8]) -> Result<Vec<Digest>, Error> {
        let mismatch = |found: String| Err(Error::Mismatch { object: object.to_string(), found });
        let undecodable = |source| Error::Encoding { subject: object.to_string(), source };
        if let ObjectId::Artifact(id) = object {
            let artifact = Artifact::decode(encoding).map_err(undecodable)?;
            if artifact.id() != *id {
                return mismatch(artifact.id().to_string());
            }
            let tree = artifact.tree;
            self.artifacts.insert(*id, artifact);
            return Ok(vec![tree]);
        }
        let ObjectId::Tree(digest) = object else { return Ok(Vec::new()) };
        let tree = Tree::decode(encoding).map_err(undecodable)?;
        if tree.digest() != *digest {
            return mismatch(tree.digest().to_string());
        }
        let folders = tree.iter().filter_map(|(_, node)| match node {
            Node::Directory { digest } => Some(*digest),
            _ => None,
        });
        let folders = folders.collect();
        self.trees.insert(*digest, tree);
        Ok(folders)
    }

    /// The content of files. Beyond the limit, the rest is left out.
    pub fn texts(host: &mut dyn Depot, wanted: &BTreeSet<ObjectId>) -> Result<Self, Error> {
        let mut fetched = Self::default();
        let mut room = MAX_TEXTS;
        let mut chosen = Vec::new();
        for object in wanted {
            if object.size() <= room.min(MAX_TEXT) {
                room -= object.size();
                chosen.push(*object);
            }
        }
        host.get(&chosen, &mut |object, bytes| {
            let ObjectId::Blob { digest, size, .. } = object else { return Ok(()) };
            let mut content = Vec::new();
            let read = bytes.take(size.saturating_add(1)).read_to_end(&mut content);
            let subject = object.to_string();
            read.map_err(|source| Error::Stream { action: "read", subject: subject.clone(), source })?;
            let found = Digest::of(&content);
            if found != *digest {
                return Err(Error::Mismatch { object: subject, found: found.to_string() });
            }
            fetched.texts.insert(*digest, content);
            Ok(())
        })?;
        Ok(fetched)
    }
}

/// Reads everything, or nothing if that is more than `room` bytes. Then `room` becomes 0, so that nothing that comes later
/// is read either.
fn bounded(bytes: &mut dyn Read, room: &mut u64) -> Result<Option<Vec<u8>>, Error> {
    let mut content = Vec::new();
    let read = bytes.take(room.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|source| Error::Stream { action: "read", subject: "an object".to_owned(), source })?;
    let Some(left) = room.checked_sub(content.len() as u64) else {
        *room = 0;
        return Ok(None);
    };
    *room = left;
    Ok(Some(content))
}

/// What is compared.
#[derive(Clone, Copy)]
pub struct ComparedObjects<'o> {
    /// The controller's store.
    pub store: &'o Store,
    /// What the store lacks.
    pub fetched: &'o Fetched,
}

impl ComparedObjects<'_> {
    /// The files of an artifact, which the store must have.
    pub fn files(&self, artifact: &ArtifactId) -> Result<FileNodes, Error> {
        self.store.files(&self.store.artifact(artifact)?.tree)
    }

    /// The files of an artifact, if its record and all of its trees are known.
    pub fn known_files(&self, artifact: &ArtifactId) -> Result<Option<FileNodes>, Error> {
        if self.has(artifact)? {
            return self.files(artifact).map(Some);
        }
        let Some(record) = self.fetched.artifacts.get(artifact) else { return Ok(None) };
        let lacking = |digest: &Digest| Error::Missing(ObjectId::Tree(*digest));
        let read = |digest: &Digest| self.fetched.trees.get(digest).cloned().ok_or_else(|| lacking(digest));
        match files(&record.tree, read) {
            Err(Error::Missing(_) | Error::TooManyFiles { .. }) => Ok(None),
            known => known.map(Some),
        }
    }

    /// Whether the store claims to have an artifact.
    pub fn has(&self, artifact: &ArtifactId) -> Result<bool, Error> {
        self.store.contains(&ObjectId::Artifact(*artifact))
    }

    /// Whether the content of a file is known.
    pub fn has_blob(&self, file: &ObjectId) -> Result<bool, Error> {
        let ObjectId::Blob { digest, .. } = file else { return Ok(false) };
        Ok(self.fetched.texts.contains_key(digest) || self.store.contains(file)?)
    }

    /// The content of a small file, if it is text and known. If it `is_stored`, not having it is an error.
    pub fn text(&self, file: &ObjectId, is_stored: bool) -> Result<Option<String>, Error> {
        let ObjectId::Blob { digest, size, .. } = file else { return Ok(None) };
        if *size > MAX_TEXT {
            return Ok(None);
        }
        let content = match self.fetched.texts.get(digest) {
            Some(content) => content.clone(),
            None if self.store.contains(file)? => self.store.read_blob(digest, MAX_TEXT)?,
            None if is_stored => return Err(Error::Missing(*file)),
            None => return Ok(None),
        };
        Ok(String::from_utf8(content).ok().filter(|text| !text.contains('\0')))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_store::{Mode, Name, Opened};

    use super::*;
    use crate::testing::{artifact, store};

    /// A host's store that counts what it is asked for, and may answer with other bytes.
    struct CountingHost<'s> {
        store: &'s Store,
        asked: Vec<ObjectId>,
        lie: Option<&'static [u8]>,
    }

    impl Depot for CountingHost<'_> {
        fn missing(&mut self, _: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
            unreachable!("nothing is sent to it")
        }

        fn get(
            &mut self,
            objects: &[ObjectId],
            each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
        ) -> Result<(), Error> {
            self.asked.extend(objects);
            let mut store = self.store;
            match self.lie {
                Some(mut bytes) => objects.iter().try_for_each(|object| each(object, &mut bytes)),
                None => store.get(objects, each),
            }
        }

        fn put<'r>(
            &mut self,
            _: &[ObjectId],
            _: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
        ) -> Result<(), Error> {
            unreachable!("nothing is sent to it")
        }
    }

    impl<'s> CountingHost<'s> {
        fn of(store: &'s Store) -> Self {
            Self { store, asked: Vec::new(), lie: None }
        }
    }

    /// An artifact with a file of each size, in a folder of its own.
    fn sized(store: &Store, sizes: &[u64]) -> ArtifactId {
        let batch = store.batch().unwrap();
        let mut root = Tree::new();
        for (number, size) in sizes.iter().enumerate() {
            let content = vec![b'a'; usize::try_from(*size).unwrap()];
            let file = batch.bytes(&content, Mode::PLAIN).unwrap();
            let mut folder = Tree::new();
            folder.insert(Name::new(format!("f{number}")).unwrap(), file).unwrap();
            let digest = batch.tree(&folder).unwrap();
            root.insert(Name::new(format!("d{number}")).unwrap(), Node::Directory { digest }).unwrap();
        }
        let tree = batch.tree(&root).unwrap();
        let artifact = Artifact { name: Name::new("web").unwrap(), tree, references: BTreeSet::new() };
        let id = batch.artifact(&artifact).unwrap();
        batch.commit().unwrap();
        id
    }

    #[test]
    fn only_records_and_trees_are_fetched_and_then_the_files_that_are_wanted_below_the_limit() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (store(here.path()), store(there.path()));
        let id = sized(&theirs, &[10, MAX_TEXT, MAX_TEXT + 1, 3 << 20]);
        let mut host = CountingHost::of(&theirs);
        let mut fetched = Fetched::trees(&mut host, &[id].into()).unwrap();
        assert_eq!(host.asked.len(), 6, "a record, and five trees");
        assert!(host.asked.iter().all(|object| object.size() == 0), "no file");

        let known = ComparedObjects { store: &ours, fetched: &fetched }.known_files(&id).unwrap().unwrap();
        assert_eq!(known.len(), 4);
        let blobs = theirs.closure(&[id]).unwrap().blobs;
        host.asked.clear();
        fetched.add(Fetched::texts(&mut host, &blobs).unwrap());
        let sizes: BTreeSet<_> = host.asked.iter().map(ObjectId::size).collect();
        assert_eq!(sizes, [10, MAX_TEXT].into());
        assert!(ours.artifacts().unwrap().is_empty(), "the store here is left as it was");
        let objects = ComparedObjects { store: &ours, fetched: &fetched };
        let texts = blobs.iter().filter(|blob| objects.text(blob, false).unwrap().is_some());
        assert_eq!(texts.count(), 2);
    }

    #[test]
    fn no_more_is_fetched_of_a_host_than_there_is_room_for() {
        let there = tempfile::tempdir().unwrap();
        let theirs = store(there.path());
        let sizes: Vec<u64> = (0..40).map(|number| MAX_TEXT - number).collect();
        let blobs = theirs.closure(&[sized(&theirs, &sizes)]).unwrap().blobs;
        let mut host = CountingHost::of(&theirs);
        let fetched = Fetched::texts(&mut host, &blobs).unwrap();
        let bytes: u64 = host.asked.iter().map(ObjectId::size).sum();
        assert!(bytes <= MAX_TEXTS && bytes > MAX_TEXTS - MAX_TEXT, "{bytes}");
        assert_eq!(fetched.texts.len(), host.asked.len());

        let mut room = 10;
        assert_eq!(bounded(&mut &[0; 10][..], &mut room).unwrap().unwrap().len(), 10);
        assert_eq!(bounded(&mut &[0; 1][..], &mut room).unwrap(), None);
        assert_eq!(room, 0);
    }

    #[test]
    fn what_a_host_sends_instead_is_refused() {
        let there = tempfile::tempdir().unwrap();
        let theirs = store(there.path());
        let id = artifact(&theirs, "web", &[("f", b"1")]);
        for lie in [&b""[..], b"{}", b"[", br#"{"name":"web","tree":"x","references":[]}"#] {
            let mut host = CountingHost { lie: Some(lie), ..CountingHost::of(&theirs) };
            Fetched::trees(&mut host, &[id].into()).unwrap_err();
            let blobs = theirs.closure(&[id]).unwrap().blobs;
            let error = Fetched::texts(&mut host, &blobs).unwrap_err();
            assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        }
    }
}
