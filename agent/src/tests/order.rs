//! What is refused: requests out of order or on wrong assumptions, and messages that are not requests.

use std::path::PathBuf;

use super::host::{Controller, Host, holder, record, step};
use crate::protocol::{ErrorKind, Hello, MAX_HEADER, MAX_OBJECTS, Reply, Request};

#[test]
fn the_hello_comes_first_and_speaks_this_protocol() {
    let host = Host::new();
    let mut controller = Controller::start();
    controller.refused(&Request::Journal { output: true }, ErrorKind::Protocol);
    controller.refused(&Request::Lock { holder: holder("alice") }, ErrorKind::Protocol);
    controller.refused(&Request::Hello(Hello { protocol: 99, ..host.hello() }), ErrorKind::Protocol);
    for path in ["srv/shop", "/", "/srv/../etc", ""] {
        let hello = Hello { target_directory: path.into(), ..host.hello() };
        controller.refused(&Request::Hello(hello), ErrorKind::Protocol);
    }
    controller.hello(host.hello());
}

#[test]
fn what_changes_something_needs_the_lock() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let mut controller = host.connect();
    let (order, _) = controller.order(&manifest, record(2));
    for request in [
        Request::Put,
        Request::Switch(order),
        Request::Activate { component: "web".parse().unwrap(), recheck: false },
        Request::Prepare,
        Request::Commit { keep: 1 },
        Request::GoBack { reason: String::new() },
        Request::CommitUnchanged { record: record(2), keep: 1 },
        Request::Collect { keep: 1 },
        Request::Retire { purge: true },
    ] {
        let message = controller.refused(&request, ErrorKind::Unlocked);
        assert!(message.contains("srv/shop"), "{message}");
    }
    assert!(matches!(controller.ask(&Request::Unlock), Reply::Done));
    assert_eq!(host.read("web/file").unwrap(), "one");
}

#[test]
fn one_controller_has_the_lock_and_the_others_are_told_which() {
    let host = Host::new();
    let mut alice = host.locked();
    let mut bob = host.connect();
    let lock = Request::Lock { holder: holder("bob") };
    let Reply::Held { holder: Some(found) } = bob.ask(&lock) else { panic!() };
    assert_eq!(found, holder("alice"));
    assert!(matches!(alice.ask(&Request::Unlock), Reply::Done));
    assert!(matches!(bob.ask(&lock), Reply::Locked(_)));
    assert_eq!(bob.end(), 0);
    assert!(matches!(alice.ask(&Request::Lock { holder: holder("alice") }), Reply::Locked(_)));
}

#[test]
fn a_release_is_based_on_what_is_current() {
    let host = Host::new();
    let first = host.manifest(vec![host.component("web", "one", vec![])]);
    let second = host.manifest(vec![host.component("web", "two", vec![])]);
    let mut late = host.connect();
    host.release(&first, 1);
    assert!(matches!(late.ask(&Request::Lock { holder: holder("late") }), Reply::Locked(_)));
    host.stage(&mut late, &second);
    let Reply::Error(error) = late.switch(&second, record(2)) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Moved);
    assert!(error.message.contains(&first.digest().short()), "{error}");
    late.hello(host.hello());
    let Reply::Error(error) = late.switch(&second, record(1)) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Moved, "a sequence is used once");
    assert_eq!(host.read("web/file").unwrap(), "one");
}

#[test]
fn the_release_of_another_environment_is_left_alone() {
    let host = Host::new();
    host.release(&host.manifest(vec![host.component("web", "one", vec![])]), 1);
    let others = [
        Hello { environment: "staging".into(), ..host.hello() },
        Hello { project: "blog".into(), ..host.hello() },
        Hello { host: "web2".parse().unwrap(), ..host.hello() },
    ];
    for hello in others {
        let mut controller = Controller::start();
        let message = controller.refused(&Request::Hello(hello), ErrorKind::Foreign);
        assert!(message.contains("environment prod") && message.contains("srv/shop"), "{message}");
        controller.refused(&Request::Lock { holder: holder("eve") }, ErrorKind::Protocol);
    }
}

#[test]
fn a_manifest_of_another_host_is_refused() {
    let host = Host::new();
    let mut manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    manifest.host = "web2".parse().unwrap();
    let mut controller = host.locked();
    host.stage(&mut controller, &manifest);
    let Reply::Error(error) = controller.switch(&manifest, record(1)) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Protocol);
    let (order, mut raw) = controller.order(&manifest, record(1));
    raw[20] ^= 1;
    controller.send(&Request::Switch(order), &raw);
    let Reply::Error(error) = controller.answer().0 else { panic!() };
    assert_eq!(error.kind, ErrorKind::Damaged);
    assert!(!host.target().join("current").exists());
}

#[test]
fn a_release_under_way_has_to_end_before_anything_else() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("hi", "echo hi")])]);
    let mut controller = host.locked();
    controller.refused(&Request::Commit { keep: 1 }, ErrorKind::Protocol);
    controller.refused(
        &Request::Activate { component: "web".parse().unwrap(), recheck: false },
        ErrorKind::Protocol,
    );
    assert!(matches!(host.switch(&mut controller, &manifest, 1), Reply::Done));
    for request in [
        Request::Unlock,
        Request::Collect { keep: 1 },
        Request::Retire { purge: false },
        Request::CommitUnchanged { record: record(2), keep: 1 },
        Request::Exec { command: vec!["true".into()] },
        Request::Activate { component: "nobody".parse().unwrap(), recheck: false },
    ] {
        controller.refused(&request, ErrorKind::Protocol);
    }
    assert!(matches!(controller.ask(&Request::Commit { keep: 1 }), Reply::Done));
    assert_eq!(controller.end(), 0);
}

