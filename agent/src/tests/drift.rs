//! Files that somebody changed on the host: a look finds them, and a switch puts them back.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use batou_release::Manifest;
use batou_store::Mode;

use super::host::{Controller, Host, record};
use crate::protocol::{DriftKind, DriftedFile, ErrorKind, Reply, Request};

const FILES: [(&str, &str, Mode); 2] =
    [("file", "released", Mode::PLAIN), ("run", "#!/bin/sh\n", Mode::EXECUTABLE)];

fn file(host: &Host, name: &str) -> PathBuf {
    host.target().join("current/web").join(name)
}

/// Lets the owner write into a folder, as who wants to change something there does, and takes that back.
fn in_folder(folder: &Path, change: impl FnOnce()) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    change();
    fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
}

/// Writes in place as many bytes as were there, as a file of another length would be known to be absent.
fn edit(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    fs::write(path, "tampered").unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o444)).unwrap();
}

fn drifted(host: &Host, manifest: &Manifest, sequence: u64) -> Vec<(String, DriftKind)> {
    let state = host.state(manifest, sequence);
    assert_eq!(state.settled, state.drift.is_none());
    assert_eq!(state.drift.count, state.drift.files.len() as u64);
    named(&state.drift.files)
}

fn named(files: &[DriftedFile]) -> Vec<(String, DriftKind)> {
    let name = |file: &DriftedFile| match &file.component {
        Some(component) => format!("{component}: {}", file.path),
        None => file.path.clone(),
    };
    files.iter().map(|file| (name(file), file.kind)).collect()
}

/// Switches as a controller does: what turns out to be damaged is sent, once. Returns how many objects were, and what was
/// mended.
fn switch(
    host: &Host,
    controller: &mut Controller,
    manifest: &Manifest,
    sequence: u64,
) -> (u64, Vec<String>) {
    let mut sent = host.stage(controller, manifest);
    let mut reply = controller.switch(manifest, record(sequence));
    if let Reply::Error(error) = &reply {
        assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
        sent += host.stage(controller, manifest);
        reply = controller.switch(manifest, record(sequence));
    }
    let Reply::Switched { mended, .. } = reply else { panic!("{reply:?}") };
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    (sent, named(&mended.files).into_iter().map(|(name, _)| name).collect())
}

type Tampering = fn(&Host);

#[test]
fn what_was_changed_below_current_is_named_and_put_back_by_a_switch() {
    use DriftKind::{Changed, Foreign, Lost, Missing};
    let cases: [(Tampering, &str, DriftKind, u64); 9] = [
        (
            |host| in_folder(&file(host, ""), || fs::remove_file(file(host, "file")).unwrap()),
            "web: file",
            Missing,
            0,
        ),
        (|host| edit(&file(host, "file")), "web: file", Changed, 3),
        (
            |host| {
                in_folder(&file(host, ""), || {
                    fs::remove_file(file(host, "file")).unwrap();
                    fs::write(file(host, "file"), "released").unwrap();
                });
            },
            "web: file",
            Changed,
            0,
        ),
        (
            |host| {
                in_folder(&file(host, ""), || {
                    fs::remove_file(file(host, "file")).unwrap();
                    symlink("/etc/passwd", file(host, "file")).unwrap();
                });
            },
            "web: file",
            Changed,
            0,
        ),
        (
            |host| fs::set_permissions(file(host, "run"), Permissions::from_mode(0o777)).unwrap(),
            "web: run",
            Changed,
            3,
        ),
        (
            |host| in_folder(&file(host, ""), || fs::write(file(host, "zz.conf"), "").unwrap()),
            "web: zz.conf",
            Foreign,
            0,
        ),
        (
            |host| fs::set_permissions(file(host, ""), Permissions::from_mode(0o755)).unwrap(),
            "web: .",
            Changed,
            0,
        ),
        (|host| fs::remove_dir(host.target().join("state/web")).unwrap(), "state/web", Lost, 0),
        (
            |host| fs::remove_file(host.target().join("generations/1/web")).unwrap(),
            "generations/1/web",
            Changed,
            0,
        ),
    ];
    for (number, (tampering, name, kind, objects)) in cases.into_iter().enumerate() {
        let host = Host::new();
        let manifest = host.manifest(vec![host.component_of("web", &FILES, vec![])]);
        host.release(&manifest, 1);
        assert_eq!(drifted(&host, &manifest, 1), []);
        tampering(&host);
        assert_eq!(drifted(&host, &manifest, 1), [(name.to_owned(), kind)], "case {number}");
        let (sent, mended) = switch(&host, &mut host.locked(), &manifest, 2);
        assert_eq!((sent, mended), (objects, vec![name.to_owned()]), "case {number}");
        assert_eq!(drifted(&host, &manifest, 2), [], "case {number}");
        assert_eq!(host.read("web/file").as_deref(), Some("released"), "case {number}");
        let Reply::Verified { problems, .. } = host.connect().ask(&Request::Verify) else { panic!() };
        assert!(problems.is_empty(), "case {number}: {problems:?}");
    }
}

