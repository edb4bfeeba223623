//! `batou facts`: from the hosts into facts.lock, and from there into files.

use std::fs;

use serde_json::json;

use crate::common::{Sandbox, SshHosts};
use crate::shop::{self, Target, listing, says};

const LOCK: &str = "environments/dev/facts.lock";

/// Prints the file `answer` in the home folder of whichever host the agent was started on: the hosts share all else.
const ANSWER: &str = r#"cat "$(tr '\0' '\n' < /proc/$PPID/environ | sed -n s/^HOME=//p)/answer""#;

/// The shop on these hosts, each of which answers with its own name; `app.conf` shows the answer.
fn remote(names: &[&str]) -> (SshHosts, Sandbox) {
    let hosts = SshHosts::start(names);
    let sandbox = shop::remote(&hosts, names);
    for name in names {
        answer(&hosts, name, name);
    }
    declare(&sandbox);
    (hosts, sandbox)
}

fn declare(sandbox: &Sandbox) {
    shop::append(
        sandbox,
        "batou.toml",
        &format!("\n[facts]\nanswer = {{ command = '''{ANSWER}''' }}\nmemory = \"memory\"\n"),
    );
    let component = sandbox.read("components/app/component.toml");
    sandbox.write(
        "components/app/component.toml",
        component.replace("on {{ host.name }}", "on {{ host.facts.answer }}"),
    );
}

fn answer(hosts: &SshHosts, name: &str, text: &str) {
    fs::write(hosts.host(name).home().join("answer"), text).unwrap();
}

/// The value of a fact in the lock, and its host's table.
fn locked(sandbox: &Sandbox, host: &str) -> toml::Table {
    let lock: toml::Table = sandbox.read(LOCK).parse().unwrap();
    lock["host"].get(host).map(|facts| facts.as_table().unwrap().clone()).unwrap_or_default()
}

#[test]
fn from_two_hosts_into_their_files() {
    let (hosts, sandbox) = remote(&["one", "two"]);
    let refused = sandbox.batou(&["check"]).fails(2);
    says(
        &refused.stderr,
        &["the fact `answer` was never gathered: run `batou facts dev`", "affects: one/app, two/app"],
    );

    let output = sandbox.batou(&["facts", "dev"]).success();
    says(&output.stdout, &["one\n  + answer = \"one\"\n  + memory = ", "two\n  + answer = \"two\"\n"]);
    says(&output.stderr, &["environments/dev/facts.lock is written: review it, and commit it"]);
    assert!(locked(&sandbox, "one")["memory"].as_integer().unwrap() > 1 << 20);
    let target = Target::remote(&hosts, "one");
    assert!(!target.0.exists(), "asking leaves nothing on a host but the agent");

    hosts.host("one").cut();
    sandbox.batou(&["build", "dev"]).success();
    hosts.host("one").heal();
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "one on one\n");

    answer(&hosts, "two", "three");
    let before = listing(&sandbox.project().join("environments"));
    let checked = sandbox.batou(&["facts", "dev", "--check"]).fails(1);
    says(&checked.stdout, &["two\n  - answer = \"two\"\n  + answer = \"three\"\n"]);
    says(
        &checked.stderr,
        &["environments/dev/facts.lock differs from what the hosts say", "batou facts dev"],
    );
    assert!(!checked.stdout.contains("one"), "{}", checked.stdout);
    assert_eq!(listing(&sandbox.project().join("environments")), before, "it is only checked");

    sandbox.batou(&["facts", "dev"]).success();
    let plan = sandbox.batou(&["plan", "dev"]).success();
    says(&plan.stdout, &["because host fact answer changed", "-one on two", "+one on three"]);

    let before = listing(&sandbox.project().join("environments"));
    let output = sandbox.batou(&["facts", "dev"]).success();
    assert_eq!(output.stdout, "");
    assert_eq!(
        listing(&sandbox.project().join("environments")),
        before,
        "nothing changed, nothing is written"
    );
    sandbox.batou(&["facts", "dev", "--check"]).success();
}

#[test]
fn a_host_that_cannot_be_asked_keeps_its_facts() {
    let (hosts, sandbox) = remote(&["one", "two"]);
    sandbox.batou(&["facts", "dev"]).success();
    hosts.host("two").cut();
    answer(&hosts, "one", "new");
    let output = sandbox.batou(&["facts", "dev"]).fails(1);
    says(&output.stderr, &["two: cannot connect", "what was known of them is kept", "--skip two"]);
    let answers = || ["one", "two"].map(|host| locked(&sandbox, host)["answer"].as_str().unwrap().to_owned());
    assert_eq!(answers(), ["new", "two"]);

    let output = sandbox.batou(&["facts", "dev", "--skip-unreachable"]).success();
    says(&output.stderr, &["two is left out: cannot connect"]);
    sandbox.batou(&["facts", "dev", "--skip", "two"]).success();
    sandbox.batou(&["facts", "dev", "--host", "one", "--check"]).success();
    assert_eq!(answers(), ["new", "two"]);

    let environment = sandbox.read("environments/dev/environment.toml");
    sandbox.write("environments/dev/environment.toml", environment.replace("two = ", "\"!two\" = "));
    sandbox.batou(&["facts", "dev"]).success();
    assert_eq!(
        answers(),
        ["new", "two"],
        "nobody asks a host that is ignored, and what is known of it stays"
    );
    let kept: Vec<_> = environment.lines().filter(|line| !line.starts_with("two")).collect();
    let (rest, _) = kept.split_at(kept.iter().position(|line| *line == "[host.two]").unwrap());
    sandbox.write("environments/dev/environment.toml", rest.join("\n"));
    let output = sandbox.batou(&["facts", "dev"]).success();
    says(&output.stdout, &["two\n  - answer = \"two\"\n"]);
    assert!(locked(&sandbox, "two").is_empty());
}

