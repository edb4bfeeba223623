//! What of a step is run, and when: conditions, assertions, scripts and triggers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use batou_release::{ARTIFACT_TOKEN, Assertions, HostPath, Newer, Script, ScriptPath, Step};
use batou_store::Mode;

use super::host::{Host, record, step};
use crate::protocol::{Reply, Request};
use batou_release::{Component, FormatError, Manifest};

/// A host to which one release after the other is switched.
struct Lane {
    host: Host,
    sequence: u64,
}

impl Lane {
    fn new() -> Self {
        Self { host: Host::new(), sequence: 0 }
    }

    /// A file or folder of the component's state.
    fn state(&self, path: &str) -> PathBuf {
        self.host.target().join("state/web").join(path)
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.state("")).unwrap();
        fs::write(self.state(path), "").unwrap();
    }

    fn manifest(&self, content: &str, step: Step) -> Manifest {
        self.host.manifest(vec![self.host.component("web", content, vec![step])])
    }

    /// Releases a component with this step; returns which commands were run, or why it failed.
    fn run(&mut self, step: &Step, recheck: bool) -> Result<String, String> {
        let manifest = self.manifest("one", step.clone());
        self.release(&manifest, recheck)
    }

    fn release(&mut self, manifest: &Manifest, recheck: bool) -> Result<String, String> {
        self.sequence += 1;
        let mut controller = self.host.locked();
        self.host.stage(&mut controller, manifest);
        let (mut order, raw) = controller.order(manifest, record(self.sequence));
        order.recheck = recheck;
        controller.send(&Request::Switch(order), &raw);
        let Reply::Switched { pending, .. } = controller.answer().0 else { panic!() };
        for component in pending {
            if let Reply::Error(error) = controller.ask(&Request::Activate { component, recheck }) {
                return Err(error.message);
            }
        }
        assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
        drop(controller);
        let journal = self.host.journal();
        let runs = &journal.last().unwrap().runs;
        let runs = runs.iter().map(|run| format!("{} {}", run.command, run.status.unwrap()));
        Ok(runs.collect::<Vec<_>>().join(", "))
    }

    fn settled(&self, step: &Step) -> bool {
        self.host.state(&self.manifest("one", step.clone()), self.sequence).settled
    }

    /// What `batou verify` finds.
    fn problems(&self) -> Vec<String> {
        match self.host.connect().ask(&Request::Verify) {
            Reply::Verified { problems, .. } => problems,
            other => panic!("{other:?}"),
        }
    }
}

fn path(path: &str) -> HostPath {
    HostPath::new(path).unwrap()
}

fn asserting(assertions: Assertions) -> Step {
    Step { assertions, ..step("s", "echo update >> log") }
}

fn digests(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
}

#[test]
fn creates_runs_the_update_only_while_the_path_is_missing() {
    let mut lane = Lane::new();
    let made = Step { creates: Some(path("made")), ..step("s", "touch made") };
    assert_eq!(lane.run(&made, false).unwrap(), "update 0");
    assert_eq!(lane.run(&made, false).unwrap(), "", "it is recorded");
    assert_eq!(lane.run(&made, true).unwrap(), "", "it exists");
    let changed = Step { update: Some("touch made again".into()), ..made.clone() };
    assert_eq!(lane.run(&changed, false).unwrap(), "", "a changed step, too, asks first");
    assert!(lane.settled(&changed) && lane.problems().is_empty());
    fs::remove_file(lane.state("made")).unwrap();
    assert!(lane.settled(&changed), "what a host has is compared with the record");
    assert_eq!(lane.problems(), ["step web/s: made does not exist"]);
    assert_eq!(lane.run(&changed, true).unwrap(), "update 0");
}

#[test]
fn what_creates_names_must_exist_afterwards() {
    let mut lane = Lane::new();
    let lazy = Step { creates: Some(path("made")), ..step("s", "true") };
    assert_eq!(lane.run(&lazy, false).unwrap_err(), "step web/s: update did not create made");
    assert!(!lane.host.target().join("current").exists());
    let absolute = lane.host.folder.path().join("elsewhere").to_str().unwrap().to_owned();
    let made = Step { creates: Some(path(&absolute)), ..step("s", &format!("touch {absolute}")) };
    assert_eq!(lane.run(&made, false).unwrap(), "update 0");
    assert_eq!(lane.run(&made, true).unwrap(), "");
}

