//! Several deployers at once: one after the other, none lost, and nobody waits for ever.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::thread;

use crate::common::{Output, Sandbox, SshHosts, until};
use crate::shop::{self, Target, append, greet, says};

/// Starts a switch, to be waited for.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = sandbox.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a child of [`start`] said, and how it ended.
fn wait(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The sequences in a journal, each of which must have been committed.
fn committed(target: &Target) -> Vec<u64> {
    let entries = target.journal();
    assert!(entries.iter().all(|entry| entry["result"] == "committed"), "{:?}", target.results());
    entries.iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn twenty_deployers_at_one_host_make_one_history() {
    let hosts = SshHosts::start(&["one"]);
    let first = shop::remote(&hosts, &["one"]);
    shop::set(&first, "keep = 30");
    first.batou(&["switch", "dev"]).success();
    let deployers: Vec<_> = (0..20)
        .map(|number| {
            let sandbox = shop::remote(&hosts, &["one"]);
            shop::set(&sandbox, "keep = 30");
            greet(&sandbox, &format!("deployer {number}"));
            sandbox
        })
        .collect();
    let children: Vec<_> = deployers.iter().map(|sandbox| start(sandbox, &["switch", "dev"])).collect();
    let ended: Vec<_> = children.into_iter().map(wait).collect();
    for (status, stdout, stderr) in &ended {
        assert_eq!(*status, Some(0), "{stdout}\n{stderr}");
    }
    let waited = ended.iter().filter(|(.., stderr)| stderr.contains("waiting: ")).count();
    assert!(waited > 0, "somebody was told who holds the lock");

    let target = Target::remote(&hosts, "one");
    assert_eq!(committed(&target), (1..=21).collect::<Vec<u64>>());
    let entries = target.journal();
    for pair in entries.windows(2) {
        assert_eq!(pair[1]["from"], pair[0]["to"], "each release followed the one before");
    }
    let texts: BTreeSet<String> = (2..=21)
        .map(|generation| {
            let path = target.0.join(format!("generations/{generation}/app/app.conf"));
            fs::read_to_string(path).unwrap()
        })
        .collect();
    let expected: BTreeSet<String> = (0..20).map(|number| format!("deployer {number} on one\n")).collect();
    assert_eq!(texts, expected, "none is lost");
    assert_eq!(first.batou(&["history", "dev", "--json"]).success().json().len(), 21);
}

#[test]
fn deployers_with_opposite_orders_do_not_block_each_other() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let hosts = SshHosts::start(&NAMES);
    let forth = shop::remote(&hosts, &NAMES);
    let back = shop::remote(&hosts, &NAMES);
    for (sandbox, hosts_in_order) in [(&forth, "abcd"), (&back, "dcba")] {
        let listed: Vec<_> = hosts_in_order.chars().map(|host| format!("{host} = [\"app\"]\n")).collect();
        let environment = sandbox.read("environments/dev/environment.toml");
        let (start, rest) = environment.split_once("[hosts]\n").unwrap();
        let (_, rest) = rest.split_once("\n\n").unwrap();
        sandbox.write(
            "environments/dev/environment.toml",
            format!("{start}[hosts]\n{}\n{rest}", listed.concat()),
        );
        shop::set(sandbox, "keep = 30");
    }
    let switch_often = |sandbox: &Sandbox, who: &str| {
        for number in 0..5 {
            greet(sandbox, &format!("{who} {number}"));
            sandbox.batou(&["switch", "dev"]).success();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| switch_often(&forth, "forth"));
        scope.spawn(|| switch_often(&back, "back"));
    });
    let releases = |name: &str| -> Vec<String> {
        let journal = Target::remote(&hosts, name).journal();
        journal.iter().map(|entry| format!("{} {}", entry["sequence"], entry["release"])).collect()
    };
    assert_eq!(committed(&Target::remote(&hosts, "a")), (1..=10).collect::<Vec<u64>>());
    for name in &NAMES[1..] {
        assert_eq!(releases(name), releases("a"), "all hosts had the releases in one order");
    }
}