#[test]
fn what_a_host_answers_is_only_data() {
    let (hosts, sandbox) = remote(&["one"]);
    answer(&hosts, "one", "\x1b]0;title\x07{{ host.name }}\x00\u{202e}\"\n[host.two]\nanswer = 1");
    let output = sandbox.batou(&["facts", "dev"]).success();
    let shown = [output.stdout, output.stderr, sandbox.read(LOCK)].concat();
    assert!(shown.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{shown:?}");
    assert!(locked(&sandbox, "two").is_empty());
    sandbox.batou(&["switch", "dev"]).success();
    let file = Target::remote(&hosts, "one").file("app/app.conf");
    assert_eq!(file, "one on \x1b]0;title\x07{{ host.name }}\x00\u{202e}\"\n[host.two]\nanswer = 1\n");

    fs::write(hosts.host("one").home().join("answer"), b"\xff\xfe").unwrap();
    let output = sandbox.batou(&["facts", "dev"]).fails(1);
    says(
        &output.stderr,
        &["1 fact could not be gathered", "one: answer: what its command printed is not UTF-8"],
    );
    assert!(locked(&sandbox, "one")["answer"].as_str().unwrap().contains("title"), "the old answer is kept");
    fs::write(hosts.host("one").home().join("answer"), vec![b'x'; 100_000_000]).unwrap();
    let output = sandbox.batou(&["facts", "dev"]).fails(1);
    says(&output.stderr, &["one: answer: its command printed more than 512 KiB"]);
    fs::remove_file(hosts.host("one").home().join("answer")).unwrap();
    let output = sandbox.batou(&["facts", "dev", "--json"]).fails(1);
    says(&output.stdout, &["failed with status 1: cat: ", "No such file"]);
}

#[test]
fn a_command_that_hangs_does_not_hold_the_others_up() {
    let (_hosts, sandbox) = remote(&["one"]);
    shop::append(&sandbox, "batou.toml", "hangs = { command = \"sleep 600\", timeout = 1 }\n");
    let output = sandbox.batou(&["facts", "dev"]).fails(1);
    says(&output.stderr, &["one: hangs: its command took more than 1 s"]);
    assert_eq!(locked(&sandbox, "one")["answer"].as_str(), Some("one"));
    sandbox.batou(&["check"]).success();
}

#[test]
fn facts_that_are_not_committed_are_not_released() {
    let (_hosts, sandbox) = remote(&["one"]);
    sandbox.write(".gitignore", "/result\n").commit_all();
    sandbox.batou(&["facts", "dev"]).success();
    let output = sandbox.batou(&["switch", "dev"]).fails(2);
    says(&output.stderr, &["1 change that is not committed: environments/dev/facts.lock"]);
    sandbox.commit_all();
    sandbox.batou(&["switch", "dev"]).success();
}

#[test]
fn this_machine_has_facts_too() {
    let sandbox = shop::local();
    shop::append(
        &sandbox,
        "batou.toml",
        "[facts]\nos = \"os-release\"\nup = { command = \"echo '[true, null, {\\\"n\\\": 1.5}]'\", json = true }\n\
         here = { files = \"/proc/sel[f]\" }\n",
    );
    let output = sandbox.batou(&["facts", "dev", "--json"]).success();
    let lines = output.json();
    assert_eq!((&lines[0]["type"], &lines[0]["host"]), (&json!("facts"), &json!("localhost")));
    let added: Vec<_> =
        lines[0]["added"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(added.contains(&"here[] = \"/proc/self\"") && added.contains(&"up[] = { n = 1.5 }"), "{added:?}");
    assert_eq!(
        lines[1],
        json!({"format": 1, "type": "facts-lock", "file": LOCK, "changed": true, "written": true})
    );
    assert!(!sandbox.project().join("work").exists());
}

#[test]
fn what_cannot_be_asked_for_is_bad_use() {
    let sandbox = shop::local();
    says(&sandbox.batou(&["facts", "dev"]).fails(2).stderr, &["batou.toml declares no facts", "[facts]"]);
    shop::append(&sandbox, "batou.toml", "[facts]\nmemory = \"memory\"\n");
    says(&sandbox.batou(&["facts", "dev", "--host", "x"]).fails(2).stderr, &["has no host x"]);
    says(&sandbox.batou(&["facts", "prod"]).fails(2).stderr, &["there is no environment `prod`"]);
    sandbox.write(LOCK, "[host.localhost]\nmemory =\n");
    let refused = sandbox.batou(&["facts", "dev"]).fails(2);
    says(&refused.stderr, &["facts.lock:2", "remove it and run `batou facts dev`"]);
    assert_eq!(sandbox.read(LOCK), "[host.localhost]\nmemory =\n");
}
