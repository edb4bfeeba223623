//! Hosts that go back: because a step failed, the controller is gone, or it fell silent.

use rustix::process::{Pid, Signal, kill_process};

use super::host::{Host, eventually, holder, record, step};
use crate::command::OUTPUT;
use crate::protocol::{ErrorKind, JournaledRelease, Outcome, Reply, Request};

fn activate(component: &str) -> Request {
    Request::Activate { component: component.parse().unwrap(), recheck: false }
}

fn log(host: &Host) -> String {
    std::fs::read_to_string(host.target().join("state/web/log")).unwrap_or_default()
}

fn last(host: &Host) -> crate::protocol::JournalEntry {
    host.journal().last().unwrap().clone()
}

#[test]
fn a_failing_step_takes_the_release_back() {
    let host = Host::new();
    let old = step("configure", "echo old >> log");
    let first = host.manifest(vec![host.component("web", "one", vec![old])]);
    let mut changed = step("configure", "echo new >> log");
    changed.revert = Some("echo reverted >> log".into());
    let never = step("never", "echo never >> log");
    let failing = step("fail", "echo some reason; exit 7");
    let second = host.manifest(vec![host.component("web", "two", vec![changed, failing, never])]);
    host.release(&first, 1);

    let mut controller = host.locked();
    let Reply::Error(error) = host.switch(&mut controller, &second, 2) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Unit);
    assert!(error.message.contains("web/fail") && error.message.contains("status 7"), "{error}");
    let run = error.run.unwrap();
    assert_eq!((run.status, run.output.as_str()), (Some(7), "some reason\n"));
    assert_eq!(host.read("web/file").unwrap(), "two", "until the controller says so");

    let reply = controller.ask(&Request::GoBack { reason: "web1 failed".into() });
    let Reply::WentBack { generation: Some(1), problems, unreverted } = reply else { panic!("{reply:?}") };
    assert!(problems.is_empty(), "{problems:?}");
    let names = |units: &[batou_release::UnitId]| units.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&unreverted), ["step web/fail"], "what it did nobody can undo");
    assert_eq!(host.read("web/file").unwrap(), "one");
    assert_eq!(log(&host), "old\nnew\nreverted\nold\n");
    let again = controller.ask(&Request::GoBack { reason: "once more".into() });
    assert!(
        matches!(again, Reply::WentBack { generation: Some(1), .. }),
        "there is nothing left to go back from"
    );
    assert_eq!(controller.end(), 0);

    let entry = last(&host);
    assert_eq!((entry.result, entry.reason.as_deref()), (Outcome::WentBack, Some("web1 failed")));
    assert_eq!(names(&entry.unreverted), ["step web/fail"]);
    assert_eq!(entry.problems, problems, "others hear of it from the journal");
    let runs: Vec<_> = entry.runs.iter().map(|run| (run.unit.name.as_str(), run.command.as_str())).collect();
    let expected =
        [("configure", "update"), ("fail", "update"), ("configure", "revert"), ("configure", "update")];
    assert_eq!(runs, expected);
    assert!(host.state(&first, 1).settled, "as if nothing had been");
}

#[test]
fn going_back_from_a_first_release_leaves_none() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("fail", "false")])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &manifest, 1), Reply::Error(_)));
    let reply = controller.ask(&Request::GoBack { reason: "it failed".into() });
    assert!(matches!(reply, Reply::WentBack { generation: None, .. }), "{reply:?}");
    assert!(!host.target().join("current").exists());
    assert_eq!(controller.end(), 0);
    let state = host.state(&manifest, 1);
    assert_eq!((state.current, state.committed, state.newest_sequence), (None, None, 1));
}

#[test]
fn a_step_that_failed_is_finished_by_the_next_release() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("gate", "test -e open")])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &manifest, 1), Reply::Error(_)));
    assert_eq!(controller.end(), 1);
    std::fs::write(host.target().join("state/web/open"), "").unwrap();
    host.release(&manifest, 2);
    assert!(host.state(&manifest, 2).settled);
}

