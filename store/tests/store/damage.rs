//! A cache that was damaged: what is damaged goes with all that needs it, and what is made again is whole.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use batou_store::{ArtifactId, Durability, Error, ObjectId, Silent, Store};

use crate::common::{Fixture, name, stored};

/// Everything in the store, as it would have to be fetched.
fn objects(store: &Store, id: ArtifactId) -> Vec<ObjectId> {
    store.closure(&[id]).unwrap().objects()
}

fn path_of(fixture: &Fixture, object: &ObjectId) -> std::path::PathBuf {
    let folder = match object.kind().noun() {
        "artifact" => "record",
        noun => noun,
    };
    let mode = match object {
        ObjectId::Blob { mode, .. } => format!("-{:03o}", mode.bits()),
        _ => String::new(),
    };
    fixture.path(&format!("{folder}s/{}{mode}", object.digest()))
}

fn overwrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

/// What can become of a file, by name.
fn damage(kind: &str, path: &Path) {
    match kind {
        "empty" => overwrite(path, b""),
        "other content" => {
            let length = fs::metadata(path).unwrap().len();
            overwrite(path, &vec![b'x'; usize::try_from(length).unwrap()]);
        }
        "removed" => fs::remove_file(path).unwrap(),
        "a folder" => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("in it"), "x").unwrap();
        }
        other => panic!("{other}"),
    }
}

#[test]
fn whatever_is_damaged_goes_with_its_parents_and_is_made_again() {
    for kind in ["empty", "other content", "removed", "a folder"] {
        for number in 0.. {
            let fixture = Fixture::with(Durability::Cache);
            let store = &fixture.store;
            let base = stored(store, "base", "0", &[]);
            let web = stored(store, "web", "1", &[base]);
            store.check_out(&[(web, &name("web")), (base, &name("base"))]).unwrap();
            let Some(object) = objects(store, web).get(number).copied() else { break };
            damage(kind, &path_of(&fixture, &object));

            let dropped = store.drop_damaged(&[web], &[], &Silent).unwrap();
            assert_eq!(dropped.faults, BTreeSet::from([object]), "{kind}");
            assert!(dropped.artifacts.contains(&web), "{kind} {object}: all of it is below web");
            assert!(!store.contains(&ObjectId::Artifact(web)).unwrap(), "{kind} {object}");
            assert_eq!(dropped.artifacts, dropped.checked_out, "{kind} {object}");

            assert_eq!([stored(store, "base", "0", &[]), stored(store, "web", "1", &[base])], [base, web]);
            assert_eq!(store.drop_damaged(&[web], &[], &Silent).unwrap().faults, BTreeSet::new());
            store.check_out(&[(web, &name("web")), (base, &name("base"))]).unwrap();
            assert_eq!(store.verify(&Silent).unwrap(), [], "{kind} {object}");
        }
    }
}

#[test]
fn what_is_below_a_damaged_tree_goes_if_it_is_to_be_made_again() {
    let fixture = Fixture::with(Durability::Cache);
    let store = &fixture.store;
    let web = stored(store, "web", "1", &[]);
    let all = objects(store, web);
    for object in &all {
        damage("other content", &path_of(&fixture, object));
    }
    let dropped = store.drop_damaged(&[web], &all, &Silent).unwrap();
    assert_eq!(dropped.faults, all.into_iter().collect());
    assert_eq!(stored(store, "web", "1", &[]), web);
    assert_eq!(store.verify(&Silent).unwrap(), []);
}

#[test]
fn what_is_whole_stays_and_what_nobody_asked_about_too() {
    let fixture = Fixture::with(Durability::Cache);
    let store = &fixture.store;
    let [web, other] = ["1", "2"].map(|seed| stored(store, "web", seed, &[]));
    let blob = objects(store, other)[0];
    damage("empty", &path_of(&fixture, &blob));
    assert_eq!(store.drop_damaged(&[web], &[], &Silent).unwrap().faults, BTreeSet::new());
    assert!(store.contains(&ObjectId::Artifact(other)).unwrap());
    assert_eq!(store.drop_damaged(&[web, other], &[], &Silent).unwrap().artifacts, BTreeSet::from([other]));
    assert!(store.contains(&ObjectId::Artifact(web)).unwrap());
}

#[test]
fn a_file_of_another_mode_is_damaged() {
    let fixture = Fixture::with(Durability::Cache);
    let web = stored(&fixture.store, "web", "1", &[]);
    let blob = objects(&fixture.store, web)[0];
    fs::set_permissions(path_of(&fixture, &blob), Permissions::from_mode(0o000)).unwrap();
    let dropped = fixture.store.drop_damaged(&[web], &[], &Silent).unwrap();
    assert_eq!(dropped.faults, BTreeSet::from([blob]));
}