#[test]
fn unless_keeps_everything_else_from_running() {
    let mut lane = Lane::new();
    let step = Step {
        unless: Some("test -e off".into()),
        verify: Some("test -e log".into()),
        ..step("s", "echo update >> log")
    };
    assert_eq!(lane.run(&step, false).unwrap(), "unless 1, verify 1, update 0, verify 0");
    assert_eq!(lane.run(&step, true).unwrap(), "unless 1, verify 0");
    lane.make("off");
    fs::remove_file(lane.state("log")).unwrap();
    assert_eq!(lane.run(&step, true).unwrap(), "unless 0");
    assert!(lane.problems().is_empty() && !lane.state("log").exists());
    fs::remove_file(lane.state("off")).unwrap();
    assert_eq!(lane.problems(), ["step web/s: verify failed with status 1"]);
}

#[test]
fn a_step_is_skipped_until_its_path_exists() {
    let mut lane = Lane::new();
    let step = Step {
        only_if_path: Some(path("here")),
        verify: Some("test -e log".into()),
        revert: Some("echo revert >> log".into()),
        ..step("s", "echo update >> log")
    };
    assert_eq!(lane.run(&step, false).unwrap(), "");
    assert!(lane.settled(&step) && lane.problems().is_empty(), "a switch has nothing to do");
    assert_eq!(lane.run(&step, true).unwrap(), "");
    lane.make("here");
    assert!(!lane.settled(&step), "now it is for this host");
    assert_eq!(lane.problems().len(), 2, "{:?}", lane.problems());
    assert_eq!(lane.run(&step, false).unwrap(), "verify 1, update 0, verify 0");
    fs::remove_file(lane.state("here")).unwrap();
    assert!(lane.settled(&step), "what was done was done");
}

#[test]
fn a_skipped_step_is_not_reverted() {
    let mut lane = Lane::new();
    let bare = lane.host.manifest(vec![lane.host.component("web", "zero", vec![])]);
    lane.release(&bare, false).unwrap();
    let revert = Some("echo revert >> log".to_owned());
    let skipped = Step { only_if_path: Some(path("here")), revert, ..step("s", "true") };
    lane.run(&skipped, false).unwrap();
    let mut controller = lane.host.locked();
    let back = crate::protocol::JournaledRelease { restores: Some(1), ..record(3) };
    assert!(matches!(controller.switch(&bare, back), Reply::Switched { .. }));
    assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
    assert!(!lane.state("log").exists());
}

#[test]
fn conditions_are_asked_in_their_order() {
    let mut lane = Lane::new();
    let step = Step {
        only_if_path: Some(path("here")),
        creates: Some(path("made")),
        unless: Some("test -e off".into()),
        verify: Some("test -e good".into()),
        ..step("s", "touch made good")
    };
    assert_eq!(lane.run(&step, true).unwrap(), "");
    lane.make("here");
    lane.make("off");
    assert_eq!(lane.run(&step, true).unwrap(), "unless 0");
    fs::remove_file(lane.state("off")).unwrap();
    assert_eq!(lane.run(&step, true).unwrap(), "unless 1, verify 1, update 0, verify 0");
    fs::remove_file(lane.state("good")).unwrap();
    assert_eq!(lane.run(&step, true).unwrap(), "", "it was created");
    fs::remove_file(lane.state("made")).unwrap();
    lane.make("good");
    assert_eq!(lane.run(&step, true).unwrap(), "unless 1, verify 0");
}

#[test]
fn a_path_is_asserted() {
    let mut lane = Lane::new();
    let exists = Assertions { path: Some(path("log")), ..Assertions::default() };
    assert_eq!(lane.run(&asserting(exists.clone()), false).unwrap(), "update 0");
    assert_eq!(lane.run(&asserting(exists.clone()), true).unwrap(), "");
    fs::remove_file(lane.state("log")).unwrap();
    assert_eq!(lane.problems(), ["step web/s: verify failed: log does not exist"]);
    let alone = Step { update: None, ..asserting(exists.clone()) };
    let message = lane.run(&alone, false).unwrap_err();
    assert_eq!(message, "step web/s: verify failed: log does not exist, and there is no update");
    let useless = Step { update: Some("true".into()), ..asserting(exists) };
    let message = lane.run(&useless, false).unwrap_err();
    assert_eq!(message, "step web/s: verify failed: log does not exist, even after update");
}

