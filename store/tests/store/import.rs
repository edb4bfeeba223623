//! Importing a source folder.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use batou_store::{Digest, Error, Imported, Node, RelPath};
use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::common::{Fixture, listing};

fn source(fixture: &Fixture) -> PathBuf {
    let source = fixture.folder.path().join("source");
    fs::create_dir_all(source.join("etc/empty")).unwrap();
    fs::write(source.join("etc/conf"), "conf").unwrap();
    fs::write(source.join("run"), "run").unwrap();
    fs::write(source.join("large"), vec![1; 300 << 10]).unwrap();
    fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("/nowhere", source.join("link")).unwrap();
    age(&source, 10);
    source
}

/// Makes files look as if they were written some seconds ago; ctime is waited for.
fn age(folder: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    for path in listing(folder) {
        let path = folder.join(path);
        if path.symlink_metadata().unwrap().is_file() {
            fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
    }
    std::thread::sleep(Duration::from_millis(50));
}

fn import(fixture: &Fixture, source: &Path, cache: Option<&Path>) -> Result<Imported, Error> {
    fixture.store.import(source, &GlobSet::empty(), cache)
}

#[test]
fn files_links_modes_and_empty_folders_are_kept() {
    let fixture = Fixture::new();
    let source = source(&fixture);
    let imported = import(&fixture, &source, None).unwrap();
    assert_eq!((imported.files, imported.bytes, imported.hashed), (3, 4 + 3 + (300 << 10), 3));
    let files = fixture.store.files(&imported.node).unwrap();
    let paths: Vec<_> = files.keys().map(RelPath::as_str).collect();
    assert_eq!(paths, ["etc/conf", "etc/empty", "large", "link", "run"]);
    assert!(matches!(&files["run"], Node::File { mode, size: 3, .. } if mode.bits() == 0o550));
    assert!(matches!(&files["link"], Node::Symlink { target } if target == "/nowhere"));
    assert!(matches!(&files["etc/empty"], Node::Directory { .. }));
    assert_eq!(fixture.store.read_blob(&Digest::of(b"conf"), 10).unwrap(), b"conf");
}

#[test]
fn what_is_excluded_is_not_read() {
    let fixture = Fixture::new();
    let source = source(&fixture);
    fs::write(source.join("etc").join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    let mut exclude = GlobSetBuilder::new();
    exclude.add(Glob::new("etc").unwrap()).add(Glob::new("lar*").unwrap());
    let imported = fixture.store.import(&source, &exclude.build().unwrap(), None).unwrap();
    assert_eq!(fixture.store.files(&imported.node).unwrap().len(), 2);
}

#[test]
fn unchanged_files_are_not_read_again_and_changed_ones_are() {
    let fixture = Fixture::new();
    let source = source(&fixture);
    let cache = fixture.folder.path().join("cache/source");
    let first = import(&fixture, &source, Some(&cache)).unwrap();
    let written = fs::metadata(&cache).unwrap().modified().unwrap();
    let second = import(&fixture, &source, Some(&cache)).unwrap();
    assert_eq!(second, Imported { hashed: 0, ..first });
    assert_eq!(fs::metadata(&cache).unwrap().modified().unwrap(), written, "nothing new to remember");

    // The same size, and the time set back: the inode's change time tells.
    let time = fs::metadata(source.join("run")).unwrap().modified().unwrap();
    fs::write(source.join("run"), "nur").unwrap();
    fs::File::open(source.join("run")).unwrap().set_modified(time).unwrap();
    let third = import(&fixture, &source, Some(&cache)).unwrap();
    assert_eq!(third.hashed, 1);
    assert_ne!(third.node, first.node);

    fs::write(&cache, "rubbish").unwrap();
    assert_eq!(import(&fixture, &source, Some(&cache)).unwrap().hashed, 3);
}

#[test]
fn a_file_changed_within_the_clocks_grain_is_read_again() {
    let fixture = Fixture::new();
    let source = source(&fixture);
    let cache = fixture.folder.path().join("cache");
    fs::write(source.join("run"), "one").unwrap();
    import(&fixture, &source, Some(&cache)).unwrap();
    fs::write(source.join("run"), "two").unwrap();
    let second = import(&fixture, &source, Some(&cache)).unwrap();
    let files = fixture.store.files(&second.node).unwrap();
    assert!(matches!(&files["run"], Node::File { digest, .. } if *digest == Digest::of(b"two")));
    // Old enough now, but not remembered before.
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(import(&fixture, &source, Some(&cache)).unwrap().hashed, 1);
    assert_eq!(import(&fixture, &source, Some(&cache)).unwrap().hashed, 0);
}

#[test]
fn an_object_that_gc_took_is_stored_again_in_spite_of_the_cache() {
    let fixture = Fixture::new();
    let source = source(&fixture);
    let cache = fixture.folder.path().join("cache");
    let first = import(&fixture, &source, Some(&cache)).unwrap();
    fixture.store.gc(&[], &batou_store::Silent).unwrap();
    assert_eq!(import(&fixture, &source, Some(&cache)).unwrap(), first);
}

#[test]
fn what_cannot_be_stored_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    let refused = |make: &dyn Fn(&Path), shown: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fine"), "x").unwrap();
        make(folder.path());
        let error = import(&fixture, folder.path(), None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(shown) && text.contains("strange"), "{text}");
        assert_eq!(listing(&fixture.path("blobs")), Vec::<String>::new());
        assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
    };
    let mode = |bits| {
        move |folder: &Path| {
            fs::write(folder.join("strange"), "x").unwrap();
            fs::set_permissions(folder.join("strange"), fs::Permissions::from_mode(bits)).unwrap();
        }
    };
    refused(&mode(0o4755), "setuid");
    refused(&mode(0o2755), "setgid");
    refused(
        &|folder| drop(std::os::unix::net::UnixListener::bind(folder.join("strange")).unwrap()),
        "a socket",
    );
    refused(
        &|folder| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, folder.join("strange"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        },
        "a pipe",
    );
    refused(
        &|folder| fs::write(folder.join(std::ffi::OsStr::from_bytes(b"strange\xff")), "x").unwrap(),
        "not valid UTF-8",
    );
    refused(
        &|folder| symlink(std::ffi::OsStr::from_bytes(b"\xff"), folder.join("strange")).unwrap(),
        "target is not valid UTF-8",
    );
    let missing = import(&fixture, Path::new("/nonexistent/strange"), None).unwrap_err();
    assert!(missing.to_string().contains("strange"), "{missing}");
}
