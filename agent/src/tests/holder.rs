//! What the holder of the lock checks before it changes anything, and what is on the disk by then.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::host::{Host, eventually, holder, intent, record, step};
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{ErrorKind, JournalEntry, Outcome, Reply, Request};
use crate::target::TargetDirectory;

fn target(host: &Host) -> TargetDirectory {
    TargetDirectory::new(host.target().to_str().unwrap()).unwrap()
}

fn journal(host: &Host) -> Vec<JournalEntry> {
    Journal::of(&target(host)).recent(true).unwrap()
}

fn current(host: &Host) -> Option<String> {
    std::fs::read_link(host.target().join("current")).ok().map(|link| link.to_str().unwrap().to_owned())
}

/// The folder of the generation that `current` names.
fn in_force(host: &Host) -> PathBuf {
    host.target().join(current(host).unwrap())
}

type Change = fn(&Host);

const COMMIT: Request = Request::Commit { keep: 10 };

fn go_back() -> Request {
    Request::GoBack { reason: "another host failed".into() }
}

/// An agent that stands still after it has looked at its lock would else commit a release from which another has gone back.
#[test]
fn who_takes_the_lock_waits_until_no_other_is_in_its_turn() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&first, 1);
    let turn = std::fs::File::open(target(&host).journal()).unwrap();
    turn.lock().unwrap();
    std::thread::scope(|threads| {
        let winner = threads.spawn(|| {
            let mut winner = host.connect();
            let answer = winner.ask(&Request::Lock { holder: holder("bob") });
            assert!(matches!(answer, Reply::Locked(_)), "{answer:?}");
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!winner.is_finished());
        turn.unlock().unwrap();
        winner.join().unwrap();
    });
}

#[test]
fn nothing_is_removed_by_whoever_has_lost_the_lock() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let mut controller = host.locked();
    std::fs::remove_file(host.target().join("lock")).unwrap();
    controller.refused(&Request::Retire { purge: true }, ErrorKind::Unlocked);
    drop(controller);
    assert_eq!(host.read("web/file").as_deref(), Some("one"));
    assert!(host.state(&manifest, 1).settled);
}

#[test]
fn a_switched_host_says_that_it_could_commit_and_nothing_moves() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &first, 1), Reply::Done));
    for _ in 0..2 {
        assert!(matches!(controller.ask(&Request::Prepare), Reply::Done));
    }
    assert!(journal(&host).is_empty() && Intent::is_there(&target(&host)));
    assert!(matches!(controller.ask(&COMMIT), Reply::Done));
    // Also one that is going to commit a release that changes nothing here.
    assert!(matches!(controller.ask(&Request::Prepare), Reply::Done));
}

#[test]
fn a_host_whose_current_or_intent_was_changed_cannot_commit_and_goes_back() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    host.release(&first, 1);
    let changes: [(&str, Change); 7] = [
        ("generation 2", |host| std::fs::remove_dir_all(in_force(host)).unwrap()),
        ("generation", |host| std::fs::remove_file(in_force(host).join("manifest.json")).unwrap()),
        ("generation", |host| {
            let manifest = in_force(host).join("manifest.json");
            std::fs::remove_file(&manifest).unwrap();
            std::fs::copy(host.target().join("generations/1/manifest.json"), manifest).unwrap();
        }),
        ("journal", |host| {
            let journal = target(host).journal();
            std::fs::rename(&journal, host.target().join("away")).unwrap();
            std::fs::copy(host.target().join("away"), journal).unwrap();
        }),
        ("`current`", |host| {
            std::fs::remove_file(host.target().join("current")).unwrap();
            symlink("generations/1", host.target().join("current")).unwrap();
        }),
        ("`current`", |host| std::fs::remove_file(host.target().join("current")).unwrap()),
        ("intent.json", |host| std::fs::remove_file(target(host).intent()).unwrap()),
    ];
    for ((named, change), sequence) in changes.into_iter().zip(2..) {
        let mut controller = host.locked();
        assert!(matches!(host.switch(&mut controller, &second, sequence), Reply::Done));
        change(&host);
        for request in [Request::Prepare, COMMIT] {
            let message = controller.refused(&request, ErrorKind::Moved);
            assert!(message.contains(named), "{message}");
        }
        assert!(matches!(controller.ask(&go_back()), Reply::WentBack { generation: Some(1), .. }));
        assert_eq!(current(&host).as_deref(), Some("generations/1"));
        assert_eq!(journal(&host).last().unwrap().result, Outcome::WentBack);
    }
}

