//! Batches: what is visible when, and what is left over.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use batou_store::{Artifact, Digest, Durability, Error, Mode, Node, ObjectId, Silent, Store, Tree};

use crate::common::{Fixture, add, checkout, listing, name, stored};

#[test]
fn an_artifact_is_checked_out_read_only_and_linked_to_its_blobs() {
    for durability in [Durability::Cache, Durability::Host] {
        let fixture = Fixture::with(durability);
        let id = stored(&fixture.store, "web", "1", &[]);
        fixture.store.check_out(&[(id, &name("web"))]).unwrap();
        let path = checkout(&fixture.store, &id);
        assert_eq!(listing(&path), ["empty", "etc", "etc/deep", "link", "plain", "run"]);
        assert_eq!(fs::read(path.join("plain")).unwrap(), b"plain 1");
        assert_eq!(fs::read_link(path.join("link")).unwrap().to_str(), Some("../plain"));
        for (file, mode) in [("plain", 0o444), ("run", 0o555), ("etc", 0o555), ("empty", 0o555), ("", 0o555)]
        {
            assert_eq!(fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o7777, mode, "{file}");
        }
        let digest = Digest::of(b"plain 1");
        let blob = fixture.store.blob(&digest).unwrap().metadata().unwrap();
        assert_eq!(blob.ino(), fs::metadata(path.join("plain")).unwrap().ino());
        assert_eq!(fixture.store.read_blob(&digest, 7).unwrap(), b"plain 1");
        assert!(matches!(fixture.store.read_blob(&digest, 6), Err(Error::TooLarge { size: 7, .. })));
        assert!(fixture.store.contains(&ObjectId::Artifact(id)).unwrap());
        assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_visible_before_commit_and_nothing_left_after_a_drop() {
    let fixture = Fixture::new();
    let before = listing(fixture.store.root());
    let batch = fixture.store.batch().unwrap();
    let id = add(&batch, "web", "1", &[]);
    assert!(!fixture.store.contains(&ObjectId::Artifact(id)).unwrap());
    assert_ne!(listing(&fixture.path("tmp")), Vec::<String>::new());
    drop(batch);
    assert_eq!(listing(fixture.store.root()), before);
}

#[test]
fn a_batch_that_finds_everything_present_writes_nothing() {
    let fixture = Fixture::new();
    stored(&fixture.store, "web", "1", &[]);
    let before = listing(fixture.store.root());
    let batch = fixture.store.batch().unwrap();
    add(&batch, "web", "1", &[]);
    let large = vec![7_u8; 300 << 10];
    batch.blob(None, Mode::PLAIN, &mut &b"plain 1"[..]).unwrap();
    assert_eq!(listing(fixture.store.root()), before, "not even below tmp/");
    batch.blob(None, Mode::PLAIN, &mut &large[..]).unwrap();
    batch.commit().unwrap();
    assert_eq!(fixture.store.read_blob(&Digest::of(&large), 1 << 20).unwrap(), large);
}

#[test]
fn children_come_first() {
    let fixture = Fixture::new();
    let batch = fixture.store.batch().unwrap();
    let mut tree = Tree::new();
    let file = Node::File { digest: Digest::of(b"x"), size: 1, mode: Mode::PLAIN };
    tree.insert(name("x"), file).unwrap();
    assert!(matches!(batch.tree(&tree), Err(Error::MissingChild { .. })));
    // Present with another size, or in another mode, is another object.
    batch.bytes(b"x", Mode::EXECUTABLE).unwrap();
    assert!(matches!(batch.tree(&tree), Err(Error::MissingChild { .. })));
    let artifact = Artifact { name: name("a"), tree: tree.digest(), references: [].into() };
    assert!(matches!(batch.artifact(&artifact), Err(Error::MissingChild { .. })));
    batch.bytes(b"x", Mode::PLAIN).unwrap();
    batch.tree(&tree).unwrap();
    let lone = Artifact { references: [artifact.id()].into(), ..artifact.clone() };
    assert!(matches!(batch.artifact(&lone), Err(Error::MissingChild { .. })));
    batch.artifact(&artifact).unwrap();
    batch.artifact(&lone).unwrap();
    batch.commit().unwrap();
    assert!(fixture.store.contains(&ObjectId::Artifact(lone.id())).unwrap());
}

#[test]
fn content_that_was_not_announced_is_refused() {
    let fixture = Fixture::new();
    let batch = fixture.store.batch().unwrap();
    for size in [3, 300 << 10] {
        let wrong = batch.blob(Some(&Digest::of(b"x")), Mode::PLAIN, &mut &vec![0; size][..]);
        assert!(matches!(wrong, Err(Error::Mismatch { .. })));
    }
    batch.commit().unwrap();
    assert_eq!(listing(&fixture.path("blobs")), Vec::<String>::new());
}

#[test]
fn what_a_killed_writer_left_is_swept_and_replaced() {
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    let path = checkout(&fixture.store, &id);
    // As if killed between the checkout's rename and the record's: the record is missing, files too.
    let record = fixture.path(&format!("records/{id}"));
    fs::remove_file(&record).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(path.join("plain")).unwrap();
    fs::create_dir_all(fixture.path("tmp/batch-dead/c0")).unwrap();
    fs::create_dir_all(fixture.path("artifacts/.batou-dead/etc")).unwrap();
    fs::set_permissions(fixture.path("artifacts/.batou-dead/etc"), fs::Permissions::from_mode(0o555))
        .unwrap();

    let store = Store::open(fixture.store.root(), Durability::Host).unwrap();
    assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
    assert!(!fixture.path("artifacts/.batou-dead").exists());
    assert!(!store.contains(&ObjectId::Artifact(id)).unwrap());
    assert_eq!(stored(&store, "web", "1", &[]), id);
    assert_eq!(fs::read(path.join("plain")).unwrap(), b"plain 1");
    assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
}

#[test]
fn a_batch_at_work_is_not_swept_by_another_opening() {
    let fixture = Fixture::new();
    let batch = fixture.store.batch().unwrap();
    let id = add(&batch, "web", "1", &[]);
    Store::open(fixture.store.root(), Durability::Cache).unwrap();
    batch.commit().unwrap();
    assert!(fixture.store.contains(&ObjectId::Artifact(id)).unwrap());
}

#[test]
fn many_threads_and_batches_store_the_same_objects() {
    let fixture = Fixture::new();
    let shared = fixture.store.batch().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..20).for_each(|n| {
                    add(&shared, "web", &n.to_string(), &[]);
                });
            });
            scope.spawn(|| {
                (0..20).for_each(|n| {
                    stored(&fixture.store, "web", &n.to_string(), &[]);
                });
            });
        }
    });
    shared.commit().unwrap();
    assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
    assert_eq!(fs::read_dir(fixture.path("artifacts")).unwrap().count(), 20);
}

