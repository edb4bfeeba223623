//! Releases that fail half-way: every host has its old release again, and the next switch succeeds without help.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use batou_agent::protocol::{MAGIC, Reply, encode};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Output, Sandbox, SshHosts, until};
use crate::shop::{self, Target, append, greet, names, released_to_two, says};
use crate::ssh::wrapped_agent;

/// Adds a step to `db`.
fn add_step(sandbox: &Sandbox, name: &str, keys: &str) {
    append(sandbox, "components/db/component.toml", &format!("[[step]]\nname = \"{name}\"\n{keys}\n"));
}

/// Adds a step that does something on host `two` alone.
fn add_step_on_two(sandbox: &Sandbox, name: &str, command: &str, keys: &str) {
    let update =
        format!("update = '''{{% if host.name == \"two\" %}}{command}{{% else %}}true{{% endif %}}'''");
    add_step(sandbox, name, &format!("{update}\n{keys}"));
}

/// Both hosts have what the first switch gave them.
#[track_caller]
fn assert_old(targets: &[Target; 2]) {
    for (name, target) in ["one", "two"].into_iter().zip(targets) {
        assert_eq!(target.file("app/app.conf"), format!("one on {name}\n"));
        assert_eq!(target.generation(), Some(1));
        assert!(!target.0.join("intent.json").exists());
    }
}

/// The next switch gives both hosts the new release.
#[track_caller]
fn assert_next_succeeds(sandbox: &Sandbox, targets: &[Target; 2]) -> Output {
    let component = sandbox.read("components/db/component.toml");
    let (whole, _) = component.split_once("[[step]]\nname = \"hang\"").unwrap_or((&component, ""));
    sandbox.write("components/db/component.toml", whole);
    let output = sandbox.batou(&["switch", "dev"]).success();
    for (name, target) in ["one", "two"].into_iter().zip(targets) {
        assert_eq!(target.file("app/app.conf"), format!("two on {name}\n"));
    }
    output
}

#[test]
fn a_failing_step_takes_the_release_back_on_all_hosts() {
    let (_hosts, sandbox, targets) = released_to_two();
    greet(&sandbox, "two");
    add_step_on_two(&sandbox, "break", "echo err >&2; printf 'out\\033[31m'; exit 9", "");
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    says(&output.stdout, &["one  went back", "two  went back"]);
    says(
        &output.stderr,
        &["activation failed:", "two/db: step db/break: update failed with status 9", "out^[[31m", "err"],
    );
    says(&output.stderr, &["left as they are, since they have no `revert`: two/db: break\n"]);
    says(
        &output.stderr,
        &["no host keeps the release, but steps", ": 2 hosts went back to the release before"],
    );
    assert_old(&targets);
    for target in &targets {
        assert_eq!(target.results(), ["1 committed", "2 went-back"]);
        says(target.journal()[1]["reason"].as_str().unwrap(), &["two/db: step db/break"]);
    }
    says(&targets[1].journal()[1]["runs"].to_string(), &["out", "err"]);
    let history = sandbox.batou(&["history", "dev", "-v"]).success();
    says(&(history.stdout + &history.stderr), &[", failed", "two: step db/break: update: status 9"]);
    let before = targets.each_ref().map(Target::results);
    says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &["no release was in force before"]);
    assert_eq!(targets.each_ref().map(Target::results), before);
}

#[test]
fn a_failing_step_takes_a_first_release_back_to_nothing() {
    let sandbox = shop::local();
    add_step(&sandbox, "break", "update = \"false\"");
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    says(&output.stdout, &["  localhost  went back: had no release before\n"]);
    says(&output.stderr, &["/db: break\n", "1 host had no release before, and has none again"]);
    let lines = sandbox.batou(&["switch", "dev", "--json"]).fails(1).json();
    let host = lines.iter().find(|line| line["type"] == "host").unwrap();
    assert_eq!((&host["had_release"], &host["unreverted"][0]["name"]), (&false.into(), &"break".into()));
    let target = Target::local(&sandbox);
    assert_eq!(target.generation(), None);
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &["no release yet"]);
}