#[test]
fn what_is_no_frame_ends_the_connection_with_a_reason() {
    let frame = |header: &[u8]| [&u32::try_from(header.len()).unwrap().to_be_bytes()[..], header].concat();
    let broken = [
        (frame(br#"{"message":"format-disk"}"#), "malformed"),
        (frame(b"not json"), "malformed"),
        ((MAX_HEADER + 1).to_be_bytes().to_vec(), "allowed"),
        (frame(br#"{"raw":4294967295,"message":"data"}"#), "allowed"),
    ];
    for (bytes, words) in broken {
        let mut controller = Controller::start();
        controller.bytes(&bytes);
        let Reply::Error(error) = controller.answer().0 else { panic!() };
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains(words), "{error}");
        assert_eq!(controller.wait(), 1);
    }
    let mut controller = Controller::start();
    controller.bytes(&[0, 0, 0, 9, b'{']);
    assert_eq!(controller.end(), 0, "a cut frame is the end");
}

#[test]
fn a_message_names_a_bounded_number_of_objects() {
    let host = Host::new();
    let component = host.component("web", "one", vec![]);
    let object = batou_store::ObjectId::Artifact(component.artifact);
    let mut controller = host.connect();
    let objects = vec![object; MAX_OBJECTS + 1];
    controller.refused(&Request::Missing { objects: objects.clone() }, ErrorKind::Protocol);
    controller.refused(&Request::Get { objects }, ErrorKind::Protocol);
    let Reply::Missing { objects } = controller.ask(&Request::Missing { objects: vec![object] }) else {
        panic!()
    };
    assert_eq!(objects, [object]);
    assert!(!host.target().exists(), "to ask writes nothing");
}

#[test]
fn a_target_directory_that_is_a_file_is_named() {
    let host = Host::new();
    std::fs::create_dir_all(host.target().parent().unwrap()).unwrap();
    std::fs::write(host.target(), "").unwrap();
    let mut controller = Controller::start();
    let message = controller.refused(&Request::Hello(host.hello()), ErrorKind::Host);
    assert!(message.contains("srv/shop is not a folder"), "{message}");
}

#[test]
fn a_place_inside_of_another_target_directory_is_refused() {
    let host = Host::new();
    host.release(&host.manifest(vec![host.component("web", "one", vec![])]), 1);
    let link = host.target().parent().unwrap().join("link");
    std::os::unix::fs::symlink(host.target(), &link).unwrap();
    let at = |path: PathBuf| Hello { target_directory: path.to_str().unwrap().into(), ..host.hello() };
    for part in ["state", "store/artifacts/x", "generations/7", "current"] {
        for place in [host.target(), link.clone()] {
            let path = place.join(part).join("other");
            let message = Controller::start().refused(&Request::Hello(at(path)), ErrorKind::Foreign);
            assert!(message.contains("lies inside of what batou keeps in"), "{message}");
        }
    }
    for beside in [host.target().join("other"), host.target().parent().unwrap().join("state/other")] {
        Controller::start().hello(at(beside));
    }
}

#[test]
fn two_names_of_a_directory_are_one_place() {
    let host = Host::new();
    let link = host.target().parent().unwrap().join("link");
    let place = |path: PathBuf| {
        let target_directory = path.to_str().unwrap().to_owned();
        Controller::start().hello(Hello { target_directory, ..host.hello() }).place.unwrap()
    };
    std::fs::create_dir_all(host.target()).unwrap();
    std::os::unix::fs::symlink(host.target(), &link).unwrap();
    assert_eq!(place(host.target()), place(link.clone()));
    assert_eq!(place(host.target().join("a/b")), place(link.join("a/b")));
    assert_ne!(place(host.target().join("a/b")), place(link.join("a/c")));
    assert_ne!(place(host.target()), place(link.join("a")));
}

#[test]
fn a_filesystem_that_cannot_be_written_is_no_place() {
    let host = Host::new();
    let mut controller = Controller::start();
    let state = controller.hello(Hello { target_directory: "/proc/batou".into(), ..host.hello() });
    assert!(!state.settled && state.current.is_none());
    let message = controller.refused(&Request::Lock { holder: holder("alice") }, ErrorKind::Host);
    assert!(message.contains("/proc/batou"), "{message}");
}

#[test]
fn a_command_is_run_in_the_target_directory() {
    let host = Host::new();
    host.release(&host.manifest(vec![host.component("web", "one", vec![])]), 1);
    let mut controller = host.connect();
    let run = |text: &str| Request::Exec { command: vec!["sh".into(), "-c".into(), text.into()] };
    let reply = controller.ask(&run("cat current/web/file; pwd >&2; exit 5"));
    assert!(matches!(reply, Reply::Exited { status: 5 }), "{reply:?}");
    let output = String::from_utf8(std::mem::take(&mut controller.output)).unwrap();
    assert!(output.starts_with("one") && output.contains("srv/shop"), "{output}");
    assert!(matches!(controller.ask(&run("kill -9 $$")), Reply::Exited { status: 137 }));
    assert!(matches!(controller.ask(&run("head -c 3000000 /dev/zero")), Reply::Exited { status: 0 }));
    assert_eq!(controller.output.len(), 3_000_000);
    let message =
        controller.refused(&Request::Exec { command: vec!["no-such-program".into()] }, ErrorKind::Host);
    assert!(message.contains("no-such-program"), "{message}");
    controller.refused(&Request::Exec { command: vec![] }, ErrorKind::Protocol);
}
