//! One suite for every depot, run here over the local store; and copying.

use std::collections::BTreeSet;
use std::io::Read;

use batou_store::{Depot, Durability, Error, ObjectId, Opened, Silent, Store, copy, lacking, send};

use crate::common::{Fixture, stored};

/// What every depot does; `depot` is empty, and `full` holds `objects`, children before parents.
fn suite(depot: &mut dyn Depot, full: &Store, objects: &[ObjectId]) {
    assert_eq!(depot.missing(objects).unwrap(), objects);
    let open = |object: &ObjectId| Ok(Box::new(full.object(object)?) as Box<dyn Read>);

    // Cut off or damaged on the way: nothing is stored.
    let mut left = objects.len() - 1;
    let cut = depot.put(objects, &mut |object| {
        left = left.checked_sub(1).ok_or(Error::PipeClosed)?;
        open(object)
    });
    assert!(matches!(cut, Err(Error::PipeClosed)), "{cut:?}");
    let wrong = depot.put(objects, &mut |_| Ok(Box::new(&b"wrong"[..]) as Box<dyn Read>));
    assert!(matches!(wrong, Err(Error::Mismatch { .. })), "{wrong:?}");
    assert_eq!(depot.missing(objects).unwrap(), objects);

    let mut opened = Vec::new();
    let put = depot.put(objects, &mut |object| {
        opened.push(*object);
        open(object)
    });
    put.unwrap();
    assert_eq!(opened, objects);
    assert_eq!(depot.missing(objects).unwrap(), []);

    let mut seen = Vec::new();
    let got = depot.get(objects, &mut |object, from| {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        from.read_to_end(&mut here).unwrap();
        full.object(object)?.read_to_end(&mut there).unwrap();
        assert_eq!(here, there);
        seen.push(*object);
        Ok(())
    });
    got.unwrap();
    assert_eq!(seen, objects);
}

#[test]
fn the_local_store_is_a_depot() {
    let (full, empty) = (Fixture::new(), Fixture::new());
    let library = stored(&full.store, "lib", "lib", &[]);
    let web = stored(&full.store, "web", "web", &[library]);
    let objects = full.store.closure(&[web]).unwrap().objects();
    suite(&mut &empty.store, &full.store, &objects);
}

#[test]
fn only_what_is_absent_is_copied() {
    let (from, to) = (Fixture::new(), Fixture::new());
    let library = stored(&from.store, "lib", "lib", &[]);
    let web = stored(&from.store, "web", "web", &[library]);
    let first = copy(&mut &from.store, &mut &to.store, &[web], &Silent).unwrap();
    // Six files, two times two trees and the empty one, two records.
    assert_eq!(first.objects, 6 + 5 + 2);
    assert_eq!(first.bytes, 2 * (8 + 9 + 7));
    assert_eq!(to.store.closure(&[web]).unwrap(), from.store.closure(&[web]).unwrap());
    assert_eq!(copy(&mut &from.store, &mut &to.store, &[web], &Silent).unwrap().objects, 0);

    // Another artifact with one other file: the tree, the file and the record.
    let batch = from.store.batch().unwrap();
    let record = from.store.artifact(&web).unwrap();
    let mut tree = from.store.tree(&record.tree).unwrap();
    let more = batch.bytes(b"more", batou_store::Mode::PLAIN).unwrap();
    tree.insert(crate::common::name("more"), more).unwrap();
    let tree = batch.tree(&tree).unwrap();
    let next = batch.artifact(&batou_store::Artifact { tree, ..record }).unwrap();
    batch.commit().unwrap();
    let lacking = lacking(&from.store, &mut &to.store, &[next, web, next]).unwrap();
    assert_eq!(lacking.len(), 3);
    assert_eq!(lacking[1..], [ObjectId::Tree(tree), ObjectId::Artifact(next)]);
}