/// Others believe that a lock whose file is gone is free. The one who lost it must leave everything to them.
#[test]
fn who_lost_the_lock_changes_nothing_more() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let (mut held, mut undone) = (step("held", "false"), step("undone", "touch on"));
    (held.verify, undone.revert) = (Some("true".into()), Some("rm on".into()));
    let steps = vec![step("break", "touch broken"), held, undone];
    let second = host.manifest(vec![host.component("web", "two", steps)]);
    host.release(&first, 1);
    let mut loser = host.locked();
    assert!(matches!(host.switch(&mut loser, &second, 2), Reply::Done));
    std::fs::remove_file(target(&host).lock()).unwrap();
    let message = loser.refused(&Request::Prepare, ErrorKind::Unlocked);
    assert!(message.contains("/lock was removed or replaced"), "{message}");

    let mut winner = host.connect();
    let Reply::Locked(state) = winner.ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    assert!(state.recovered[0].contains("interrupted"), "{:?}", state.recovered);
    // What its agent ran, the one that goes back knows from the record.
    assert_eq!(state.recovered[1], "left as they are, since they have no `revert`: step web/break");
    let left: Vec<_> = journal(&host)[1].unreverted.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["step web/break"]);
    for request in [COMMIT, go_back()] {
        loser.refused(&request, ErrorKind::Unlocked);
    }
    assert_eq!(winner.end(), 0);
    let mut winner = host.locked();
    assert!(matches!(host.switch(&mut winner, &second, 3), Reply::Done));
    // Nor does it go back by itself, which would be the winner's release.
    assert_eq!(loser.end(), 1);
    assert!(matches!(winner.ask(&COMMIT), Reply::Done));
    let ends: Vec<_> = journal(&host).iter().map(|entry| (entry.record.sequence, entry.result)).collect();
    let expected = [(1, Outcome::Committed), (2, Outcome::Interrupted), (3, Outcome::Committed)];
    assert_eq!(ends, expected);
    assert_eq!(host.read("web/file").unwrap(), "two");
}

#[test]
fn who_lost_the_lock_before_the_switch_does_not_switch() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &first);
    std::fs::rename(target(&host).lock(), host.target().join("moved")).unwrap();
    let (order, raw) = controller.order(&first, record(1));
    controller.send(&Request::Switch(order), &raw);
    let (Reply::Error(error), _) = controller.answer() else { panic!() };
    assert_eq!(error.kind, ErrorKind::Unlocked);
    controller.refused(&Request::CommitUnchanged { record: record(1), keep: 1 }, ErrorKind::Unlocked);
    assert_eq!(current(&host), None);
}

/// A journal that takes no line is met before `current` moves, not by the commit.
#[test]
fn a_journal_that_cannot_be_written_stops_the_switch() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &first);
    let path = host.target().join("journal");
    let obstacles: [fn(&std::path::Path); 2] =
        [|path| symlink("missing/folder/journal", path).unwrap(), |path| std::fs::create_dir(path).unwrap()];
    for obstacle in obstacles {
        obstacle(&path);
        let (order, raw) = controller.order(&first, record(1));
        controller.send(&Request::Switch(order), &raw);
        let (Reply::Error(error), _) = controller.answer() else { panic!() };
        assert!(error.message.contains("journal"), "{error}");
        assert_eq!((current(&host), Intent::is_there(&target(&host))), (None, false));
        if path.is_symlink() { std::fs::remove_file(&path) } else { std::fs::remove_dir(&path) }.unwrap();
    }
    assert!(matches!(controller.switch(&first, record(1)), Reply::Switched { .. }));
    assert!(matches!(controller.ask(&COMMIT), Reply::Done));
}

/// The pointer comes first: the host goes back from an interrupted release whatever else is damaged.
#[test]
fn an_interrupted_release_goes_back_although_the_record_of_units_is_damaged() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    host.release(&first, 1);
    host.release(&second, 2);
    let intent = intent(Some(1), (2, &second), 3);
    intent.store(&target(&host)).unwrap();
    std::fs::write(target(&host).activated(), "{").unwrap();
    let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    assert_eq!(current(&host).as_deref(), Some("generations/1"));
    assert!(state.recovered[1].contains("activated.json is damaged"), "{:?}", state.recovered);
    assert_eq!(journal(&host).last().unwrap().result, Outcome::Interrupted);
}