#[test]
fn a_cache_checks_out_what_is_asked_for_and_nothing_else() {
    let fixture = Fixture::with(Durability::Cache);
    let (web, db) = (stored(&fixture.store, "web", "1", &[]), stored(&fixture.store, "db", "2", &[]));
    assert_eq!(listing(&fixture.path("artifacts")), Vec::<String>::new());
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);

    let (web_name, db_name) = (name("web"), name("db"));
    fixture.store.check_out(&[(web, &web_name)]).unwrap();
    assert_eq!(fs::read(checkout(&fixture.store, &web).join("plain")).unwrap(), b"plain 1");
    assert!(!checkout(&fixture.store, &db).exists());
    let before = listing(fixture.store.root());
    let inode = fs::metadata(checkout(&fixture.store, &web)).unwrap().ino();
    fixture.store.check_out(&[(web, &web_name)]).unwrap();
    assert_eq!(listing(fixture.store.root()), before);
    assert_eq!(fs::metadata(checkout(&fixture.store, &web)).unwrap().ino(), inode, "it was not made again");

    // As if killed before the stat record had its name: the folder is no checkout yet.
    fs::remove_file(fixture.path("stats").join(format!("{web:.40}-web"))).unwrap();
    fixture.store.check_out(&[(web, &web_name), (db, &db_name)]).unwrap();
    assert_ne!(fs::metadata(checkout(&fixture.store, &web)).unwrap().ino(), inode);
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
    assert_eq!(fixture.store.verify_artifacts(&[web, db]).unwrap(), []);
    let unknown = Artifact { name: web_name.clone(), tree: Digest::of(b"x"), references: [].into() };
    let unknown = fixture.store.check_out(&[(unknown.id(), &web_name)]);
    assert!(matches!(unknown, Err(Error::Missing(_))));
    fixture.store.gc(&[], &Silent).unwrap();
    assert_eq!(listing(&fixture.path("artifacts")), Vec::<String>::new());
}

#[test]
fn a_blob_is_found_in_any_mode() {
    let fixture = Fixture::new();
    let batch = fixture.store.batch().unwrap();
    let modes = [0o444, 0o555, 0o400, 0o440, 0o551, 0o500];
    for bits in modes {
        batch.bytes(bits.to_string().as_bytes(), Mode::new(bits).unwrap()).unwrap();
    }
    batch.commit().unwrap();
    for bits in modes {
        let content = bits.to_string().into_bytes();
        assert_eq!(fixture.store.read_blob(&Digest::of(&content), 9).unwrap(), content);
    }
    let absent = Digest::of(b"absent");
    assert!(matches!(fixture.store.blob(&absent), Err(Error::MissingBlob(found)) if found == absent));
}
