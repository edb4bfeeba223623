//! What gc keeps and what it removes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use batou_store::{Collected, Durability, Error, ObjectId, ObjectKind, Silent, Store};

use crate::common::{Fixture, add, checkout, listing, stored};

fn has(store: &Store, id: batou_store::ArtifactId) -> bool {
    store.contains(&ObjectId::Artifact(id)).unwrap()
}

#[test]
fn what_nothing_needs_goes_and_the_rest_stays_whole() {
    let fixture = Fixture::with(batou_store::Durability::Host);
    let library = stored(&fixture.store, "lib", "lib", &[]);
    let kept = stored(&fixture.store, "web", "1", &[library]);
    let dead = stored(&fixture.store, "web", "2", &[library]);
    let deader = stored(&fixture.store, "top", "2", &[dead]);
    let collected = fixture.store.gc(&[kept], &Silent).unwrap();
    // The two dead ones have the same files: three blobs and two trees; the empty tree is still needed.
    let counts = [ObjectKind::Blob, ObjectKind::Tree, ObjectKind::Artifact].map(|kind| collected.of(kind));
    assert_eq!(counts, [3, 2, 2]);
    assert_eq!(collected.objects(), 7);
    assert!(collected.bytes > 0);
    assert!(has(&fixture.store, kept) && has(&fixture.store, library));
    assert!(!has(&fixture.store, dead) && !has(&fixture.store, deader));
    assert_eq!(fs::read_dir(fixture.path("artifacts")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(fixture.path("stats")).unwrap().count(), 2);
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
    assert_eq!(fixture.store.gc(&[kept], &Silent).unwrap(), Collected::default());
    fixture.store.gc(&[], &Silent).unwrap();
    for folder in ["artifacts", "stats", "tmp", "leases"] {
        assert_eq!(listing(&fixture.path(folder)), Vec::<String>::new());
    }
}

#[test]
fn what_is_no_file_in_place_of_an_object_is_damage_and_gc_goes_on_once_it_is_moved_away() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    type Put = fn(&Path);

    let kinds: [(&str, Put); 4] = [
        ("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap()),
        ("a socket", |path| mknodat(CWD, path, FileType::Socket, Mode::RWXU, 0).unwrap()),
        ("a device", |path| symlink("/dev/zero", path).unwrap()),
        ("a folder", |path| fs::create_dir(path).unwrap()),
    ];
    for (kind, put) in kinds {
        for folder in ["records", "trees"] {
            let fixture = Fixture::new();
            let kept = stored(&fixture.store, "web", "1", &[]);
            let path = fs::read_dir(fixture.path(folder)).unwrap().next().unwrap().unwrap().path();
            fs::remove_file(&path).unwrap();
            put(&path);
            match fixture.store.gc(&[kept], &Silent) {
                Err(Error::Damaged { path: named, fault }) => {
                    assert_eq!(named, path, "{kind}");
                    assert!(fault.ends_with("move it away"), "{fault}");
                }
                other => panic!("{kind} in {folder}: {other:?}"),
            }
            fs::rename(&path, fixture.folder.path().join("moved away")).unwrap();
            assert!(matches!(fixture.store.gc(&[kept], &Silent), Err(Error::Missing(_))), "{kind}");
            assert_eq!(stored(&fixture.store, "web", "1", &[]), kept);
            fixture.store.gc(&[kept], &Silent).unwrap();
            assert_eq!(fixture.store.verify(&Silent).unwrap(), [], "{kind} in {folder}");
        }
    }
}

#[test]
fn a_lease_protects_as_long_as_it_is_held() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    let objects = fixture.store.closure(&[id]).unwrap().objects();
    let absent = ObjectId::Tree(batou_store::Digest::of(b"not here yet"));
    let lease = fixture.store.lease(&[&objects[..], &[absent]].concat()).unwrap();
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap(), Collected::default());
    drop(lease);
    assert_eq!(listing(&fixture.path("leases")), Vec::<String>::new());
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap().of(ObjectKind::Artifact), 1);
}

#[test]
fn roots_are_asked_for_when_nobody_can_write() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    let store = &fixture.store;
    let collected = std::thread::scope(|scope| {
        let mut writer = None;
        let roots = || {
            let writer = writer.insert(scope.spawn(|| store.batch().map(drop)));
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(!writer.is_finished(), "it would be missed");
            Ok::<_, Error>(vec![id])
        };
        let collected = store.gc_with(roots, &Silent).unwrap();
        writer.unwrap().join().unwrap().unwrap();
        collected
    });
    assert_eq!(collected, Collected::default());
    assert!(has(store, id));
}

#[test]
fn a_dead_holders_lease_protects_nothing() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    // What a killed process leaves: the file, and no lock on it.
    let text = serde_json::to_vec(&[ObjectId::Artifact(id)]).unwrap();
    fs::write(fixture.path("leases/lease-dead"), text).unwrap();
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap().of(ObjectKind::Artifact), 1);
    assert_eq!(listing(&fixture.path("leases")), Vec::<String>::new());
}

