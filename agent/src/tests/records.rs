//! The files in which a host keeps what it knows about its releases, lost or damaged: every controller is told, and the next
//! release puts them right.

use std::fs;

use super::host::{Host, holder, step};
use crate::protocol::{RecordFault, Reply, Request};
use batou_release::Manifest;

/// A host with two releases, each of a generation of its own, and the journal as it was after the first.
fn released_twice() -> (Host, Manifest, Vec<u8>) {
    let host = Host::new();
    let [first, second] =
        ["one", "two"].map(|content| host.manifest(vec![host.component("web", content, vec![])]));
    host.release(&first, 1);
    let older = fs::read(host.target().join("journal")).unwrap();
    host.release(&second, 2);
    (host, second, older)
}

#[test]
fn a_journal_that_does_not_tell_what_is_in_force_is_told_and_put_right_by_a_release() {
    let (_, _, older) = released_twice();
    let unreadable = |line| RecordFault::JournalUnreadable { line };
    let contents = [
        (None, RecordFault::JournalMissing),
        (Some(vec![]), RecordFault::JournalEmpty),
        (Some(b"somebody's".to_vec()), unreadable(1)),
        (Some([&older[..], b"somebody's\n"].concat()), unreadable(2)),
        (Some(older), RecordFault::JournalOlder { sequence: 1 }),
    ];
    for (content, fault) in contents {
        let (host, second, _) = released_twice();
        let journal = host.target().join("journal");
        match content {
            Some(content) => fs::write(journal, content).unwrap(),
            None => fs::remove_file(journal).unwrap(),
        }
        let state = host.state(&second, 2);
        assert_eq!((&state.faults[..], state.generation), (&[fault][..], Some(2)));
        assert!(!state.settled && state.drift.is_none(), "{fault:?}: what is in force is as released");
        // Until then, the way back is kept for a journal that may be found again.
        let mut controller = host.locked();
        let Reply::Collected { generations: 0, .. } = controller.ask(&Request::Collect { keep: 1 }) else {
            panic!("{fault:?}")
        };
        drop(controller);
        host.release(&second, 3);
        let state = host.state(&second, 3);
        assert!(state.settled && state.faults.is_empty(), "{fault:?}: {:?}", state.faults);
    }
}

#[test]
fn a_journal_is_not_blamed_for_a_generation_that_has_no_line_yet() {
    let (host, second, older) = released_twice();
    fs::write(host.target().join("journal"), older).unwrap();
    fs::write(host.target().join("intent.json"), "").unwrap();
    assert_eq!(host.state(&second, 2).faults, [RecordFault::Intent]);
    fs::remove_file(host.target().join("journal")).unwrap();
    assert_eq!(host.state(&second, 2).faults, [RecordFault::Intent, RecordFault::JournalMissing]);
}

#[test]
fn a_journal_that_is_lost_is_told_also_while_a_release_is_under_way_and_after_it_failed() {
    let (host, second, _) = released_twice();
    fs::remove_file(host.target().join("journal")).unwrap();
    let failing = host.manifest(vec![host.component("web", "three", vec![step("s", "false")])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &failing, 3), Reply::Error(_)));
    let state = host.state(&second, 2);
    assert!(state.unfinished);
    assert_eq!(state.faults, [RecordFault::JournalEmpty]);
    assert!(matches!(
        controller.ask(&Request::GoBack { reason: "it failed".into() }),
        Reply::WentBack { .. }
    ));
    drop(controller);
    assert_eq!(host.state(&second, 2).faults, [RecordFault::JournalSilent]);

    // A first release has none before it.
    let host = Host::new();
    let failing = host.manifest(vec![host.component("web", "one", vec![step("s", "false")])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &failing, 1), Reply::Error(_)));
    assert_eq!(host.state(&failing, 1).faults, []);
    assert!(matches!(
        controller.ask(&Request::GoBack { reason: "it failed".into() }),
        Reply::WentBack { .. }
    ));
    drop(controller);
    assert_eq!(host.state(&failing, 1).faults, []);
}

