//! What the hosts' journals tell when they are read together, and what a rollback means then.

use crate::common::{Output, Sandbox, SshHosts};
use crate::shop::{self, Target, greet, says};

/// The lines about releases, without times and ids: `* 2 two`.
fn releases(output: &Output) -> Vec<String> {
    let line = |line: &str| {
        let (mark, rest) = (line.starts_with('*'), line.trim_start_matches('*'));
        let (number, hosts) = (rest.split_whitespace().next()?, rest.rsplit("  ").next()?);
        number.parse::<u64>().ok()?;
        Some(format!("{}{number} {hosts}", if mark { "* " } else { "" }))
    };
    output.stdout.lines().filter_map(line).collect()
}

/// Release 1 everywhere, then one release of its own for each host: both have the number 2.
fn parted() -> (SshHosts, Sandbox) {
    let hosts = SshHosts::start(&["one", "two"]);
    let sandbox = shop::remote(&hosts, &["one", "two"]);
    sandbox.batou(&["switch", "dev"]).success();
    for (greeting, left_out) in [("two", "two"), ("three", "one")] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev", "--skip", left_out]).success();
    }
    (hosts, sandbox)
}

/// A rollback that takes a host without a journal for a new one would restore the other, and leave the two with different
/// releases.
#[test]
fn a_host_that_lost_its_journal_is_named_and_no_host_is_rolled_back_without_it() {
    let (_hosts, sandbox, targets) = shop::released_to_two();
    let release = |greeting: &str| {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    };
    let have = |greeting: [&str; 2]| {
        let found = targets.each_ref().map(|target| target.file("app/app.conf"));
        assert_eq!(found, [format!("{} on one\n", greeting[0]), format!("{} on two\n", greeting[1])]);
    };
    release("two");
    std::fs::remove_file(targets[1].0.join("journal")).unwrap();
    let lost = "two: its journal is missing, although generation 2 is in force";
    for command in ["status", "plan", "history"] {
        let told = sandbox.batou(&[command, "dev"]).success().stderr;
        says(&told, &[lost, "`batou switch dev`"]);
        assert!(!told.contains("is in force on one"), "it is no host that was left out: {told}");
    }
    let faults = sandbox.batou(&["--json", "status", "dev"]).success().stdout;
    says(&faults, &[r#""faults":[{"record":"journal","problem":"its journal is missing"#]);
    let refused = sandbox.batou(&["rollback", "dev"]).fails(1).stderr;
    says(
        &refused,
        &[lost, "what was in force on two; nothing was changed", "--skip two", "`batou switch dev`"],
    );
    have(["two", "two"]);

    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["release 3", "is in force on 2 hosts"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
    release("three");
    sandbox.batou(&["rollback", "dev"]).success();
    have(["two", "two"]);
    std::fs::write(targets[1].0.join("journal"), "").unwrap();
    sandbox.batou(&["rollback", "dev", "--to", "1", "--skip", "two"]).success();
    have(["one", "two"]);
}

/// What each of the two hosts has.
fn have(targets: &[Target; 2], greetings: [&str; 2]) {
    let found = targets.each_ref().map(|target| target.file("app/app.conf"));
    assert_eq!(found, [format!("{} on one\n", greetings[0]), format!("{} on two\n", greetings[1])]);
}

/// Which release a host was left out of is known: a journal that says nothing of another one has lost its line.
#[test]
fn a_journal_that_lacks_a_line_is_not_taken_for_a_host_that_was_left_out() {
    let (_hosts, sandbox, targets) = shop::released_to_two();
    for greeting in ["two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    let journal = targets[0].0.join("journal");
    let lines = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    for damaged in ["", "junk\n"] {
        std::fs::write(&journal, format!("{}\n{damaged}{}\n", lines[0], lines[2])).unwrap();
        let refused = sandbox.batou(&["rollback", "dev"]).fails(1).stderr;
        let message = "one took part in release 2, and the journal there has no line about it";
        says(&refused, &[message, "nothing was changed", "--skip one"]);
        have(&targets, ["three", "three"]);
    }
    sandbox.batou(&["rollback", "dev", "--skip", "one"]).success();
    have(&targets, ["three", "two"]);
}

/// Each host gets what it had; the one that had something else is told of, then and later.
#[test]
fn a_host_that_was_left_out_of_what_is_restored_is_told_of() {
    let (_hosts, sandbox, targets) = shop::released_to_two();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev", "--skip", "one"]).success();
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev"]).success();
    let back = sandbox.batou(&["rollback", "dev"]).success();
    says(&back.stderr, &["one did not have release 2: it is given back what it had then"]);
    says(&back.stdout, &["is in force on 1 host, as in release 2, and 1 host what it was then"]);
    have(&targets, ["one", "two"]);
    let status = sandbox.batou(&["status", "dev"]).success();
    says(&status.stdout, &["another one than release 4", "behind"]);
    says(
        &status.stderr,
        &["is in force on two, and one was given back another one with it", "`batou switch dev`"],
    );
    let history = sandbox.batou(&["history", "dev"]).success().stdout;
    says(&history, &["one two, release 2 restored, and another one on one\n"]);
    let lines = sandbox.batou(&["--json", "status", "dev"]).success().json();
    let behind: Vec<_> =
        lines.iter().filter(|line| line["behind"] == true).map(|line| &line["host"]).collect();
    assert_eq!(behind, ["one"]);

    // Further back, all had the same.
    sandbox.batou(&["rollback", "dev"]).success();
    have(&targets, ["one", "one"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
    sandbox.batou(&["switch", "dev"]).success();
    have(&targets, ["three", "three"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
}

#[test]
fn a_host_that_was_emptied_or_cannot_be_verified_hides_nothing_of_the_others() {
    let (_hosts, sandbox, targets) = shop::released_to_two();
    let target = &targets[1].0;
    std::fs::rename(target, target.with_extension("aside")).unwrap();
    let verified = sandbox.batou(&["verify", "dev"]).fails(1);
    let nothing =
        "  no release is in force, although release 1, which is in force on one, names this host, too";
    says(
        &verified.stdout,
        &["one: 3 files checked, as released", "two: 0 files checked, 1 problem", nothing],
    );
    says(&verified.stderr, &["1 problem found", "`batou switch dev` releases to two"]);
    let status = sandbox.batou(&["status", "dev"]).success();
    says(
        &status.stdout,
        &["two  no release in force, although it had one: its target directory was emptied\n"],
    );
    let behind = "is in force on one, and nothing of it is left on two: `batou switch dev` gives all hosts one release";
    says(&status.stderr, &[behind]);
    says(&sandbox.batou(&["plan", "dev"]).success().stderr, &[behind]);

    std::fs::create_dir_all(target.join("journal")).unwrap();
    let verified = sandbox.batou(&["verify", "dev"]).fails(1);
    says(&verified.stdout, &["one: 3 files checked, as released"]);
    says(&verified.stderr, &["1 host could not be verified", "two: ", "journal is a folder: move it away"]);
    let lines = sandbox.batou(&["--json", "verify", "dev"]).fails(1).json();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((&kinds[..], &lines[0]["host"]), (&["verified", "error"][..], &"one".into()));

    std::fs::remove_file(targets[0].0.join("journal")).unwrap();
    let verified = sandbox.batou(&["verify", "dev"]).fails(1);
    says(&verified.stdout, &["one: 3 files checked, 1 problem", "  its journal is missing"]);
    says(&verified.stderr, &["1 host could not be verified, and 1 problem found on the others"]);
}

#[test]
fn no_host_moves_where_one_cannot_tell_which_of_its_steps_have_run() {
    let (_hosts, sandbox, targets) = shop::released_to_two();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "three");
    let journal = || std::fs::read_to_string(targets[0].0.join("journal")).unwrap();
    let (before, activated) = (journal(), targets[1].0.join("activated.json"));
    std::fs::write(&activated, "{").unwrap();
    for command in ["switch", "rollback"] {
        let refused = sandbox.batou(&[command, "dev"]).fails(1).stderr;
        says(&refused, &["activated.json", "is damaged on two; nothing was changed", "remove that file"]);
        assert_eq!(journal(), before, "{command}");
    }
    std::fs::remove_file(&activated).unwrap();
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(targets[1].file("app/app.conf"), "three on two\n");
}

#[test]
fn releases_that_left_out_each_others_hosts_are_told_apart() {
    let (hosts, sandbox) = parted();
    let history = sandbox.batou(&["history", "dev"]).success();
    let mut told = releases(&history);
    // The two are in the order of their times, which journals tell in seconds.
    told.sort();
    assert_eq!(told, ["* 2 one", "* 2 two", "1 one two"]);

    let output = sandbox.batou(&["rollback", "dev", "--to", "2"]).fails(2);
    says(&output.stderr, &["2 is the number of 2 releases", "--host"]);
    sandbox.batou(&["rollback", "dev", "--to", "2", "--host", "one"]).success();
    let refused = sandbox.batou(&["rollback", "dev"]).fails(1).stderr;
    says(
        &refused,
        &["hosts have releases that were made without each other: release ", "so it is not clear"],
    );
    sandbox.batou(&["rollback", "dev", "--to", "1"]).success();
    for name in ["one", "two"] {
        assert_eq!(Target::remote(&hosts, name).file("app/app.conf"), format!("one on {name}\n"));
    }
}