#[test]
fn verify_must_hold_after_update() {
    let host = Host::new();
    let mut useless = step("useless", "echo trying");
    useless.verify = Some("test -e made".into());
    let mut alone = step("alone", "");
    (alone.verify, alone.update) = (Some("test -e made".into()), None);
    for (step, words) in [(useless, "even after update"), (alone, "no update")] {
        let manifest = host.manifest(vec![host.component("web", "one", vec![step])]);
        let mut controller = host.locked();
        let sequence = controller.hello(host.hello()).newest_sequence + 1;
        let Reply::Error(error) = host.switch(&mut controller, &manifest, sequence) else { panic!() };
        assert!(error.message.contains(words), "{error}");
        assert_eq!(error.run.unwrap().command, "verify");
        assert_eq!(controller.end(), 1);
    }
}

#[test]
fn a_connection_that_ends_takes_the_release_back() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    host.release(&first, 1);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &second, 2), Reply::Done));
    assert_eq!(host.read("web/file").unwrap(), "two");
    assert_eq!(controller.end(), 1);
    assert_eq!(host.read("web/file").unwrap(), "one");
    assert!(last(&host).reason.unwrap().contains("connection"));
    assert!(!host.state(&first, 1).unfinished);
}

#[test]
fn a_connection_that_ends_ends_a_running_step_and_all_it_started() {
    let host = Host::new();
    let text = "sleep 60 & echo $! > child; wait; touch over";
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("slow", text)])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, record(1)), Reply::Switched { .. }));
    controller.send(&activate("web"), &[]);
    let child = host.target().join("state/web/child");
    eventually(|| std::fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(controller.end(), 1);
    assert!(!host.target().join("state/web/over").exists(), "nobody waited for its end");
    let child = std::fs::read_to_string(&child).unwrap();
    let process = format!("/proc/{}/stat", child.trim());
    eventually(|| std::fs::read_to_string(&process).map_or(true, |text| text.contains(") Z ")));
    assert!(!host.target().join("current").exists());
}

#[test]
fn a_silent_controller_is_given_up_and_heartbeats_are_no_silence() {
    let host = Host::new();
    let text = "touch began; until test -e go; do sleep 0.01; done";
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("slow", text)])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, record(1)), Reply::Switched { .. }));
    controller.send(&activate("web"), &[]);
    let state = host.target().join("state/web");
    eventually(|| state.join("began").exists());
    for _ in 0..20 {
        controller.send(&Request::Heartbeat, &[]);
    }
    std::fs::write(state.join("go"), "").unwrap();
    assert!(matches!(controller.answer().0, Reply::Activated { .. }));
    assert_eq!(host.read("web/file").unwrap(), "one");
    controller.falls_silent();
    assert_eq!(controller.wait(), 1);
    assert!(!host.target().join("current").exists());
    assert!(last(&host).reason.unwrap().contains("silent"));
}

#[test]
fn a_silent_controller_loses_the_lock() {
    let host = Host::new();
    let mut silent = host.locked();
    silent.send(&Request::Put, &[]); // and then no data
    let mut next = host.connect();
    assert!(matches!(next.ask(&Request::Lock { holder: holder("bob") }), Reply::Held { .. }));
    silent.falls_silent();
    assert!(matches!(silent.answer().0, Reply::Error(_)));
    assert_eq!(silent.wait(), 1);
    assert!(matches!(next.ask(&Request::Lock { holder: holder("bob") }), Reply::Locked(_)));
}

#[test]
fn silence_ends_a_running_step() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("slow", "yes; sleep 60")])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, record(1)), Reply::Switched { .. }));
    controller.is_given_a_moment();
    // Nobody reads what the step prints without end, so it would never end by itself.
    controller.send(&activate("web"), &[]);
    assert_eq!(controller.wait(), 1);
    assert!(!host.target().join("current").exists());
}