#[test]
fn a_pointer_that_is_missing_is_told_as_that_beside_what_it_will_name() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component_of("web", &FILES, vec![])]);
    host.release(&manifest, 1);
    fs::remove_file(host.target().join("current")).unwrap();
    assert_eq!(drifted(&host, &manifest, 1), [("current".to_owned(), DriftKind::Missing)]);
    let current = host.state(&manifest, 1).current.unwrap();
    assert_eq!((current.generation, current.manifest), (1, manifest.digest()));
    symlink("generations/7", host.target().join("current")).unwrap();
    assert_eq!(drifted(&host, &manifest, 1), [("current".to_owned(), DriftKind::Changed)]);
}

#[test]
fn data_that_is_gone_is_told_by_a_new_release_too() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![]), host.component("old", "x", vec![])]);
    host.release(&first, 1);
    for component in ["web", "old"] {
        fs::remove_dir(host.target().join("state").join(component)).unwrap();
    }
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    let (_, told) = switch(&host, &mut host.locked(), &second, 2);
    assert_eq!(told, ["state/web"], "the other one is not made again");
}

/// The new release has another artifact, which shares the changed file's blob.
#[test]
fn a_new_release_does_not_carry_a_changed_file_on() {
    let host = Host::new();
    let first = host.manifest(vec![host.component_of("web", &FILES, vec![])]);
    host.release(&first, 1);
    edit(&file(&host, "file"));
    fs::write(host.target().join("state/web/kept"), "").unwrap();
    let [kept, _] = FILES;
    let second = host.manifest(vec![host.component_of("web", &[kept, ("run", "new", Mode::PLAIN)], vec![])]);
    let mut controller = host.locked();
    let objects = host.store.closure(&second.artifacts()).unwrap().objects();
    let Reply::Missing { objects } = controller.ask(&Request::Missing { objects }) else { panic!() };
    let Reply::Error(error) = controller.put(&host.stream(&objects)) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
    switch(&host, &mut controller, &second, 2);
    assert_eq!(host.read("web/file").as_deref(), Some("released"));
    assert!(host.target().join("state/web/kept").exists());
}

/// A tree that is garbage counts as present until it is read.
#[test]
fn objects_that_turn_out_to_be_garbage_while_a_release_arrives_are_asked_for_again() {
    let damages: [fn(&Path); 4] = [
        |path| fs::write(path, "garbage").unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for kind in ["trees", "blobs"] {
        for (number, damage) in damages.into_iter().enumerate() {
            let host = Host::new();
            let first = host.manifest(vec![host.component_of("web", &FILES, vec![])]);
            host.release(&first, 1);
            for entry in fs::read_dir(host.target().join("store").join(kind)).unwrap() {
                let path = entry.unwrap().path();
                fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
                damage(&path);
            }
            let other = host.component_of("other", &FILES, vec![]);
            let second = host.manifest(vec![first.components[0].clone(), other]);
            let mut controller = host.locked();
            let objects = host.store.closure(&second.artifacts()).unwrap().objects();
            let Reply::Missing { objects } = controller.ask(&Request::Missing { objects }) else { panic!() };
            // Refused, where it shows only now.
            controller.put(&host.stream(&objects));
            switch(&host, &mut controller, &second, 2);
            drop(controller);
            let Reply::Verified { problems, .. } = host.connect().ask(&Request::Verify) else { panic!() };
            assert!(problems.is_empty(), "{kind}, damage {number}: {problems:?}");
        }
    }
}
