//! Several processes, some of them killed, and filesystems that differ.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use batou_store::{Durability, ObjectId, ObjectKind, Silent, Store, copy};

use crate::common::{Fixture, add, checkout, listing, stored};

/// Where a writing child finds its store.
const ROOT: &str = "BATOU_STORE_TEST_ROOT";

/// What the children below do: store the same twelve artifacts over and over, and collect them.
#[test]
#[ignore = "a child process of the tests below"]
fn write_until_killed() {
    let Ok(root) = env::var(ROOT) else { return };
    loop {
        let store = Store::open(Path::new(&root), Durability::Host).unwrap();
        for seed in 0..12 {
            let batch = store.batch().unwrap();
            for label in ["one", "two"] {
                add(&batch, label, &seed.to_string(), &[]);
            }
            batch.commit().unwrap();
        }
        store.gc(&[], &Silent).unwrap();
    }
}

fn writer(root: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "process::write_until_killed", "--ignored"]).env(ROOT, root);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_writers_leave_only_whole_objects_and_temporary_files() {
    let fixture = Fixture::new();
    let mut left = 0;
    for round in 0..15 {
        let mut children = [writer(fixture.store.root()), writer(fixture.store.root())];
        std::thread::sleep(Duration::from_millis(40 + 13 * round));
        for child in &mut children {
            assert!(child.try_wait().unwrap().is_none(), "a writer failed by itself");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        left += usize::from(!listing(&fixture.path("tmp")).is_empty());
        let store = Store::open(fixture.store.root(), Durability::Host).unwrap();
        assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
        let mut problems = store.verify(&Silent).unwrap();
        // A checkout that was renamed, and whose record was not, counts as absent.
        problems.retain(|p| !(p.path.starts_with("artifacts") || p.path.starts_with("stats")));
        assert_eq!(problems, []);
        let ids = store.artifacts().unwrap();
        assert_eq!(store.verify_artifacts(&ids).unwrap(), []);
    }
    println!("killed 15 times two writers; {left} times temporary files were left, and swept");
    fixture.store.gc(&[], &Silent).unwrap();
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
    assert_eq!(listing(&fixture.path("artifacts")), Vec::<String>::new());
}

#[test]
fn a_checkout_on_another_filesystem_is_a_copy() {
    let fixture = Fixture::new();
    let memory = Path::new("/dev/shm");
    let Ok(elsewhere) = tempfile::tempdir_in(memory) else { return };
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(fixture.store.root()).unwrap().dev() {
        println!("not tried: the folder for temporary files is on the same filesystem as /dev/shm");
        return;
    }
    fs::remove_dir(fixture.path("artifacts")).unwrap();
    symlink(elsewhere.path(), fixture.path("artifacts")).unwrap();
    let id = stored(&fixture.store, "web", "1", &[]);
    let plain = checkout(&fixture.store, &id).join("plain");
    assert_eq!(fs::read(&plain).unwrap(), b"plain 1");
    assert_eq!(fs::metadata(&plain).unwrap().nlink(), 1);
    assert_eq!(fs::metadata(&plain).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing temporary is left");
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
    assert_eq!(fixture.store.verify_artifacts(&[id]).unwrap(), []);
    assert_eq!(fixture.store.gc(&[], &Silent).unwrap().of(ObjectKind::Artifact), 1);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let id = stored(&fixture.store, "web", "1", &[]);
    let folders: Vec<_> =
        ["", "tmp", "blobs", "trees", "records", "artifacts"].map(|f| fixture.path(f)).into();
    let protect = |bits| {
        for folder in &folders {
            fs::set_permissions(folder, fs::Permissions::from_mode(bits)).unwrap();
        }
    };
    protect(0o555);
    let before = listing(fixture.store.root());
    let store = Store::open_existing(fixture.store.root(), Durability::Cache).unwrap().unwrap();
    assert_eq!(store.verify(&Silent).unwrap(), []);
    copy(&mut &store, &mut &other.store, &[id], &Silent).unwrap();
    assert!(other.store.contains(&ObjectId::Artifact(id)).unwrap());
    assert_eq!(listing(store.root()), before);
    // Root can write anyway; everybody else gets an error that names the file.
    if !rustix::process::geteuid().is_root() {
        let error = store.batch().unwrap().bytes(b"new", batou_store::Mode::PLAIN).unwrap_err();
        assert!(error.to_string().contains("tmp"), "{error}");
    }
    protect(0o755);
}