#[test]
fn going_back_need_not_wait_for_a_running_step() {
    let host = Host::new();
    let manifest =
        host.manifest(vec![host.component("web", "one", vec![step("slow", "touch began; sleep 60")])]);
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, record(1)), Reply::Switched { .. }));
    controller.send(&activate("web"), &[]);
    eventually(|| host.target().join("state/web/began").exists());
    controller.send(&Request::GoBack { reason: "another host failed".into() }, &[]);
    let Reply::Error(error) = controller.answer().0 else { panic!() };
    assert_eq!(error.kind, ErrorKind::Unit);
    assert!(matches!(controller.answer().0, Reply::WentBack { generation: None, .. }));
    assert_eq!(controller.end(), 0);
}

#[test]
fn a_step_over_its_time_is_killed() {
    let host = Host::new();
    let mut slow = step("slow", "echo began; sleep 60; touch over");
    slow.timeout = 1;
    let manifest = host.manifest(vec![host.component("web", "one", vec![slow])]);
    let mut controller = host.locked();
    let Reply::Error(error) = host.switch(&mut controller, &manifest, 1) else { panic!() };
    assert!(error.message.contains("killed after 1 s"), "{error}");
    assert_eq!(error.run.unwrap().status, None);
    assert!(!host.target().join("state/web/over").exists());
    assert_eq!(controller.end(), 1);
}

#[test]
fn the_output_that_is_kept_of_a_step_is_bounded() {
    let host = Host::new();
    let long = step("long", "yes 0123456789 | head -n 20000; echo the end; exit 1");
    let manifest = host.manifest(vec![host.component("web", "one", vec![long])]);
    let mut controller = host.locked();
    let Reply::Error(error) = host.switch(&mut controller, &manifest, 1) else { panic!() };
    let run = error.run.unwrap();
    assert_eq!(run.status, Some(1));
    assert!(run.output.len() <= OUTPUT && run.output.ends_with("789\nthe end\n"));
    assert!(controller.output.len() > 200_000, "all of it is passed on");
    assert_eq!(controller.end(), 1);
}

#[test]
fn what_a_step_leaves_in_the_background_is_not_waited_for() {
    let host = Host::new();
    let text = "sleep 600 & echo $! > daemon; echo up";
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("daemon", text)])]);
    host.release(&manifest, 1);
    let daemon = std::fs::read_to_string(host.target().join("state/web/daemon")).unwrap();
    let daemon = Pid::from_raw(daemon.trim().parse().unwrap()).unwrap();
    kill_process(daemon, Signal::KILL).expect("it still runs");
}

#[test]
fn a_failing_revert_takes_a_rollback_back() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let mut bad = step("bad", "echo did >> log");
    bad.revert = Some("exit 3".into());
    let second = host.manifest(vec![host.component("web", "two", vec![bad])]);
    host.release(&first, 1);
    host.release(&second, 2);
    let mut controller = host.locked();
    let Reply::Error(error) = controller.switch(&first, JournaledRelease { restores: Some(1), ..record(3) })
    else {
        panic!()
    };
    assert_eq!(error.kind, ErrorKind::Unit);
    assert_eq!(error.run.unwrap().command, "revert");
    assert_eq!(host.read("web/file").unwrap(), "two");
    assert_eq!(controller.end(), 0, "the host went back already");
    assert!(host.state(&second, 2).settled);
    assert_eq!(last(&host).result, Outcome::WentBack);
}

#[test]
fn a_working_directory_that_is_missing_is_named() {
    let host = Host::new();
    let mut lost = step("lost", "true");
    lost.directory = Some("/no/such/folder".into());
    let manifest = host.manifest(vec![host.component("web", "one", vec![lost])]);
    let mut controller = host.locked();
    let Reply::Error(error) = host.switch(&mut controller, &manifest, 1) else { panic!() };
    assert!(error.message.contains("/no/such/folder"), "{error}");
    assert_eq!(controller.end(), 1);
}