#[test]
fn a_file_must_be_as_new_as_others() {
    let mut lane = Lane::new();
    let newer = Newer { path: path("log"), than: vec![path("one"), path("two")] };
    let step = asserting(Assertions { newer: Some(newer), ..Assertions::default() });
    assert!(lane.run(&step, false).unwrap_err().contains("log must be newer than one, which does not exist"));
    let touch = |name: &str, age: u64| {
        lane.make(name);
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(lane.state(name)).unwrap().set_modified(time).unwrap();
        time
    };
    touch("log", 100);
    touch("one", 200);
    let two = touch("two", 50);
    assert_eq!(lane.run(&step, false).unwrap(), "update 0", "log is older than two");
    assert_eq!(lane.run(&step, true).unwrap(), "");
    File::options().append(true).open(lane.state("log")).unwrap().set_modified(two).unwrap();
    assert_eq!(lane.run(&step, true).unwrap(), "", "as new is new enough");
    fs::remove_file(lane.state("log")).unwrap();
    assert_eq!(lane.problems(), ["step web/s: verify failed: log does not exist"]);
}

#[test]
fn unchanged_asks_what_the_step_last_converged_to() {
    let mut lane = Lane::new();
    let with = |digest: &str, update: &str| Step {
        assertions: Assertions { unchanged: digests(&[("etc/", digest)]), ..Assertions::default() },
        ..step("s", update)
    };
    assert_eq!(lane.run(&with("1", "true"), false).unwrap(), "update 0", "it never converged");
    assert_eq!(lane.run(&with("1", "true"), true).unwrap(), "");
    assert_eq!(lane.run(&with("1", "true 2"), false).unwrap(), "", "only the command has changed");
    assert_eq!(lane.run(&with("2", "true 2"), false).unwrap(), "update 0");
    assert!(lane.run(&with("3", "false"), false).unwrap_err().contains("update failed"));
    assert_eq!(lane.run(&with("3", "true"), false).unwrap(), "update 0", "a change is not forgotten");
    assert!(lane.problems().is_empty());
}

#[test]
fn all_that_a_verify_names_must_hold() {
    let mut lane = Lane::new();
    let assertions = Assertions { path: Some(path("log")), ..Assertions::default() };
    let step = Step { verify: Some("test -e other".into()), ..asserting(assertions) };
    assert!(lane.run(&step, false).unwrap_err().contains("verify failed with status 1, even after update"));
    lane.make("other");
    fs::remove_file(lane.state("log")).unwrap();
    assert_eq!(lane.run(&step, false).unwrap(), "update 0, verify 0");
    assert_eq!(lane.run(&step, true).unwrap(), "verify 0");
}