#[test]
fn a_first_release_that_is_under_way_is_told_from_none() {
    let sandbox = shop::local();
    add_step(&sandbox, "hang", "update = \"touch on; until test -e go; do sleep 0.01; done\"");
    let mut command = sandbox.command(&["switch", "dev"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let state = Target::local(&sandbox).0.join("state/db");
    until("the step runs", || state.join("on").exists());
    let status = sandbox.batou(&["status", "dev"]).success().stdout;
    says(&status, &["localhost  no release yet; the first one is under way or was interrupted\n"]);
    fs::write(state.join("go"), "").unwrap();
    assert_eq!(ended(child).0, Some(0));
}

#[test]
fn steps_of_the_old_release_converge_again() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    let mark = || fs::read_to_string(target.0.join("state/db/mark")).unwrap();
    add_step(&sandbox, "mark", "update = \"echo old >mark\"");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(mark(), "old\n");
    let component = sandbox.read("components/db/component.toml").replace("echo old", "echo new");
    sandbox.write("components/db/component.toml", component);
    add_step(&sandbox, "break", "update = \"grep new mark && exit 1\"");
    says(&sandbox.batou(&["switch", "dev"]).fails(1).stderr, &["| new"]);
    assert_eq!(mark(), "old\n");
}

#[test]
fn a_step_that_takes_too_long_is_killed() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    add_step(&sandbox, "hang", "timeout = 1\nupdate = \"sleep 600 & echo $! >pid; wait\"");
    says(&sandbox.batou(&["switch", "dev"]).fails(1).stderr, &["step db/hang: update was killed after 1 s"]);
    let target = Target::local(&sandbox);
    let pid = fs::read_to_string(target.0.join("state/db/pid")).unwrap();
    until("what the step started has ended", || has_ended(pid.trim()));
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
}

/// Whether a process is no more, or only waits for its parent to notice.
fn has_ended(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

#[test]
fn an_update_that_does_not_help_fails() {
    let sandbox = shop::local();
    add_step(&sandbox, "vain", "verify = \"test -e never\"\nupdate = \"true\"");
    says(
        &sandbox.batou(&["switch", "dev"]).fails(1).stderr,
        &["step db/vain: verify failed", "even after update"],
    );
}

#[test]
fn a_rollback_reverts_the_steps_that_it_takes_away() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    let state = Target::local(&sandbox).0.join("state/db");
    add_step(&sandbox, "migrate", "update = \"touch migrated\"\nrevert = \"rm migrated; touch reverted\"");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(names(&state), ["initialised", "migrated"]);
    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!(names(&state), ["initialised", "reverted"]);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(names(&state), ["initialised", "migrated", "reverted"], "it has to run again");
}

#[test]
fn a_failed_release_reverts_what_it_ran() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    add_step(&sandbox, "migrate", "update = \"touch migrated\"\nrevert = \"rm migrated\"");
    add_step(&sandbox, "break", "update = \"test -e migrated && exit 1\"");
    sandbox.batou(&["switch", "dev"]).fails(1);
    assert_eq!(names(&Target::local(&sandbox).0.join("state/db")), ["initialised"]);
}

#[test]
fn an_irreversible_step_stops_a_rollback_without_force() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    add_step(&sandbox, "drop table", "update = \"touch dropped\"\nirreversible = true");
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target::local(&sandbox);
    let before = target.listing();
    says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &["localhost: step db/drop table", "--force"]);
    assert_eq!(target.listing(), before);
    sandbox.batou(&["rollback", "dev", "--force"]).success();
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
}