#[test]
fn deployers_with_only_some_hosts_in_common_do_not_block_each_other() {
    let hosts = SshHosts::start(&["a", "b", "c"]);
    let (first, second) = (shop::remote(&hosts, &["a", "c"]), shop::remote(&hosts, &["b", "c"]));
    let switch_often = |sandbox: &Sandbox, who: &str| {
        for number in 0..5 {
            greet(sandbox, &format!("{who} {number}"));
            sandbox.batou(&["switch", "dev"]).success();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| switch_often(&first, "first"));
        scope.spawn(|| switch_often(&second, "second"));
    });
    assert_eq!(committed(&Target::remote(&hosts, "c")), (1..=10).collect::<Vec<u64>>());
    assert_eq!(committed(&Target::remote(&hosts, "a")).len(), 5);
    assert_eq!(committed(&Target::remote(&hosts, "b")).len(), 5);
}

/// A step that waits for the file `go` in the state of its component.
const HOLDING: &str =
    "[[step]]\nname = \"wait\"\nupdate = \"touch waits; until [ -e go ]; do sleep 0.1; done\"\n";

/// Starts a switch that is held by a step of `db`.
fn holding(sandbox: &Sandbox, target: &Target) -> Child {
    append(sandbox, "components/db/component.toml", HOLDING);
    let child = start(sandbox, &["switch", "dev"]);
    let waits = target.0.join("state/db/waits");
    until("the step runs", || waits.exists());
    child
}

#[test]
fn who_does_not_want_to_wait_is_told_who_holds_the_lock() {
    let hosts = SshHosts::start(&["one"]);
    let (holder, other) = (shop::remote(&hosts, &["one"]), shop::remote(&hosts, &["one"]));
    let target = Target::remote(&hosts, "one");
    let child = holding(&holder, &target);
    greet(&other, "two");
    let output = other.batou(&["switch", "dev", "--lock-wait", "0"]).fails(1);
    let user = Output::of(other.program("id").arg("-un")).success().stdout;
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let person = format!("{}@{} (since 20", user.trim(), machine.trim());
    says(&output.stderr, &[&person, "holds the lock of one", "nothing was changed", "--lock-wait"]);
    says(&other.batou(&["retire", "dev", "one", "--yes", "--lock-wait", "0"]).fails(1).stderr, &[&person]);
    assert!(target.results().is_empty(), "the first release is not ended yet");

    let waiting = start(&other, &["switch", "dev"]);
    fs::write(target.0.join("state/db/go"), "").unwrap();
    let (status, _, stderr) = wait(child);
    assert_eq!(status, Some(0), "{stderr}");
    let (status, _, stderr) = wait(waiting);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(committed(&target), [1, 2]);
    assert_eq!(target.file("app/app.conf"), "two on one\n");
}

#[test]
fn who_has_lost_the_lock_is_told_so_and_what_became_of_the_host() {
    let hosts = SshHosts::start(&["one", "two"]);
    let (first, second) = (shop::remote(&hosts, &["one", "two"]), shop::remote(&hosts, &["one", "two"]));
    first.batou(&["switch", "dev"]).success();
    let (one, two) = (Target::remote(&hosts, "one"), Target::remote(&hosts, "two"));
    greet(&first, "first");
    let child = holding(&first, &one);
    for target in [&one, &two] {
        fs::remove_file(target.0.join("lock")).unwrap();
    }
    greet(&second, "second");
    let taken = second.batou(&["switch", "dev"]).success();
    says(&taken.stderr, &["one: step db/wait of an earlier release was still running, and was ended"]);
    let (status, stdout, stderr) = wait(child);
    assert_eq!(status, Some(1), "{stdout}\n{stderr}");
    let lost = "/shop/lock was removed or replaced while this agent held the lock";
    says(
        &stderr,
        &[
            "activation failed:\n",
            lost,
            "no host keeps the release: one overtaken, two overtaken",
            "batou history",
        ],
    );
    assert!(!stderr.contains("went back") && !stderr.contains("update failed"), "{stderr}");
    // By a release that is made, or is being made yet.
    says(&stdout, &["one  overtaken: ", "two  overtaken: "]);
    for (name, target) in [("one", &one), ("two", &two)] {
        assert_eq!(target.file("app/app.conf"), format!("second on {name}\n"));
    }
    first.batou(&["status", "dev"]).success();
}