fn script(name: &str, arguments: &[&str]) -> Script {
    Script {
        path: ScriptPath::new(name).unwrap(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        digest: "1".into(),
    }
}

fn scripted(host: &Host, step: Step) -> Manifest {
    let run = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >> log\n";
    let files = [("run", run, Mode::EXECUTABLE), ("ask", "#!/bin/sh\ntest -e log\n", Mode::EXECUTABLE)];
    let component: Component = host.component_of("web", &files, vec![step]);
    host.manifest(vec![component])
}

#[test]
fn a_script_is_run_where_its_version_is_stored() {
    let mut lane = Lane::new();
    let asks = Assertions { script: Some(script("ask", &[])), ..Assertions::default() };
    let runs = Step {
        update: None,
        script: Some(script("run", &["a b", "$HOME;"])),
        assertions: asks,
        ..step("s", "")
    };
    let manifest = scripted(&lane.host, runs);
    assert_eq!(lane.release(&manifest, false).unwrap(), "verify 1, update 0, verify 0");
    let log = fs::read_to_string(lane.state("log")).unwrap();
    let mut lines = log.lines();
    let program = lines.next().unwrap();
    assert!(program.contains("/srv/shop/store/artifacts/") && program.ends_with("-web/run"), "{program}");
    assert_eq!(lines.collect::<Vec<_>>(), ["a b", "$HOME;"], "no shell sees them");
    assert_eq!(lane.release(&manifest, true).unwrap(), "verify 0");
}

#[test]
fn a_script_that_is_not_there_fails_the_step() {
    let mut lane = Lane::new();
    let step = Step { update: None, script: Some(script("missing", &[])), ..step("s", "") };
    let manifest = scripted(&lane.host, step);
    assert!(lane.release(&manifest, false).unwrap_err().contains("update could not be run"));
}

#[test]
fn the_artifacts_path_stands_where_a_step_names_it() {
    let mut lane = Lane::new();
    let below = |name: &str| path(&format!("{ARTIFACT_TOKEN}/{name}"));
    let step = Step {
        directory: Some(ARTIFACT_TOKEN.to_owned()),
        environment: BTreeMap::from([("OWN".to_owned(), ARTIFACT_TOKEN.to_owned())]),
        only_if_path: Some(below("file")),
        unless: Some(format!("! test -e {ARTIFACT_TOKEN}/file")),
        assertions: Assertions { path: Some(below("file")), ..Assertions::default() },
        verify: Some(format!("test -e {}/log", lane.state("").display())),
        update: Some(format!(
            "printf '%s %s %s' \"$PWD\" \"$OWN\" {ARTIFACT_TOKEN} > {}",
            lane.state("log").display()
        )),
        ..step("s", "")
    };
    assert_eq!(lane.run(&step, false).unwrap(), "unless 1, verify 1, update 0, verify 0");
    let component = lane.host.component("web", "one", vec![]);
    let name = batou_store::directory_name(&component.artifact, &component.name);
    let artifact = lane.host.target().join("store/artifacts").join(name);
    let artifact = artifact.to_str().unwrap();
    assert_eq!(fs::read_to_string(lane.state("log")).unwrap(), [artifact; 3].join(" "));
    assert!(lane.settled(&step) && lane.problems().is_empty());

    let never =
        Step { creates: Some(below("missing")), verify: None, assertions: Assertions::default(), ..step };
    let error = lane.run(&never, false).unwrap_err();
    assert_eq!(error, format!("step web/s: update did not create {artifact}/missing"));
}

#[test]
fn a_step_that_is_skipped_for_want_of_a_file_of_its_artifact_stays_so() {
    let mut lane = Lane::new();
    let other = Step { only_if_path: Some(path(&format!("{ARTIFACT_TOKEN}/other"))), ..step("s", "true") };
    assert_eq!(lane.run(&other, false).unwrap(), "");
    assert!(lane.settled(&other));
    let own = Step { only_if_path: Some(path(&format!("{ARTIFACT_TOKEN}/file"))), ..other };
    assert!(!lane.settled(&own));
    assert_eq!(lane.run(&own, false).unwrap(), "update 0");
}

#[test]
fn a_path_that_is_too_long_with_the_artifacts_fails_the_step() {
    let mut lane = Lane::new();
    let long = format!("{ARTIFACT_TOKEN}/{}", "x".repeat(4040));
    let step = Step { creates: Some(path(&long)), ..step("s", "touch ran") };
    let error = lane.run(&step, false).unwrap_err();
    let (subject, reason) =
        ("step web/s: a path in it cannot be used with ", ": the path is longer than 4,095 bytes");
    assert!(error.starts_with(subject) && error.ends_with(reason), "{error}");
    assert!(!lane.state("ran").exists() && !lane.host.target().join("current").exists());
}

#[test]
fn a_step_with_triggers_runs_for_those_only() {
    let mut lane = Lane::new();
    let mut release = |content: &str, digest: &str, triggers: bool| {
        let mut step = step("s", &format!("test -d {ARTIFACT_TOKEN}"));
        if triggers {
            step.triggers = digests(&[("etc/", digest)]);
        }
        let manifest = lane.manifest(content, step);
        lane.release(&manifest, false).unwrap()
    };
    assert_eq!(release("one", "", false), "update 0");
    assert_eq!(release("one", "", false), "", "it is recorded");
    assert_eq!(release("two", "", false), "update 0", "its text names the artifact");
    assert_eq!(release("two", "1", true), "update 0");
    assert_eq!(release("three", "1", true), "", "another file has changed");
    assert_eq!(release("three", "2", true), "update 0");
}

/// As for a service that has to read its configuration again: that it runs says nothing about that.
#[test]
fn a_trigger_that_fires_runs_the_update_whatever_verify_says_before() {
    let mut lane = Lane::new();
    let reload = |digest: &str| Step {
        verify: Some("test -e running".into()),
        triggers: digests(&[("web.conf", digest)]),
        ..step("reload", "test -e broken && exit 1; touch running")
    };
    lane.make("running");
    assert_eq!(lane.run(&reload("1"), false).unwrap(), "update 0, verify 0", "a new file has changed, too");
    assert_eq!(lane.run(&reload("1"), false).unwrap(), "", "it is recorded");
    assert_eq!(lane.run(&reload("1"), true).unwrap(), "verify 0", "nothing has fired");
    assert_eq!(lane.run(&reload("2"), false).unwrap(), "update 0, verify 0");
    let slower = Step { timeout: 99, ..reload("2") };
    assert_eq!(lane.run(&slower, false).unwrap(), "verify 0", "the step has changed, and no trigger");
    // What failed is not done, and is done again with the files of before.
    lane.make("broken");
    assert!(lane.run(&reload("3"), false).unwrap_err().contains("update failed"));
    fs::remove_file(lane.state("broken")).unwrap();
    assert_eq!(lane.run(&slower, false).unwrap(), "update 0, verify 0");
}

#[test]
fn conditions_guard_a_step_also_where_a_trigger_fires() {
    let mut lane = Lane::new();
    let triggers = digests(&[("web.conf", "1")]);
    lane.make("there");
    let guarded: [fn(Step) -> Step; 3] = [
        |step| Step { creates: Some(path("there")), ..step },
        |step| Step { unless: Some("test -e there".into()), ..step },
        |step| Step { only_if_path: Some(path("missing")), ..step },
    ];
    for guard in guarded {
        let step = guard(Step { triggers: triggers.clone(), ..step("s", "touch ran") });
        lane.run(&step, false).unwrap();
        assert!(!lane.state("ran").exists());
    }
}

#[test]
fn a_condition_that_cannot_be_answered_fails_the_step() {
    let mut lane = Lane::new();
    lane.make("plain");
    let made = step("s", "touch made");
    let conditions: [(Step, &str); 4] = [
        (
            Step { unless: Some("True".into()), ..made.clone() },
            "unless failed with status 127: a command in it was not found",
        ),
        (Step { verify: Some("no-such-tool -q".into()), ..made.clone() }, "verify failed with status 127"),
        (
            Step { verify: Some("./plain".into()), ..made.clone() },
            "verify failed with status 126: a command in it could not be executed",
        ),
        (
            Step {
                assertions: Assertions { script: Some(script("file", &[])), ..Assertions::default() },
                ..made.clone()
            },
            "verify could not be run",
        ),
    ];
    for (step, told) in conditions {
        let error = lane.run(&step, false).unwrap_err();
        assert!(error.contains(told), "{error}");
        assert!(!lane.state("made").exists(), "{told}");
    }
    let missing = Step { unless: Some("command -v no-such-tool".into()), ..made };
    assert!(lane.run(&missing, false).unwrap().ends_with(", update 0"));
}

#[test]
fn manifests_with_paths_that_mean_something_else_are_refused() {
    let host = Host::new();
    let step = Step { creates: Some(path("made")), script: Some(script("run", &[])), ..step("s", "") };
    let manifest = host.manifest(vec![host.component("web", "one", vec![step])]);
    let text = String::from_utf8(manifest.encode()).unwrap();
    assert!(Manifest::decode(text.as_bytes()).is_ok());
    for (good, bad) in [("made", "../made"), ("made", "a\\nb"), ("run", "/bin/sh"), ("run", "../run")] {
        let text = text.replace(&format!("\"{good}\""), &format!("\"{bad}\""));
        let error = Manifest::decode(text.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, FormatError::Malformed { source, .. } if source.to_string().contains(bad)),
            "{error:?}"
        );
    }
}

#[test]
fn what_cannot_be_examined_fails_the_step() {
    let mut lane = Lane::new();
    fs::create_dir_all(lane.state("")).unwrap();
    std::os::unix::fs::symlink("loop", lane.state("loop")).unwrap();
    let step = Step { only_if_path: Some(path("loop")), ..step("s", "true") };
    assert!(lane.run(&step, false).unwrap_err().contains("state/web/loop"));
}