/// Starts a switch whose step hangs on `two`, as long as its agent lives, and waits until it does.
fn hanging(sandbox: &Sandbox, targets: &[Target; 2]) -> Child {
    greet(sandbox, "two");
    let hang = "echo $PPID >pid; mv pid agent; while kill -0 $PPID; do sleep 0.1; done";
    add_step_on_two(sandbox, "hang", hang, "");
    let mut command = sandbox.command(&["switch", "dev"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let hangs = targets[1].0.join("state/db/agent");
    until("the step runs", || hangs.exists());
    assert_eq!(targets[0].file("app/app.conf"), "two on one\n", "both are switched by now");
    child
}

/// Kills the agent that runs the step of [`hanging`].
fn kill_agent(targets: &[Target; 2]) {
    let pid = fs::read_to_string(targets[1].0.join("state/db/agent")).unwrap();
    signal(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::KILL);
    until("the agent has ended", || has_ended(pid.trim()));
}

fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}

/// What a switch that was started by [`hanging`] said.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_connection_that_breaks_during_a_step_takes_all_hosts_back() {
    let (hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    hosts.host("two").cut();
    until("the host has gone back by itself", || targets[1].results().len() == 2);
    hosts.host("two").heal();
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["two/db: the connection to the agent was lost", "one  went back", "two  went back"]);
    assert_old(&targets);
    for target in &targets {
        assert_eq!(target.results(), ["1 committed", "2 went-back"]);
    }
    assert_next_succeeds(&sandbox, &targets);
}

#[test]
fn hosts_go_back_by_themselves_when_the_deployer_dies() {
    let (_hosts, sandbox, targets) = released_to_two();
    let mut child = hanging(&sandbox, &targets);
    child.kill().unwrap();
    child.wait().unwrap();
    until("both hosts have gone back", || targets.iter().all(|target| target.results().len() == 2));
    until("both have ended", || targets.iter().all(|target| !target.0.join("intent.json").exists()));
    assert_old(&targets);
    assert_next_succeeds(&sandbox, &targets);
    assert_eq!(names(&sandbox.tmp()), [""; 0], "nothing is left of either deployer");
}

#[test]
fn an_interrupted_deployer_leaves_nothing_half_done() {
    let (_hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    signal(Pid::from_child(&child), Signal::INT);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(
        &text,
        &[
            "interrupted: every switched host goes back",
            "one  went back",
            "two  went back",
            "the release was interrupted during activation",
            "2 hosts went back",
        ],
    );
    assert_eq!(targets.each_ref().map(Target::results), [["1 committed", "2 went-back"]; 2]);
    assert_old(&targets);
    assert_next_succeeds(&sandbox, &targets);
}

/// How often a thread of a process has waited for something.
fn waits(process: &Child, thread: &str) -> Option<u64> {
    let mut threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    threads.find_map(|task| {
        let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        of("voluntary_ctxt_switches:").filter(|_| of("Name:") == Some(thread))?.parse().ok()
    })
}

/// batou has to wait with its last words until somebody has read the first, and is interrupted meanwhile.
#[test]
fn an_interrupt_just_after_the_commit_comes_too_late_and_takes_no_word_away() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    let (mut reader, mut writer) = io::pipe().unwrap();
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    // The first line has room, and not the second.
    let filling = vec![b'.'; size - 40];
    writer.write_all(&filling).unwrap();
    let mut command = sandbox.command(&["switch", "dev"]);
    let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let unread = || usize::try_from(rustix::io::ioctl_fionread(&reader).unwrap()).unwrap();
    until("the first line is said", || unread() > filling.len());
    assert_eq!(target.results(), ["1 committed"]);
    let before = waits(&child, "signals");
    signal(Pid::from_child(&child), Signal::INT);
    until("the interrupt is heard", || waits(&child, "signals") > before);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    says(&said, &["  localhost  released\n", "is in force on 1 host\n"]);
}