#[test]
fn a_damaged_object_is_not_copied_and_the_error_names_it() {
    let (from, to) = (Fixture::new(), Fixture::new());
    let web = stored(&from.store, "web", "web", &[]);
    let blob = from.store.closure(&[web]).unwrap().blobs.into_iter().next().unwrap();
    let ObjectId::Blob { digest, mode, .. } = blob else { panic!("{blob} is no blob") };
    let text = digest.to_string();
    let path = from.path(&format!("blobs/{text}-{:o}", mode.bits()));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = copy(&mut &from.store, &mut &to.store, &[web], &Silent).unwrap_err();
    assert!(error.to_string().contains(&digest.short()), "{error}");
    assert!(matches!(from.store.read_blob(&digest, 100), Err(Error::Damaged { .. })));
    let present: BTreeSet<_> = crate::common::listing(&to.path("blobs")).into_iter().collect();
    assert_eq!(present, BTreeSet::new());
}

/// A depot that counts what it is asked, and says that it lacks more than that.
struct Greedy<'s> {
    store: &'s Store,
    questions: usize,
    also: Vec<ObjectId>,
}

impl Depot for Greedy<'_> {
    fn missing(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        self.questions += 1;
        let mut missing = self.store.missing(objects)?;
        missing.extend(&self.also);
        Ok(missing)
    }

    fn get(
        &mut self,
        _: &[ObjectId],
        _: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        unreachable!("it is sent to")
    }

    fn put<'r>(
        &mut self,
        objects: &[ObjectId],
        open: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
    ) -> Result<(), Error> {
        self.store.put(objects, open)
    }
}

#[test]
fn a_receiver_is_asked_twice_at_most_and_gets_nothing_that_it_was_not_asked_about() {
    let (from, to) = (Fixture::with(Durability::Cache), Fixture::new());
    let library = stored(&from.store, "lib", "lib", &[]);
    let web = stored(&from.store, "web", "web", &[library]);
    let secret = stored(&from.store, "secret", "secret", &[]);
    let also = from.store.closure(&[secret]).unwrap().objects();
    let mut greedy = Greedy { store: &to.store, questions: 0, also };
    let sent = send(&from.store, &mut greedy, &[web], &Silent).unwrap();
    assert_eq!((sent.objects, sent.bytes, greedy.questions), (6 + 5 + 2, 2 * (8 + 9 + 7), 2));
    assert_eq!(to.store.closure(&[web]).unwrap(), from.store.closure(&[web]).unwrap());
    assert!(!to.store.contains(&ObjectId::Artifact(secret)).unwrap());
    assert_eq!(to.store.verify(&Silent).unwrap(), []);
    assert_eq!(send(&from.store, &mut greedy, &[web], &Silent).unwrap().objects, 0);
    assert_eq!(greedy.questions, 3, "where all is present, once");
}

/// What a monitor was told: how much there would be, and how much there was.
#[derive(Default)]
struct Counting(std::sync::Mutex<[(u64, u64); 2]>);

impl batou_store::Monitor for Counting {
    fn begin(&self, _: batou_store::Phase, objects: u64, bytes: u64) {
        self.0.lock().unwrap()[0] = (objects, bytes);
    }

    fn advance(&self, objects: u64, bytes: u64) {
        let done = &mut self.0.lock().unwrap()[1];
        *done = (done.0 + objects, done.1 + bytes);
    }
}

#[test]
fn progress_ends_at_what_was_announced() {
    let from = Fixture::new();
    let web = stored(&from.store, "web", "a longer text", &[]);
    let [one, other] = [Counting::default(), Counting::default()];
    send(&from.store, &mut &Fixture::new().store, &[web], &one).unwrap();
    copy(&mut &from.store, &mut &Fixture::new().store, &[web], &other).unwrap();
    for counted in [one, other] {
        let [announced, done] = counted.0.into_inner().unwrap();
        assert_eq!(announced, done);
    }
}
