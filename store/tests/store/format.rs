//! Versions, foreign folders and stores that cannot be written.

use std::fs;
use std::path::Path;

use batou_store::{Durability, Error, Store};

use crate::common::{Fixture, stored};

#[test]
fn a_newer_store_is_refused_by_its_version_and_a_broken_one_by_its_text() {
    let fixture = Fixture::new();
    let format = fixture.path("format");
    assert_eq!(fs::read_to_string(&format).unwrap(), "batou store 1\n");
    fs::write(&format, "batou store 2\n").unwrap();
    let error = Store::open(fixture.store.root(), Durability::Cache).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }));
    assert!(error.to_string().contains("format 2"), "{error}");
    for broken in ["", "batou store 1", "batou store 01\n", "batou store +1\n", "batou store\n", "\u{7}"] {
        fs::write(&format, broken).unwrap();
        let opened = Store::open_existing(fixture.store.root(), Durability::Cache);
        assert!(matches!(opened, Err(Error::Format { .. })), "{broken:?}");
    }
}

#[test]
fn what_is_no_file_in_place_of_the_format_file_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    fs::create_dir_all(root.join("format")).unwrap();
    let mended = |root: &Path| Store::mend_and_open(root, Durability::Cache).map(|(store, _)| store);
    for opened in [Store::open(&root, Durability::Cache), mended(&root)] {
        let error = opened.unwrap_err().to_string();
        assert!(
            error.contains("store/format") && error.ends_with("move away the folder that it is in"),
            "{error}"
        );
    }
    fs::rename(&root, folder.path().join("moved away")).unwrap();
    Store::open(&root, Durability::Cache).unwrap();
}

#[test]
fn a_folder_with_other_things_is_no_store_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let error = Store::open(folder.path(), Durability::Host).unwrap_err();
    assert!(matches!(&error, Error::NotAStore { found, .. } if found == "thesis.tex"), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_creation_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("blobs")).unwrap();
    assert!(Store::open_existing(folder.path(), Durability::Host).unwrap().is_none());
    let store = Store::open(folder.path(), Durability::Host).unwrap();
    stored(&store, "web", "1", &[]);
}

#[test]
fn looking_for_a_store_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    assert!(Store::open_existing(&root, Durability::Cache).unwrap().is_none());
    assert!(!root.exists());
}

#[test]
fn an_error_names_the_file_and_keeps_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Store::open(&file.join("store"), Durability::Cache).unwrap_err();
    assert!(error.to_string().contains("file/store"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was() {
    // Needs no root: this file refuses every write as a full disk does.
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let fixture = Fixture::new();
    let id = stored(&fixture.store, "web", "1", &[]);
    let error = batou_store::export(&fixture.store, &[id], &[], full).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::StorageFull));
}
