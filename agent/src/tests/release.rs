//! Releases that succeed, and what is written by them.

use std::os::unix::fs::PermissionsExt;

use super::host::{Host, holder, intent, record, step};
use crate::intent::Intent;
use crate::protocol::{Decision, Hello, JournaledRelease, Outcome, Reply, Request};
use crate::target::TargetDirectory;

#[test]
fn a_first_release_a_second_and_a_settled_host() {
    let host = Host::new();
    let first =
        host.manifest(vec![host.component("web", "one", vec![step("greet", "echo hello > greeting")])]);
    let before = host.state(&first, 1);
    assert_eq!((before.current, before.settled, before.missing), (None, false, first.artifacts()));
    assert!(!host.target().exists(), "a hello writes nothing");

    host.release(&first, 1);
    assert_eq!(host.read("web/file").unwrap(), "one");
    assert_eq!(std::fs::read_to_string(host.target().join("state/web/greeting")).unwrap(), "hello\n");
    let mode = host.target().join("state/web").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    let state = host.state(&first, 1);
    assert!(state.settled && !state.unfinished && state.missing.is_empty(), "{state:?}");
    assert_eq!(state.committed, Some(record(1)));
    assert!(state.current.unwrap().since.is_some());
    assert!(!host.state(&first, 2).settled, "another release is another thing to commit");

    let second =
        host.manifest(vec![host.component("web", "two", vec![step("greet", "echo hello > greeting")])]);
    assert!(!host.state(&second, 2).settled);
    let mut controller = host.locked();
    assert_eq!(host.stage(&mut controller, &second), 3, "a blob, a tree and an artifact");
    assert_eq!(host.stage(&mut controller, &second), 0);
    let Reply::Switched { generation, pending, .. } = controller.switch(&second, record(2)) else { panic!() };
    assert_eq!((generation, pending), (2, vec![]), "the step has not changed");
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    assert_eq!(host.read("web/file").unwrap(), "two");

    let entries = host.journal();
    let results: Vec<_> = entries.iter().map(|entry| (entry.from, entry.to, entry.result)).collect();
    assert_eq!(results, [(None, Some(1), Outcome::Committed), (Some(1), Some(2), Outcome::Committed)]);
    assert_eq!(entries[0].runs[0].command, "update");
}

#[test]
fn an_identical_manifest_makes_no_new_generation() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    for (manifest, sequence) in [(&first, 1), (&second, 2), (&first, 3), (&first, 4)] {
        host.release(manifest, sequence);
    }
    let state = host.state(&first, 4);
    assert!(state.settled);
    assert_eq!(state.current.unwrap().generation, 1);
    assert_eq!(std::fs::read_dir(host.target().join("generations")).unwrap().count(), 2);
}

#[test]
fn a_manifest_that_the_host_has_need_not_be_sent() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&first, 1);
    host.release(&host.manifest(vec![host.component("web", "two", vec![])]), 2);
    let mut controller = host.locked();
    let (mut order, raw) = controller.order(&first, record(3));
    controller.send(&Request::Manifest { manifest: Some(first.digest()) }, &[]);
    let (Reply::Manifest { manifest_size }, found) = controller.answer() else { panic!() };
    assert_eq!((manifest_size, &found), (order.manifest_size, &raw), "the causes follow the manifest");
    order.manifest_size = 0;
    assert!(matches!(controller.ask(&Request::Switch(order)), Reply::Switched { generation: 1, .. }));
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    assert_eq!(host.read("web/file").unwrap(), "one");
}

#[test]
fn a_release_that_leaves_a_host_as_it_is_is_journaled() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let mut controller = host.locked();
    assert!(matches!(controller.ask(&Request::CommitUnchanged { record: record(2), keep: 10 }), Reply::Done));
    drop(controller);
    assert!(host.state(&manifest, 2).settled);
    assert_eq!(host.journal().last().unwrap().record, record(2));
}

#[test]
fn a_number_is_used_once_also_where_a_damaged_journal_has_a_far_higher_one() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let path = host.target().join("journal");
    let line = std::fs::read_to_string(&path).unwrap();
    let damaged = line.replace("\"sequence\":1", "\"sequence\":9007199254740991");
    std::fs::write(&path, [line, damaged].concat()).unwrap();
    let mut controller = host.locked();
    assert_eq!(controller.hello(host.hello()).newest_sequence, crate::protocol::bounded::LAST_NUMBER);
    let commit = |sequence| Request::CommitUnchanged { record: record(sequence), keep: 10 };
    controller.refused(&commit(1), crate::protocol::ErrorKind::Moved);
    assert!(matches!(controller.ask(&commit(2)), Reply::Done));
    controller.refused(&commit(2), crate::protocol::ErrorKind::Moved);
}

#[test]
fn the_longest_record_that_is_taken_can_be_read_again() {
    use crate::protocol::bounded::LONGEST_LABEL;
    let host = Host::new();
    let names = (0..2000).map(|number| format!("h{number:0>252}").parse().unwrap()).collect();
    let (hosts, _) = crate::protocol::HostNames::first_of(names);
    let long = |sequence| JournaledRelease {
        who: "\"".repeat(LONGEST_LABEL),
        hosts: hosts.clone(),
        ..record(sequence)
    };
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, long(1)), Reply::Switched { .. }));
    let target = TargetDirectory::new(host.target().to_str().unwrap()).unwrap();
    assert_eq!(Intent::load(&target).unwrap().unwrap().record, long(1));
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    assert_eq!(host.journal()[0].record, long(1));
}