#[test]
fn who_waited_for_a_release_of_the_same_has_nothing_to_do() {
    let hosts = SshHosts::start(&["one", "two"]);
    let [first, second, third] = [(); 3].map(|()| shop::remote(&hosts, &["one", "two"]));
    let [one, two] = ["one", "two"].map(|name| Target::remote(&hosts, name));
    let child = holding(&first, &one);
    let [waiting, rechecking] =
        [(&second, &["switch", "dev"][..]), (&third, &["switch", "dev", "--recheck"])].map(
            |(sandbox, arguments)| {
                append(sandbox, "components/db/component.toml", HOLDING);
                let mut child = start(sandbox, arguments);
                let mut said = BufReader::new(child.stderr.take().unwrap());
                let mut line = String::new();
                while !line.contains("waiting: ") {
                    line.clear();
                    assert!(said.read_line(&mut line).unwrap() > 0, "it waits");
                }
                child.stderr = Some(said.into_inner());
                child
            },
        );
    for target in [&one, &two] {
        fs::create_dir_all(target.0.join("state/db")).unwrap();
        fs::write(target.0.join("state/db/go"), "").unwrap();
    }
    assert_eq!(wait(child).0, Some(0));
    let (status, stdout, stderr) = wait(waiting);
    assert_eq!(status, Some(0), "{stdout}\n{stderr}");
    says(&stdout, &["dev: nothing to do, release ", " is in force"]);
    let (status, stdout, stderr) = wait(rechecking);
    assert_eq!(status, Some(0), "{stdout}\n{stderr}");
    says(&stdout, &["release 2 (", ": release 1 once more"]);
    for target in [&one, &two] {
        assert_eq!(committed(target), [1, 2], "one release, and one that was checked again");
    }
}

#[test]
fn a_host_is_retired_after_the_release_that_was_under_way() {
    let hosts = SshHosts::start(&["one", "two"]);
    let [switching, retiring] = [(); 2].map(|()| shop::remote(&hosts, &["one", "two"]));
    let [one, two] = ["one", "two"].map(|name| Target::remote(&hosts, name));
    switching.batou(&["switch", "dev"]).success();
    let child = holding(&switching, &one);
    let mut retire = start(&retiring, &["retire", "dev", "two", "--lost", "--yes", "--json"]);
    let mut said = BufReader::new(retire.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let waits: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&waits["type"], &waits["host"]), (&"waiting".into(), &"one".into()));
    assert!(waits["holder"]["user"].is_string(), "{line}");
    for target in [&one, &two] {
        fs::write(target.0.join("state/db/go"), "").unwrap();
    }
    assert_eq!(wait(child).0, Some(0));
    retire.stdout = Some(said.into_inner());
    let (status, stdout, stderr) = wait(retire);
    assert_eq!(status, Some(0), "{stdout}\n{stderr}");
    assert_eq!(committed(&one), [1, 2, 3]);
    let journal = one.journal();
    assert_eq!(journal[2]["release"], journal[1]["release"], "it is of the release that it waited for");
    assert_eq!(journal[2]["forgets"], "two");
}

#[test]
fn a_release_under_way_can_be_looked_at() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let target = Target::remote(&hosts, "one");
    let child = holding(&sandbox, &target);
    let status = sandbox.batou(&["status", "dev", "--json"]).success().json();
    assert_eq!(status[0]["unfinished"], true);
    says(&sandbox.batou(&["plan", "dev"]).success().stdout, &["under way"]);
    fs::write(target.0.join("state/db/go"), "").unwrap();
    assert_eq!(wait(child).0, Some(0));
}

#[test]
fn a_rollback_that_waited_for_another_release_does_not_go_back_behind_it() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "three");
    let wait_for_it =
        "[[step]]\nname = \"wait\"\nupdate = \"touch waits; until test -e go; do sleep 0.05; done\"\n";
    append(&sandbox, "components/app/component.toml", wait_for_it);
    let switch = start(&sandbox, &["switch", "dev"]);
    let state = target.0.join("state/app");
    until("the step waits", || state.join("waits").exists());

    let mut rollback = sandbox.command(&["rollback", "dev"]);
    let mut rollback = rollback.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(rollback.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    says(&line, &["waiting: "]);
    fs::write(state.join("go"), "").unwrap();
    assert_eq!(wait(switch).0, Some(0));
    said.read_to_string(&mut line).unwrap();
    assert_eq!(rollback.wait().unwrap().code(), Some(1), "{line}");
    says(&line, &["another release has just been made on localhost; nothing was restored"]);
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "two on localhost\n");
}