#[test]
fn damaged_records_are_told_before_anything_relies_on_them() {
    let damages = [
        ("activated.json", RecordFault::Activated),
        ("running.json", RecordFault::Running),
        ("intent.json", RecordFault::Intent),
        ("generations/2/manifest.json", RecordFault::Manifest),
    ];
    for (name, fault) in damages {
        for content in ["", "{", "somebody's"] {
            let (host, second, _) = released_twice();
            fs::write(host.target().join(name), content).unwrap();
            let state = host.state(&second, 2);
            assert_eq!(state.faults, [fault], "{name}: {content:?}");
            assert!(!state.settled);
            let (problems, _) = verified(&host);
            assert!(problems.is_empty(), "the state tells of it: {problems:?}");
        }
    }
    let (host, second, _) = released_twice();
    fs::write(host.target().join("running.json"), "{").unwrap();
    let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    assert!(state.recovered[0].contains("running.json could not be read, and was removed"));
    assert!(state.faults.is_empty() && host.state(&second, 2).settled, "it is told once");
}

/// What happens to a host.
type HostChange<'h> = &'h dyn Fn(&Host);

/// What a check of the host finds, and whether a switch puts that right.
fn verified(host: &Host) -> (Vec<String>, bool) {
    match host.connect().ask(&Request::Verify) {
        Reply::Verified { problems, unsettled, .. } => (problems, unsettled),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_readable_intent_the_journal_is_judged_as_if_nothing_were_under_way() {
    let (host, second, _) = released_twice();
    fs::remove_file(host.target().join("journal")).unwrap();
    fs::write(host.target().join("intent.json"), "{").unwrap();
    let state = host.state(&second, 2);
    assert_eq!(state.faults, [RecordFault::Intent, RecordFault::JournalMissing]);
    assert!(state.unfinished && state.has_damaged_intent());
}

#[test]
fn a_check_tells_that_something_else_is_in_force_than_what_was_released() {
    let point = |host: &Host, number: u64| {
        fs::remove_file(host.target().join("current")).unwrap();
        std::os::unix::fs::symlink(format!("generations/{number}"), host.target().join("current")).unwrap();
    };
    let damages: [(HostChange<'_>, _, _); 5] = [
        (
            &|host| point(host, 1),
            "`current` leads to generation 1, and the journal says that generation 2 is in force",
            "current",
        ),
        (&|host| point(host, 7), "`current` led to generations/7, which is not there", "current"),
        (&|host| fs::remove_file(host.target().join("current")).unwrap(), "`current` was missing", "current"),
        (
            &|host| {
                fs::remove_file(host.target().join("current")).unwrap();
                fs::write(host.target().join("generations/2/manifest.json"), "{").unwrap();
            },
            "`current` is missing, and so is the generation to which it led",
            "current",
        ),
        (
            &|host| fs::remove_dir_all(host.target().join("state/web")).unwrap(),
            "state/web is gone, with all data in it",
            "state/web",
        ),
    ];
    for (damage, told, path) in damages {
        let (host, second, _) = released_twice();
        assert_eq!(verified(&host), (vec![], false));
        damage(&host);
        let (problems, unsettled) = verified(&host);
        assert!(problems.len() == 1 && problems[0].contains(told) && unsettled, "{told}: {problems:?}");
        let state = host.state(&second, 2);
        assert!(!state.settled && state.drift.files[0].path == path, "{told}: {:?}", state.drift);
        host.release(&second, 3);
        assert_eq!(verified(&host), (vec![], false), "{told}");
        assert!(host.state(&second, 3).settled, "{told}");
    }
}

#[test]
fn a_manifest_that_is_damaged_is_told_also_where_nothing_leads_to_it_any_more() {
    let (host, second, _) = released_twice();
    fs::remove_file(host.target().join("current")).unwrap();
    fs::write(host.target().join("generations/2/manifest.json"), "{").unwrap();
    let state = host.state(&second, 2);
    assert_eq!((&state.faults[..], state.generation), (&[RecordFault::Manifest][..], None));
    assert!(state.current.is_none() && state.committed.is_some());
}