#[test]
fn a_deployer_that_is_interrupted_twice_waits_for_nobody() {
    let (_hosts, sandbox, targets) = released_to_two();
    // Going back takes long: the step of the old release has to be run again.
    add_step_on_two(&sandbox, "slow", "until [ -e go ]; do sleep 0.1; done", "");
    let state = targets[1].0.join("state/db");
    fs::write(state.join("go"), "").unwrap();
    sandbox.batou(&["switch", "dev"]).success();
    fs::remove_file(state.join("go")).unwrap();
    let component = sandbox.read("components/db/component.toml");
    sandbox
        .write("components/db/component.toml", component.replace("until [ -e go", "touch on; until [ -e no"));
    let child = sandbox.command(&["switch", "dev"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    until("the step runs", || state.join("on").exists());
    signal(Pid::from_child(&child), Signal::TERM);
    until("the host goes back", || targets[1].generation() == Some(2));
    signal(Pid::from_child(&child), Signal::TERM);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["two  goes back by itself: batou was interrupted before it could ask", "`batou status`"]);
    assert!(targets[1].0.join("intent.json").exists());
    fs::write(state.join("go"), "").unwrap();
    until("the host has gone back", || !targets[1].0.join("intent.json").exists());
    assert_eq!(targets[1].results(), ["1 committed", "2 committed", "3 went-back"]);
}

#[test]
fn a_host_that_says_only_that_it_lives_is_not_waited_for_after_an_interrupt() {
    let (_hosts, sandbox, targets) = released_to_two();
    let (mute, alive) = (sandbox.tmp().join("mute"), sandbox.tmp().join("alive"));
    fs::write(&alive, encode(&Reply::Heartbeat, &[])).unwrap();
    let says_ready = sandbox.tmp().join("ready");
    fs::write(&says_ready, [MAGIC, b"ready\n"].concat()).unwrap();
    let only_lives = format!(
        "case $HOME in */two/*) if [ -e {} ]; then cat {}; while sleep 1; do cat {} || exit; done; fi;; esac",
        mute.display(),
        says_ready.display(),
        alive.display()
    );
    let agent = wrapped_agent(&sandbox, std::env::consts::ARCH, &only_lives);
    add_step_on_two(&sandbox, "hang", "touch hangs; until [ -e go ]; do sleep 0.1; done", "");
    let mut batou = sandbox.command(&["switch", "dev"]);
    batou.env("BATOU_AGENTS", agent.parent().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = batou.spawn().unwrap();
    until("the step runs", || targets[1].0.join("state/db/hangs").exists());
    fs::write(&mute, "").unwrap();
    signal(Pid::from_child(&child), Signal::INT);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["one  went back\n", "two  goes back by itself: it did not answer within 5 s\n"]);
    assert!(!text.contains("waiting for two"), "nothing is waited for that long: {text}");
    until("the host has gone back", || !targets[1].0.join("intent.json").exists());
    assert_old(&targets);
}

#[test]
fn a_target_directory_that_is_moved_away_is_told_and_not_made_anew() {
    let (_hosts, sandbox, targets) = released_to_two();
    greet(&sandbox, "two");
    add_step_on_two(&sandbox, "hang", "touch hangs; until [ -e go ]; do sleep 0.1; done", "");
    let mut batou = sandbox.command(&["switch", "dev"]);
    let child = batou.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the step runs", || targets[1].0.join("state/db/hangs").exists());
    let away = targets[1].0.with_file_name("away");
    fs::rename(&targets[1].0, &away).unwrap();
    fs::write(away.join("state/db/go"), "").unwrap();
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(
        &text,
        &[
            "/shop was moved away or removed while this agent held its lock, so nothing more is changed: move it back",
            "one  went back\n",
            "two  goes back by itself: its target directory was moved away or removed, so it does once that is back\n",
        ],
    );
    assert!(!targets[1].0.exists(), "it is not made anew");
    fs::rename(&away, &targets[1].0).unwrap();
    says(
        &assert_next_succeeds(&sandbox, &targets).stderr,
        &["two: release ", "generation 1 is in force again"],
    );
}

#[test]
fn hosts_that_are_lost_together_are_waited_for_together() {
    let names = ["a", "b", "c"];
    let hosts = SshHosts::start(&names);
    let sandbox = shop::remote(&hosts, &names);
    sandbox.batou(&["switch", "dev"]).success();
    let targets = names.map(|name| Target::remote(&hosts, name));
    add_step(&sandbox, "hang", "update = \"touch on; sleep 600\"");
    let child = sandbox.command(&["switch", "dev"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    until("the steps run", || targets.iter().all(|target| target.0.join("state/db/on").exists()));
    let logins = hosts.host("c").logins();
    for name in names {
        hosts.host(name).cut();
    }
    // The last one can be reached again, and is asked while the first one is still waited for; and that one afterwards.
    hosts.host("c").heal();
    until("the last host is asked", || hosts.host("c").logins() > logins);
    hosts.host("a").heal();
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["a  went back", "b  goes back by itself", "c  went back"]);
}

#[test]
fn an_agent_that_is_killed_is_recovered_at_once() {
    let (_hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    kill_agent(&targets);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["one  went back", "two  went back"]);
    assert_old(&targets);
    assert_eq!(targets[0].results(), ["1 committed", "2 went-back"]);
    assert_eq!(targets[1].results(), ["1 committed", "2 interrupted"]);
    assert_next_succeeds(&sandbox, &targets);
}

#[test]
fn what_a_killed_agent_left_running_is_ended_before_anything_else_runs() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target::local(&sandbox);
    greet(&sandbox, "two");
    add_step(&sandbox, "hang", "update = \"echo $PPID >agent; sleep 600 & echo $! >it; mv it child; wait\"");
    let mut command = sandbox.command(&["switch", "dev"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let state = target.0.join("state/db");
    // A step may run for a moment before its agent has written down that it does.
    let runs = || state.join("child").exists() && target.0.join("running.json").exists();
    until("the step runs", runs);
    let number = |name: &str| fs::read_to_string(state.join(name)).unwrap().trim().to_owned();
    signal(Pid::from_raw(number("agent").parse().unwrap()).unwrap(), Signal::KILL);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["localhost  went back"]);
    assert!(has_ended(&number("child")));
    assert!(!target.0.join("running.json").exists());
    assert_eq!(target.results(), ["1 committed", "2 interrupted"]);
}

/// Once the steps of the release before have run again, the record says nothing of the abandoned one.
#[test]
fn what_stays_as_it_is_is_named_although_who_went_back_was_killed_too() {
    let sandbox = shop::local();
    let held = "echo one >>log; while [ -e hold ]; do sleep 0.1; done";
    add_step(&sandbox, "configure", "update = \"echo configured one\"");
    add_step(&sandbox, "later", &format!("update = \"echo $PPID >agent; {held}\""));
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target::local(&sandbox);
    let state = target.0.join("state/db");
    let component = "components/db/component.toml";
    let changed = sandbox.read(component).replace("configured one", "configured two");
    sandbox.write(component, changed.replace(held, "echo two >>log; sleep 600"));
    fs::write(state.join("hold"), "").unwrap();
    let mut command = sandbox.command(&["switch", "dev"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let kill_agent_once = |log: &str| {
        let runs = || {
            fs::read_to_string(state.join("log")).unwrap() == log && target.0.join("running.json").exists()
        };
        until("the step runs", runs);
        let agent = fs::read_to_string(state.join("agent")).unwrap();
        signal(Pid::from_raw(agent.trim().parse().unwrap()).unwrap(), Signal::KILL);
    };
    kill_agent_once("one\ntwo\n");
    kill_agent_once("one\ntwo\none\n");
    fs::remove_file(state.join("hold")).unwrap();
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(
        &text,
        &["localhost  went back", "left as they are, since they have no `revert`: localhost/db: configure, "],
    );
}

#[test]
fn an_agent_that_is_killed_with_its_deployer_is_recovered_by_the_next_switch() {
    let (_hosts, sandbox, targets) = released_to_two();
    let mut child = hanging(&sandbox, &targets);
    signal(Pid::from_child(&child), Signal::STOP);
    kill_agent(&targets);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the other host has gone back", || !targets[0].0.join("intent.json").exists());
    assert_eq!((targets[1].generation(), targets[1].results()), (Some(2), vec!["1 committed".to_owned()]));
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &["was interrupted"]);
    let output = assert_next_succeeds(&sandbox, &targets);
    says(&output.stderr, &["two: release ", "was interrupted on", "generation 1 is in force again"]);
    assert_eq!(targets[1].results(), ["1 committed", "2 interrupted", "3 committed"]);
    assert_eq!(targets[0].results(), ["1 committed", "2 went-back", "3 committed"]);
}
