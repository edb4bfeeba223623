//! Facts: good ones, and commands that do not give any.

use std::collections::BTreeMap;

use batou_release::{Builtin, FactSource, FactSources};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::host::{Controller, Host, eventually, record, step};
use crate::protocol::{ErrorKind, Fact, Reply, Request};

fn command(command: &str, json: bool, timeout: u32) -> FactSource {
    FactSource::Command { command: command.into(), json, timeout }
}

fn text(line: &str) -> FactSource {
    command(line, false, 20)
}

fn ask(controller: &mut Controller, sources: &[(&str, FactSource)]) -> BTreeMap<String, Fact> {
    match controller.ask(&Request::Facts { facts: named(sources) }) {
        Reply::Facts { facts } => facts,
        other => panic!("{other:?}"),
    }
}

fn named(sources: &[(&str, FactSource)]) -> FactSources {
    sources.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect()
}

#[track_caller]
fn why(facts: &BTreeMap<String, Fact>, name: &str) -> String {
    match &facts[name] {
        Fact::Unknown(reason) => reason.clone(),
        known @ Fact::Known(_) => panic!("{known:?}"),
    }
}

#[test]
fn a_host_tells_what_it_is_asked_and_nothing_is_left_there() {
    let host = Host::new();
    let folder = host.folder.path().join("disks");
    std::fs::create_dir(&folder).unwrap();
    for name in ["b", "a"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    let pattern = format!("{}/*", folder.display());
    let sources = [
        ("arch", FactSource::Builtin(Builtin::Architecture)),
        ("disks", FactSource::Files { pattern }),
        ("place", text("printf '\\n  %s \\n' \"$PWD $HOME $0\"; echo noise >&2")),
        ("data", command("echo '{\"b\": [1, null], \"a\": null}'", true, 20)),
        ("nul", text("printf 'a\\000\\033[31mb'")),
    ];
    let facts = ask(&mut host.connect(), &sources);
    assert_eq!(facts["arch"], Fact::Known(json!(std::env::consts::ARCH)));
    let paths = ["a", "b"].map(|name| folder.join(name).display().to_string());
    assert_eq!(facts["disks"], Fact::Known(json!(paths)));
    let Fact::Known(place) = &facts["place"] else { panic!("{facts:?}") };
    assert!(place.as_str().unwrap().starts_with("/ /"), "{place}");
    assert_eq!(facts["data"], Fact::Known(json!({"b": [1]})));
    assert_eq!(facts["nul"], Fact::Known(json!("a\u{0}\u{1b}[31mb")));
    assert!(!host.target().exists(), "the target directory need not be there, and is not made");
}

#[test]
fn what_is_no_fact_is_told_and_costs_no_other() {
    let sources = [
        ("big", text("head -c 100000000 /dev/zero")),
        ("endless", text("yes")),
        ("failing", text("echo out; echo reason >&2; exit 3")),
        ("garbage", command("echo '{\"a\": '", true, 20)),
        ("good", text("echo good")),
        ("huge", command("echo 18446744073709551615", true, 20)),
        ("latin", text("printf '\\344'")),
        ("nested", command("printf '[%.0s' $(seq 60); printf ']%.0s' $(seq 60)", true, 20)),
        ("none", command("echo null", true, 20)),
        ("silent", command("true", true, 20)),
        ("slow", command("sleep 60", false, 1)),
        ("verbose", text("head -c 1000000 /dev/zero | tr '\\000' x >&2; exit 1")),
    ];
    let facts = ask(&mut Host::new().connect(), &sources);
    assert_eq!(facts["good"], Fact::Known(json!("good")));
    let reasons = [
        ("big", "printed more than 512 KiB"),
        ("endless", "printed more than 512 KiB"),
        ("failing", "failed with status 3: reason"),
        ("garbage", "not JSON: EOF"),
        ("huge", "does not fit into 64 bits"),
        ("latin", "not UTF-8"),
        ("nested", "nested more than"),
        ("none", "null"),
        ("silent", "not JSON"),
        ("slow", "took more than 1 s"),
        ("verbose", "failed with status 1: xxx"),
    ];
    for (name, reason) in reasons {
        let found = why(&facts, name);
        assert!(found.contains(reason) && found.len() <= 2048, "{name}: {found}");
    }
}

#[test]
fn what_a_command_leaves_behind_is_not_waited_for() {
    let facts = ask(&mut Host::new().connect(), &[("x", text("sleep 600 & echo $!"))]);
    let Fact::Known(Value::String(daemon)) = &facts["x"] else { panic!("{facts:?}") };
    let daemon = Pid::from_raw(daemon.parse().unwrap()).unwrap();
    kill_process(daemon, Signal::KILL).expect("it still runs");
}

#[test]
fn all_facts_together_have_a_bound() {
    // Each has less than a single fact may have, until its control characters are written out.
    let line = "head -c 500000 /dev/zero | tr '\\000' '\\001'";
    let sources: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, text(line))).into();
    let mut controller = Host::new().connect();
    let facts = ask(&mut controller, &sources);
    assert!(matches!(&facts["a"], Fact::Known(_)) && matches!(&facts["b"], Fact::Known(_)));
    assert_eq!(why(&facts, "d"), "all facts together have more than 8 MiB");
    assert_eq!(ask(&mut controller, &[("x", text("echo on"))])["x"], Fact::Known(json!("on")));
}

#[test]
fn a_command_ends_with_its_controller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let mut controller = Host::new().connect();
    let line = format!("echo $$ > {}; exec sleep 600", path.display());
    controller.send(&Request::Facts { facts: named(&[("x", command(&line, false, 600))]) }, &[]);
    let read = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
    eventually(|| read().is_some());
    let process = format!("/proc/{}", read().unwrap().trim());
    assert!(std::path::Path::new(&process).exists());
    controller.end();
    assert!(!std::path::Path::new(&process).exists());
}

#[test]
fn facts_have_their_time() {
    let host = Host::new();
    let request = Request::Facts { facts: FactSources::new() };
    let refused = Controller::start().refused(&request, ErrorKind::Protocol);
    assert!(refused.contains("hello"), "{refused}");
    let mut controller = host.locked();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("x", "true")])]);
    host.stage(&mut controller, &manifest);
    assert!(matches!(controller.switch(&manifest, record(1)), Reply::Switched { .. }));
    let refused = controller.refused(&request, ErrorKind::Protocol);
    assert!(refused.contains("under way"), "{refused}");
}