#[test]
fn steps_run_in_order_with_a_small_environment_and_their_output_is_passed_on() {
    let host = Host::new();
    let mut environment = step("environment", "env | cut -d= -f1 | sort | tr '\\n' ' '; pwd; cat; umask");
    environment.environment.insert("COLOUR".into(), "red".into());
    let mut elsewhere = step("elsewhere", "pwd; echo oops >&2");
    elsewhere.directory = Some("/".into());
    let manifest = host.manifest(vec![host.component("web", "one", vec![environment, elsewhere])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &manifest, 1), Reply::Done));
    let output = String::from_utf8(controller.output.clone()).unwrap();
    let folder = host.target().join("state/web");
    let expected =
        format!("COLOUR HOME LANG LOGNAME PATH PWD SHELL USER {}\n0022\n/\noops\n", folder.display());
    assert_eq!(output, expected);
}

#[test]
fn verify_decides_whether_update_is_run() {
    let host = Host::new();
    let mut touch = step("touch", "touch made");
    touch.verify = Some("test -e made".into());
    let manifest = host.manifest(vec![host.component("web", "one", vec![touch])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    std::fs::create_dir_all(host.target().join("state/web")).unwrap();
    std::fs::write(host.target().join("state/web/made"), "").unwrap();
    let Reply::Switched { pending, .. } = controller.switch(&manifest, record(1)) else { panic!() };
    assert_eq!(pending, ["web"]);
    let activate = |recheck| Request::Activate { component: "web".parse().unwrap(), recheck };
    let ran = |reply| {
        let Reply::Activated { units } = reply else { panic!("{reply:?}") };
        units.into_iter().map(|one| (one.unit.to_string(), one.decision)).collect::<Vec<_>>()
    };
    let touched = |decision| [("step web/touch".to_owned(), decision)];
    assert_eq!(ran(controller.ask(&activate(false))), touched(Decision::Held), "it holds already");
    std::fs::remove_file(host.target().join("state/web/made")).unwrap();
    assert_eq!(ran(controller.ask(&activate(false))), [], "it is recorded to hold");
    assert_eq!(ran(controller.ask(&activate(true))), touched(Decision::Ran));
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
}

#[test]
fn a_rollback_reverts_what_the_left_release_ran() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![step("stays", "echo stays >> log")])]);
    let mut gone = step("gone", "echo gone >> log");
    gone.revert = Some("echo reverted >> log".into());
    let mut later = step("later", "echo later >> log");
    later.revert = Some("echo later reverted >> log".into());
    let steps = vec![step("stays", "echo stays >> log"), gone, later];
    let second = host.manifest(vec![host.component("web", "two", steps)]);
    host.release(&first, 1);
    host.release(&second, 2);
    let mut controller = host.locked();
    let back = JournaledRelease { restores: Some(1), ..record(3) };
    let reply = controller.switch(&first, back);
    assert!(matches!(reply, Reply::Switched { generation: 1, .. }), "{reply:?}");
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    drop(controller);
    let log = || std::fs::read_to_string(host.target().join("state/web/log")).unwrap();
    assert_eq!(log(), "stays\ngone\nlater\nlater reverted\nreverted\n");
    host.release(&second, 4);
    assert!(log().ends_with("reverted\ngone\nlater\n"), "what was reverted is run again");
}

#[test]
fn an_agent_that_ended_is_recovered_by_the_next_lock() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    host.release(&first, 1);
    host.release(&second, 2);
    let target = TargetDirectory::new(host.target().to_str().unwrap()).unwrap();
    let intent = intent(Some(1), (2, &second), 3);
    intent.store(&target).unwrap();
    assert!(host.state(&second, 2).unfinished);
    assert!(!host.state(&second, 2).settled);

    let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    assert_eq!(state.current.unwrap().generation, 1);
    assert!(state.recovered[0].contains("interrupted"), "{:?}", state.recovered);
    assert!(!state.unfinished);
    assert_eq!(host.read("web/file").unwrap(), "one");
    assert_eq!(host.journal().last().unwrap().result, Outcome::Interrupted);

    let committed = Intent { record: record(2), ..intent };
    committed.store(&target).unwrap();
    host.release(&second, 4);
    assert_eq!(host.read("web/file").unwrap(), "two");
}

#[test]
fn a_committed_release_survives_an_agent_that_ended_before_it_removed_the_intent() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&first, 1);
    let target = TargetDirectory::new(host.target().to_str().unwrap()).unwrap();
    intent(None, (1, &first), 1).store(&target).unwrap();
    let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else { panic!() };
    assert_eq!((state.recovered, state.unfinished), (vec![], false));
    assert_eq!(host.read("web/file").unwrap(), "one");
}

#[test]
fn the_home_directory_is_checked_before_anything_is_written() {
    let host = Host::new();
    let mut controller = super::host::Controller::start();
    let hello = Hello { home: Some("/home/nobody-of-that-name".into()), ..host.hello() };
    let message = controller.refused(&Request::Hello(hello), crate::protocol::ErrorKind::Home);
    assert!(message.contains("/home/nobody-of-that-name"), "{message}");
    let own = crate::user::User::current().home;
    controller.hello(Hello { home: Some(own), ..host.hello() });
    assert!(!host.target().exists());
}
