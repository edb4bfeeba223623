//! What is kept, what is collected, and what retiring leaves.

use std::collections::BTreeSet;
use std::path::Path;

use super::host::{Host, holder, record, step};
use crate::protocol::{ErrorKind, Reply, Request};
use batou_release::Manifest;

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn release(host: &Host, manifest: &Manifest, sequence: u64, keep: u32) {
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, manifest, sequence), Reply::Done));
    assert!(matches!(controller.ask(&Request::Commit { keep }), Reply::Done));
    assert_eq!(controller.end(), 0);
}

fn manifests(host: &Host, contents: &[&str]) -> Vec<Manifest> {
    contents.iter().map(|content| host.manifest(vec![host.component("web", content, vec![])])).collect()
}

#[test]
fn a_commit_keeps_the_last_releases_and_what_they_need() {
    let host = Host::new();
    let all = manifests(&host, &["one", "two", "three", "four"]);
    for (manifest, sequence) in all.iter().zip(1..) {
        release(&host, manifest, sequence, 2);
    }
    assert_eq!(names(&host.target().join("generations")), ["3".into(), "4".into()].into());
    let there: Vec<_> = all.iter().map(|manifest| host.artifact_on_host(&manifest.artifacts()[0])).collect();
    assert_eq!(there, [false, false, true, true]);
    assert_eq!(host.read("web/file").unwrap(), "four");
}

#[test]
fn releases_that_were_taken_back_do_not_count_and_are_collected() {
    let host = Host::new();
    let all = manifests(&host, &["one", "two", "three"]);
    release(&host, &all[0], 1, 2);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &all[1], 2), Reply::Done));
    assert_eq!(controller.end(), 1);
    release(&host, &all[2], 3, 2);
    assert_eq!(names(&host.target().join("generations")), ["1".into(), "3".into()].into());
    assert!(!host.artifact_on_host(&all[1].artifacts()[0]));
}

/// What is left of a journal's text.
type JournalLoss = fn(&str) -> String;

/// Where lines of the journal were lost, they may be found again, and with them the way back to these generations.
#[test]
fn generations_that_no_line_tells_of_stay_until_they_are_old() {
    let contents = ["one", "two", "three", "four", "five", "six"];
    let losses: [(JournalLoss, _); 2] = [
        (|_| String::new(), [&["2", "3", "4"][..], &["3", "4", "5"], &["4", "5", "6"]]),
        (
            |journal| journal.replacen("\"sequence\":2", "\"sequence\":-2", 1),
            [&["1", "2", "3", "4"], &["3", "4", "5"], &["4", "5", "6"]],
        ),
    ];
    for (number, (lose, kept)) in losses.into_iter().enumerate() {
        let host = Host::new();
        let all = manifests(&host, &contents);
        for (manifest, sequence) in all[..3].iter().zip(1..) {
            release(&host, manifest, sequence, 3);
        }
        let journal = host.target().join("journal");
        let lost = lose(&std::fs::read_to_string(&journal).unwrap());
        std::fs::write(&journal, lost).unwrap();
        for ((manifest, sequence), kept) in all[3..].iter().zip(4..).zip(kept) {
            release(&host, manifest, sequence, 3);
            let kept = kept.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(&host.target().join("generations")), kept, "loss {number}, release {sequence}");
        }
    }
}

#[test]
fn a_generation_that_no_line_tells_of_and_nobody_can_read_goes() {
    let host = Host::new();
    let all = manifests(&host, &["one", "two", "three"]);
    release(&host, &all[0], 1, 3);
    release(&host, &all[1], 2, 3);
    std::fs::write(host.target().join("journal"), "").unwrap();
    std::fs::write(host.target().join("generations/1/manifest.json"), "{").unwrap();
    release(&host, &all[2], 3, 3);
    assert_eq!(names(&host.target().join("generations")), ["2".into(), "3".into()].into());
}

#[test]
fn one_release_committed_often_counts_once() {
    let host = Host::new();
    let all = manifests(&host, &["one", "two"]);
    release(&host, &all[0], 1, 2);
    release(&host, &all[1], 2, 2);
    let mut controller = host.locked();
    for sequence in 3..6 {
        let again = crate::protocol::JournaledRelease { sequence, ..record(2) };
        assert!(matches!(controller.ask(&Request::CommitUnchanged { record: again, keep: 2 }), Reply::Done));
    }
    assert_eq!(names(&host.target().join("generations")).len(), 2);
}