#[test]
fn roots_last_as_long_as_their_links() {
    let fixture = Fixture::new();
    let (one, two, three) = (
        stored(&fixture.store, "one", "1", &[]),
        stored(&fixture.store, "two", "2", &[]),
        stored(&fixture.store, "three", "3", &[]),
    );
    let link = fixture.folder.path().join("result/two");
    fixture.store.add_root("release", &[one], None).unwrap();
    fixture.store.add_root("result-two", &[two], Some(&link)).unwrap();
    fixture
        .store
        .add_root("result-three", &[three], Some(&fixture.folder.path().join("result/three")))
        .unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), checkout(&fixture.store, &two));
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap(), Collected::default());

    fs::remove_file(&link).unwrap();
    symlink("elsewhere", &link).unwrap();
    fs::remove_file(fixture.folder.path().join("result/three")).unwrap();
    assert_eq!(fixture.store.roots().unwrap().into_keys().collect::<Vec<_>>(), ["release"]);
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap().of(ObjectKind::Artifact), 2);
    assert!(has(&fixture.store, one));
    assert_eq!(listing(&fixture.path("roots")), ["release"]);

    fixture.store.remove_root("release").unwrap();
    fixture.store.remove_root("release").unwrap();
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap().of(ObjectKind::Artifact), 1);
    assert!(matches!(fixture.store.add_root("gone", &[one], None), Err(Error::Missing(_))));
    assert!(matches!(fixture.store.add_root("../gone", &[], None), Err(Error::Name(_))));
}

#[test]
fn a_root_lasts_whatever_bytes_its_link_and_the_store_are_called() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let place = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
    let store = Store::open(&place(b"store \xff"), Durability::Host).unwrap();
    let [kept, gone] = ["1", "2"].map(|seed| stored(&store, "web", seed, &[]));
    for (root, id, link) in [("kept", kept, place(b"\xc3\x28/link")), ("gone", gone, place(b"gone \xfe"))] {
        store.add_root(root, &[id], Some(&link)).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), checkout(&store, &id));
    }
    assert_eq!(store.roots().unwrap().into_keys().collect::<Vec<_>>(), ["gone", "kept"]);
    fs::remove_file(place(b"gone \xfe")).unwrap();
    store.gc(&[], &Silent).unwrap();
    assert!(has(&store, kept) && !has(&store, gone));
}

#[test]
fn an_out_link_never_replaces_a_file() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    let link = fixture.folder.path().join("result");
    fs::write(&link, "mine").unwrap();
    assert!(matches!(fixture.store.add_root("web", &[id], Some(&link)), Err(Error::Foreign { .. })));
    assert_eq!(fs::read(&link).unwrap(), b"mine");
}

#[test]
fn damage_below_a_root_stops_gc_before_it_removes_anything() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    stored(&fixture.store, "dead", "2", &[]);
    let tree = fixture.store.artifact(&id).unwrap().tree.to_string();
    fs::remove_file(fixture.path(&format!("trees/{tree}"))).unwrap();
    let before = listing(fixture.store.root());
    assert!(matches!(fixture.store.gc(&[id], &Silent), Err(Error::Missing(ObjectId::Tree(_)))));
    assert_eq!(listing(fixture.store.root()), before);
}

#[test]
fn gc_waits_for_a_batch_and_its_objects_survive_by_their_root() {
    let fixture = Fixture::new();
    let batch = fixture.store.batch().unwrap();
    let id = add(&batch, "web", "1", &[]);
    let lease = fixture.store.lease(&[ObjectId::Artifact(id)]).unwrap();
    std::thread::scope(|scope| {
        let gc = scope.spawn(|| fixture.store.gc(&[], &Silent).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!gc.is_finished());
        batch.commit().unwrap();
        assert_eq!(gc.join().unwrap(), Collected::default());
    });
    drop(lease);
    assert!(has(&fixture.store, id));
}

#[test]
fn gc_in_a_loop_never_breaks_what_batches_store_under_lease() {
    let fixture = Fixture::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, flag) = (&fixture.store, &done);
        let gc = scope.spawn(move || {
            while !flag.load(std::sync::atomic::Ordering::Relaxed) {
                store.gc(&[], &Silent).unwrap();
            }
        });
        for round in 0..30 {
            let batch = store.batch().unwrap();
            let id = add(&batch, "web", &(round % 3).to_string(), &[]);
            let lease = store.lease(&[ObjectId::Artifact(id)]).unwrap();
            batch.commit().unwrap();
            assert_eq!(store.verify_artifacts(&[id]).unwrap(), []);
            assert!(Path::new(&checkout(store, &id)).join("plain").exists());
            drop(lease);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        gc.join().unwrap();
    });
    // Whatever the two did to each other, nothing is left that nobody can name.
    fixture.store.gc(&[], &Silent).unwrap();
    assert_eq!(fixture.store.artifacts().unwrap(), []);
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
}