/// What the release before was made of may be gone as well. Its files are in force again if they are there, and nobody is
/// kept from the next release in any case.
#[test]
fn a_host_goes_back_from_an_interrupted_release_although_the_generation_before_was_removed() {
    let removals: [(Change, Option<&str>); 3] = [
        (
            |host| std::fs::remove_file(host.target().join("generations/1/manifest.json")).unwrap(),
            Some("generations/1"),
        ),
        (|host| std::fs::remove_dir_all(host.target().join("generations/1")).unwrap(), None),
        (|host| std::fs::remove_dir_all(host.target().join("generations")).unwrap(), None),
    ];
    for (remove, left) in removals {
        let host = Host::new();
        let first = host.manifest(vec![host.component("web", "one", vec![])]);
        let second = host.manifest(vec![host.component("web", "two", vec![])]);
        host.release(&first, 1);
        let mut killed = host.locked();
        assert!(matches!(host.switch(&mut killed, &second, 2), Reply::Done));
        let intent = std::fs::read(target(&host).intent()).unwrap();
        drop(killed);
        eventually(|| journal(&host).len() == 2);
        // As if the agent had been killed before it went back.
        std::fs::write(target(&host).intent(), intent).unwrap();
        let _ = std::fs::remove_file(host.target().join("current"));
        symlink("generations/2", host.target().join("current")).unwrap();
        remove(&host);
        let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else {
            panic!()
        };
        assert_eq!(current(&host).as_deref(), left, "{:?}", state.recovered);
        assert!(!Intent::is_there(&target(&host)) && !state.settled);
        if left.is_none() {
            assert!(
                state
                    .recovered
                    .iter()
                    .any(|it| it.contains("generation 1, which was in force before, was removed"))
            );
        }
        host.release(&second, 3);
        assert!(in_force(&host).join("web/greeting").exists() || in_force(&host).join("web").exists());
    }
}

#[test]
fn what_a_release_writes_down_is_its_users_only() {
    use std::os::unix::fs::MetadataExt;
    let host = Host::new();
    let steps = vec![super::host::step("s", "until test -e go; do sleep 0.01; done")];
    let first = host.manifest(vec![host.component("web", "one", steps)]);
    let mut controller = host.locked();
    host.stage(&mut controller, &first);
    assert!(matches!(controller.switch(&first, record(1)), Reply::Switched { .. }));
    controller.send(&Request::Activate { component: "web".parse().unwrap(), recheck: false }, &[]);
    let mode =
        |name: &str| std::fs::metadata(host.target().join(name)).map(|found| found.mode() & 0o7777).ok();
    let private = |names: &[&str]| {
        for name in names {
            assert_eq!(mode(name), Some(0o600), "{name}");
        }
    };
    eventually(|| mode("running.json").is_some());
    private(&["running.json", "intent.json", "lock", "store/lock", "store/publish"]);
    std::fs::write(host.target().join("state/web/go"), "").unwrap();
    assert!(matches!(controller.answer().0, Reply::Activated { .. }));
    assert!(matches!(controller.ask(&COMMIT), Reply::Done));
    private(&["journal", "activated.json", "generations/1/manifest.json", "generations/1/causes.json"]);
}

/// Else a later release would take the units of the one that lost the lock for its own, and not run them.
#[test]
fn who_lost_the_lock_while_a_step_ran_records_nothing_of_it() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let slow = step("slow", "rm ../../lock; touch done");
    let second = host.manifest(vec![host.component("web", "two", vec![slow])]);
    host.release(&first, 1);
    let mut loser = host.locked();
    let pending = host.switch(&mut loser, &second, 2);
    assert!(matches!(pending, Reply::Error(_)), "the lock is lost: {pending:?}");
    assert!(host.target().join("state/web/done").exists());
    let record = std::fs::read_to_string(target(&host).activated()).unwrap();
    assert!(record.contains("\"finished\": false"), "{record}");
}

#[test]
fn generations_that_were_moved_behind_a_link_are_refused() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&first, 1);
    let (place, elsewhere) = (host.target().join("generations"), host.target().join("elsewhere"));
    std::fs::rename(&place, &elsewhere).unwrap();
    symlink(&elsewhere, &place).unwrap();
    let message = super::host::Controller::start().refused(&Request::Hello(host.hello()), ErrorKind::Host);
    assert!(message.contains("generations is a link"), "{message}");
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&elsewhere, &place).unwrap();
    host.release(&host.manifest(vec![host.component("web", "two", vec![])]), 2);
}

/// While the release before converges, what is recorded of the steps of the abandoned one is replaced.
#[test]
fn who_is_killed_while_going_back_does_not_forget_what_stays_as_it_is() {
    let host = Host::new();
    // As the disk is in the middle of going back, once the record of the step before is that of the old release again.
    let later = step("later", "cp ../../intent.json ../../activated.json . 2>/dev/null || true");
    let first = host.manifest(vec![host.component("web", "one", vec![step("configure", "true"), later])]);
    let steps = ["configure", "later"].map(|name| step(name, "echo two")).to_vec();
    let second = host.manifest(vec![host.component("web", "two", steps)]);
    host.release(&first, 1);
    let mut killed = host.locked();
    assert!(matches!(host.switch(&mut killed, &second, 2), Reply::Done));
    drop(killed);
    eventually(|| journal(&host).len() == 2);
    for name in ["intent.json", "activated.json"] {
        std::fs::copy(host.target().join("state/web").join(name), host.target().join(name)).unwrap();
    }
    let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    let left = "left as they are, since they have no `revert`: step web/configure, step web/later";
    assert!(state.recovered.iter().any(|told| told == left), "{:?}", state.recovered);
    assert_eq!(journal(&host).last().unwrap().unreverted.len(), 2);
}