#[test]
fn collect_removes_what_was_staged_for_nothing_and_forgets_its_steps() {
    let host = Host::new();
    let steps = |name: &str| vec![step(name, "true")];
    let first = host.manifest(vec![host.component("web", "one", steps("a"))]);
    let second = host.manifest(vec![host.component("web", "two", steps("b"))]);
    host.release(&first, 1);
    host.release(&second, 2);
    let staged = host.manifest(vec![host.component("db", "three", vec![])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &staged);
    let reply = controller.ask(&Request::Collect { keep: 1 });
    let Reply::Collected { generations, objects, bytes, obstacles } = reply else { panic!("{reply:?}") };
    assert_eq!((generations, objects), (1, 6));
    assert!(bytes > 0 && obstacles.is_empty());
    let activated = std::fs::read_to_string(host.target().join("activated.json")).unwrap();
    assert!(activated.contains("web/step/b") && !activated.contains("web/step/a"), "{activated}");
    assert!(matches!(controller.ask(&Request::Collect { keep: 1 }), Reply::Collected { objects: 0, .. }));
}

#[test]
fn a_kept_generation_that_cannot_be_read_keeps_every_object_and_goes_with_its_time() {
    let host = Host::new();
    let contents = ["one", "two", "three", "four"];
    let all = manifests(&host, &contents);
    for (manifest, sequence) in all.iter().zip(1..) {
        host.release(manifest, sequence);
    }
    let there =
        || all.iter().map(|manifest| host.artifact_on_host(&manifest.artifacts()[0])).collect::<Vec<_>>();
    let damages: [fn(&Path); 3] = [
        |path| std::fs::write(path, "{").unwrap(),
        |path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            std::fs::write(path, text.replace("\"format\":2", "\"format\":3")).unwrap();
        },
        |path| std::fs::remove_file(path).unwrap(),
    ];
    let path = host.target().join("generations/2/manifest.json");
    let whole = std::fs::read(&path).unwrap();
    for (damage, why) in damages.iter().zip(["not a manifest", "use a newer batou", "no generation 2"]) {
        std::fs::write(&path, &whole).unwrap();
        damage(&path);
        let mut controller = host.locked();
        let reply = controller.ask(&Request::Collect { keep: 3 });
        let Reply::Collected { objects, obstacles, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(objects, 0);
        let [obstacle] = &obstacles[..] else { panic!("{obstacles:?}") };
        assert_eq!(obstacle.generation, Some(2));
        assert!(obstacle.reason.contains(why), "{obstacle:?}");
        assert_eq!(there(), [true; 4]);
        assert_eq!(controller.end(), 0);
    }
    assert_eq!(names(&host.target().join("generations")), ["2", "3", "4"].map(String::from).into());
    let reply = host.locked().ask(&Request::Collect { keep: 2 });
    assert!(matches!(reply, Reply::Collected { generations: 1, objects: 6, .. }), "{reply:?}");
    assert_eq!(there(), [false, false, true, true]);
}

#[test]
fn a_lease_protects_what_was_staged_from_another_collection() {
    let host = Host::new();
    let staged = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &staged);
    let store =
        batou_store::Store::open(&host.target().join("store"), batou_store::Durability::Host).unwrap();
    store.gc(&[], &batou_store::Silent).unwrap();
    assert!(host.artifact_on_host(&staged.artifacts()[0]));
    assert_eq!(controller.end(), 0);
    store.gc(&[], &batou_store::Silent).unwrap();
    assert!(!host.artifact_on_host(&staged.artifacts()[0]));
}

#[test]
fn retiring_removes_what_is_ours_and_keeps_data_and_strangers() {
    let host = Host::new();
    let write = vec![step("write", "echo precious > data")];
    let manifest =
        host.manifest(vec![host.component("web", "one", write), host.component("idle", "x", vec![])]);
    host.release(&manifest, 1);
    std::fs::write(host.target().join("README"), "somebody's").unwrap();
    let mut controller = host.locked();
    assert!(matches!(
        controller.ask(&Request::Retire { purge: false }),
        Reply::Retired { removed: true, .. }
    ));
    assert_eq!(names(&host.target()), ["README".into(), "state".into()].into());
    assert_eq!(names(&host.target().join("state")), ["web".into()].into());
    controller.refused(&Request::Retire { purge: true }, ErrorKind::Unlocked);
    assert!(matches!(controller.ask(&Request::Lock { holder: holder("alice") }), Reply::Locked(_)));
    assert!(matches!(controller.ask(&Request::Retire { purge: true }), Reply::Retired { removed: true, .. }));
    assert_eq!(names(&host.target()), ["README".into()].into());
    drop(controller);

    std::fs::remove_file(host.target().join("README")).unwrap();
    host.release(&manifest, 1);
    let mut controller = host.locked();
    assert!(matches!(controller.ask(&Request::Retire { purge: true }), Reply::Retired { removed: true, .. }));
    assert!(!host.target().exists());
}

#[test]
fn links_in_place_of_data_are_named_and_what_they_lead_to_is_kept() {
    use std::os::unix::fs::symlink;

    let host = Host::new();
    let write = vec![step("write", "echo precious > data")];
    let manifest = host.manifest(vec![host.component("web", "one", write)]);
    let (states, disk) = (host.target().join("state"), host.target().with_file_name("disk"));
    for linked in [states.clone(), states.join("web"), host.target().join("store")] {
        host.release(&manifest, 1);
        let _ = std::fs::remove_dir_all(&disk);
        std::fs::rename(&linked, &disk).unwrap();
        symlink(&disk, &linked).unwrap();
        let Reply::Retired { links, .. } = host.locked().ask(&Request::Retire { purge: true }) else {
            panic!()
        };
        assert!(!host.target().exists(), "{linked:?}");
        if linked.ends_with("store") {
            assert!(links.is_empty() && names(&disk).is_empty(), "{links:?}");
        } else {
            assert_eq!(links, [format!("{} (to {})", linked.display(), disk.display())]);
            assert!(disk.join("data").exists() || disk.join("web/data").exists());
        }
    }
}

#[test]
fn a_long_journal_is_told_from_its_end() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let path = host.target().join("journal");
    let line = std::fs::read_to_string(&path).unwrap();
    let reason = format!("\"result\":\"went-back\",\"reason\":\"{}\"", "x".repeat(1 << 20));
    let long = line.replace("\"result\":\"committed\"", &reason).replace("\"sequence\":1", "\"sequence\":2");
    std::fs::write(&path, [line.clone(), long.repeat(12), "{\"release\":".into()].concat()).unwrap();
    assert_eq!(host.journal().len(), 7);
    let state = host.state(&manifest, 1);
    assert!(state.settled);
    assert_eq!(state.newest_sequence, 2);
}