#[test]
fn a_damaged_checkout_is_made_again_and_a_damaged_blob_is_never_checked_out() {
    let fixture = Fixture::with(Durability::Cache);
    let store = &fixture.store;
    let (web, web_name) = (stored(store, "web", "1", &[]), name("web"));
    store.check_out(&[(web, &web_name)]).unwrap();
    let folder = store.artifact_path(&web, &web_name);
    assert_eq!(store.check_out(&[(web, &web_name)]).unwrap(), [], "nothing to do");

    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(folder.join("plain")).unwrap();
    assert_eq!(store.check_out(&[(web, &web_name)]).unwrap(), [web]);
    assert_eq!(fs::read(folder.join("plain")).unwrap(), b"plain 1");
    fs::remove_dir_all(fixture.path("artifacts")).unwrap();
    assert_eq!(store.check_out(&[(web, &web_name)]).unwrap(), [web]);

    overwrite(&folder.join("plain"), b"PLAIN 1"); // and so its blob, which is the same file
    let error = store.check_out(&[(web, &web_name)]).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn the_frame_of_a_cache_is_mended_and_a_newer_or_foreign_one_left_alone() {
    let fixture = Fixture::with(Durability::Cache);
    let (root, web) = (fixture.store.root(), stored(&fixture.store, "web", "1", &[]));
    fs::create_dir(root.join("releases")).unwrap(); // what its owner keeps beside it
    let mended = || Store::open_mended(root).unwrap().1;
    assert_eq!(mended(), [""; 0]);
    for broken in ["", "batou store 1", "nonsense"] {
        fs::write(root.join("format"), broken).unwrap();
        assert_eq!(mended(), ["format"], "{broken:?}");
    }
    fs::remove_file(root.join("format")).unwrap();
    assert_eq!(mended(), ["format"]);
    for file in ["format", "lock", "publish"] {
        fs::remove_file(root.join(file)).unwrap_or_default();
        fs::create_dir(root.join(file)).unwrap();
        assert_eq!(mended(), [file]);
    }
    for folder in ["tmp", "leases", "roots", "stats", "artifacts", "blobs", "trees", "records"] {
        fs::remove_dir_all(root.join(folder)).unwrap();
        assert_eq!(mended(), [""; 0], "{folder}");
        fs::remove_dir(root.join(folder)).unwrap();
        fs::write(root.join(folder), "x").unwrap();
        assert_eq!(mended(), [""; 0], "{folder}");
        fs::set_permissions(root.join(folder), Permissions::from_mode(0o000)).unwrap();
        assert_eq!(mended(), [folder]);
    }
    let store = Store::open_mended(root).unwrap().0;
    assert_eq!(stored(&store, "web", "1", &[]), web);
    assert_eq!(store.drop_damaged(&[web], &[], &Silent).unwrap().faults, BTreeSet::new());

    fs::write(root.join("format"), "batou store 2\n").unwrap();
    assert!(matches!(Store::open_mended(root), Err(Error::NewerFormat { .. })));
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.tex"), "x").unwrap();
    assert!(matches!(Store::open_mended(foreign.path()), Err(Error::NotAStore { .. })));
    for content in ["x", "batou\n", &"\0".repeat(100)] {
        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("format"), content).unwrap();
        assert!(matches!(
            Store::open_mended(foreign.path()),
            Err(Error::Format { .. } | Error::TooLarge { .. })
        ));
        assert_eq!(fs::read_to_string(foreign.path().join("format")).unwrap(), content);
    }
}

#[test]
fn gc_of_a_cache_passes_over_damaged_roots_and_leases_of_nobody() {
    let fixture = Fixture::with(Durability::Cache);
    let store = &fixture.store;
    let web = stored(store, "web", "1", &[]);
    let kept = stored(store, "web", "2", &[]);
    store.add_root("gone", &[web], None).unwrap();
    store.add_root("kept", &[kept], None).unwrap();
    fs::remove_file(fixture.path(&format!("records/{web}"))).unwrap();
    fs::write(fixture.path("roots/damaged"), "x").unwrap();
    fs::create_dir(fixture.path("roots/folder")).unwrap();
    fs::create_dir(fixture.path("leases/folder")).unwrap();
    store.gc(&[], &Silent).unwrap();
    assert_eq!(store.artifacts().unwrap(), [kept]);
    assert_eq!(store.verify(&Silent).unwrap().len(), 1, "the root whose artifact is gone");
}
