//! Hosts that take no part in a release, by name or because a saved plan has nothing for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::Sandbox;
use crate::shop::{self, Target, greet, says};

/// The shop on three hosts that are all this machine.
fn three() -> Sandbox {
    let sandbox = shop::local();
    let environment = "[environment]\nconnect_method = \"local\"\n[hosts]\n\"h{1..3}\" = [\"app\"]\n";
    sandbox.write("environments/dev/environment.toml", environment);
    sandbox
}

fn host(sandbox: &Sandbox, name: &str) -> Target {
    Target(sandbox.project().join("work/dev").join(name))
}

#[test]
fn a_plan_without_a_host_leaves_it_as_it_is() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev", "--skip", "h3"]).success();
    let status = sandbox.batou(&["status", "dev"]).success();
    says(&status.stdout, &["h3  no release in force\n"]);
    says(&status.stderr, &["is in force on h1, h2, and was made without h3: `batou switch dev`"]);
    greet(&sandbox, "two");
    sandbox.batou(&["plan", "dev", "--skip", "h3", "-o", "two.plan"]).success();
    let output = sandbox.batou(&["switch", "dev", "--plan", "two.plan"]).success();
    says(&output.stderr, &["h3 is not in the plan, and stays as it is"]);
    says(&output.stdout, &["in force on 2 hosts"]);
    assert_eq!(host(&sandbox, "h2").file("app/app.conf"), "two on h2\n");
    assert_eq!(host(&sandbox, "h3").generation(), None);
}

#[test]
fn a_host_can_be_left_out_of_a_plan_and_does_not_make_it_stale() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["plan", "dev", "-o", "two.plan"]).success();
    sandbox.batou(&["switch", "dev", "--plan", "two.plan", "--skip", "h1"]).success();
    assert_eq!(host(&sandbox, "h1").file("app/app.conf"), "one on h1\n");
    assert_eq!(host(&sandbox, "h2").file("app/app.conf"), "two on h2\n");
    let again = sandbox.batou(&["switch", "dev", "--plan", "two.plan"]).fails(1);
    says(&again.stderr, &["stale: another release has been made since on h2, h3; nothing was changed"]);
}

#[test]
fn a_plan_for_a_host_that_is_gone_is_refused() {
    let sandbox = three();
    sandbox.batou(&["plan", "dev", "-o", "one.plan"]).success();
    let environment = sandbox.read("environments/dev/environment.toml").replace("1..3", "1..2");
    sandbox.write("environments/dev/environment.toml", environment);
    says(&sandbox.batou(&["switch", "dev", "--plan", "one.plan"]).fails(2).stderr, &["h3", "no host of dev"]);
    assert_eq!(host(&sandbox, "h1").generation(), None);
}

#[test]
fn a_plan_whose_objects_are_elsewhere_says_so() {
    let sandbox = three();
    let mut elsewhere = sandbox.command(&["plan", "dev", "-o", "one.plan"]);
    elsewhere.env("BATOU_STORE", sandbox.home().join("elsewhere"));
    crate::common::Output::of(&mut elsewhere).success();
    let output = sandbox.batou(&["switch", "dev", "--plan", "one.plan"]).fails(1);
    says(&output.stderr, &["the plan needs artifact", "batou store import"]);
    assert_eq!(host(&sandbox, "h1").generation(), None);
}

#[test]
fn a_release_to_no_host_is_none() {
    let sandbox = three();
    let skip = ["--skip", "h1", "--skip", "h2", "--skip", "h3"];
    for command in ["switch", "plan", "rollback"] {
        let output = sandbox.batou(&[&[command, "dev"][..], &skip].concat()).fails(2);
        assert_eq!(output.stdout, "");
        says(&output.stderr, &["environment dev has no host that is not left out"]);
    }
}

/// Names on the command line are those of environment.toml, and as free in their form.
#[test]
fn hosts_are_named_in_any_case_and_with_their_domain() {
    let sandbox = three();
    let environment = sandbox
        .read("environments/dev/environment.toml")
        .replace("connect_method", "host_domain = \"example.net\"\nconnect_method");
    sandbox.write("environments/dev/environment.toml", environment);
    sandbox.batou(&["switch", "dev", "--skip", "H3", "--skip", "h2.Example.net."]).success();
    let generations = || ["h1", "h2", "h3"].map(|name| host(&sandbox, name).generation());
    assert_eq!(generations(), [Some(1), None, None]);
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.batou(&["rollback", "dev", "--host", "H1"]).success();
    let file = |name: &str| host(&sandbox, name).file("app/app.conf");
    assert_eq!((file("h1"), file("h2")), ("one on h1\n".to_owned(), "two on h2\n".to_owned()));
    for command in [
        &["exec", "dev", "--host", "H2", "--", "true"][..],
        &["history", "dev", "--host", "h2.example.net"],
        &["build", "dev", "--host", "H2."],
        &["explain", "dev", "H2", "app"],
        &["retire", "dev", "H2.example.net", "--yes"],
    ] {
        sandbox.batou(command).success();
    }
    assert_eq!(generations().map(|generation| generation.is_some()), [true, false, true]);
    for (command, hint) in [
        (&["switch", "dev", "--skip", "h2.example.com"][..], "did you mean `h2`?"),
        (&["exec", "dev", "--host", "h22", "--", "true"], "known: h1, h2, h3"),
    ] {
        let output = sandbox.batou(command).fails(2);
        says(&output.stderr, &["environment dev has no host h2", hint]);
    }
}

#[test]
fn a_host_that_was_left_out_stays_behind_when_another_one_is_retired() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev", "--skip", "h2"]).success();
    says(&sandbox.batou(&["status", "dev"]).success().stderr, &["release 2 ", "was made without h2"]);
    let environment = sandbox.read("environments/dev/environment.toml").replace("1..3", "1..2");
    sandbox.write("environments/dev/environment.toml", environment);
    sandbox.batou(&["retire", "dev", "h3"]).success();
    assert!(!host(&sandbox, "h3").0.join("current").exists(), "it is the host's own folder");
    says(
        &sandbox.batou(&["status", "dev"]).success().stderr,
        &["is in force on h1, and was made without h2"],
    );
    assert_eq!(host(&sandbox, "h2").results(), ["1 committed"]);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
}

#[test]
fn the_second_last_local_host_is_found_where_it_was() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    let environment = sandbox.read("environments/dev/environment.toml").replace("1..3", "1..1");
    sandbox.write("environments/dev/environment.toml", environment);
    let retired = sandbox.batou(&["retire", "dev", "h3"]).success();
    says(&retired.stdout, &["h3: everything batou made is removed"]);
    assert!(!host(&sandbox, "h3").0.exists());
    assert_eq!(host(&sandbox, "h2").file("app/app.conf"), "one on h2\n");
}

#[test]
fn a_host_that_there_never_was_is_not_retired() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    for lost in [&[][..], &["--lost"]] {
        let unknown = sandbox.batou(&[&["retire", "dev", "h33"], lost].concat()).fails(2).stderr;
        says(&unknown, &["dev has no host `h33`, and none of its hosts knows of one"]);
    }
    assert!(!host(&sandbox, "h33").0.exists());
}

/// It has what the others have, only under another number.
#[test]
fn a_host_that_was_left_out_of_a_mend_is_not_behind() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    fs::remove_file(host(&sandbox, "h1").0.join("current")).unwrap();
    says(&sandbox.batou(&["switch", "dev", "--skip", "h3"]).success().stdout, &["release 1 once more"]);
    assert_eq!(host(&sandbox, "h3").results(), ["1 committed"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
    let again = sandbox.batou(&["switch", "dev"]).success();
    says(&again.stdout, &["nothing to do"]);
    assert_eq!(again.stderr, "");
}

/// Releases one, two and three on all hosts.
fn released_three_times() -> Sandbox {
    let sandbox = three();
    for greeting in ["one", "two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    sandbox
}

fn have(sandbox: &Sandbox, greetings: [&str; 3]) {
    for (name, greeting) in ["h1", "h2", "h3"].into_iter().zip(greetings) {
        assert_eq!(host(sandbox, name).file("app/app.conf"), format!("{greeting} on {name}\n"));
    }
}

/// Each part of the hosts counts for itself: the numbers say nothing about which release is newer.
#[test]
fn releases_that_were_made_without_each_other_are_told_and_none_is_taken_back_unasked() {
    let forks: [&[&[&str]]; 3] = [
        // More releases on one host than on the others.
        &[
            &["switch", "dev", "--skip", "h2", "--skip", "h3"],
            &["switch", "dev", "--skip", "h2", "--skip", "h3"],
        ],
        // As many on both sides.
        &[&["switch", "dev", "--skip", "h2", "--skip", "h3"]],
        &[&["rollback", "dev", "--host", "h1"], &["rollback", "dev", "--host", "h1"]],
    ];
    for fork in forks {
        let sandbox = released_three_times();
        for (number, command) in fork.iter().enumerate() {
            greet(&sandbox, &format!("four {number}"));
            sandbox.batou(command).success();
        }
        let on_h1 = host(&sandbox, "h1").file("app/app.conf").replace(" on h1\n", "");
        greet(&sandbox, "five");
        sandbox.batou(&["switch", "dev", "--skip", "h1"]).success();
        let status = sandbox.batou(&["status", "dev"]).success();
        says(
            &status.stderr,
            &[" another one, and each was made without the hosts of the other: `batou switch dev`"],
        );
        assert!(status.stdout.contains(", apart from the others"), "{}", status.stdout);
        let refused = sandbox.batou(&["rollback", "dev"]).fails(1).stderr;
        let told = "hosts have releases that were made without each other: release ";
        says(&refused, &[told, "so it is not clear which one", "; nothing was changed", "--to", "--host"]);
        have(&sandbox, [&on_h1, "five", "five"]);

        // Once all have one release again, there is a way back to what each had.
        greet(&sandbox, "six");
        sandbox.batou(&["switch", "dev"]).success();
        assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
        sandbox.batou(&["rollback", "dev"]).success();
        have(&sandbox, [&on_h1, "five", "five"]);
        if on_h1 == "one" {
            // What `h1` was given back, the others have had, too: theirs is the newer one.
            sandbox.batou(&["rollback", "dev"]).success();
            have(&sandbox, ["one", "three", "three"]);
        } else {
            says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &[told]);
        }
    }
}

#[test]
fn a_rollback_past_one_that_left_hosts_out_gives_each_what_it_had() {
    for first in
        [&["rollback", "dev", "--host", "h1"][..], &["rollback", "dev", "--skip", "h2", "--skip", "h3"]]
    {
        let sandbox = released_three_times();
        sandbox.batou(first).success();
        have(&sandbox, ["two", "three", "three"]);
        greet(&sandbox, "four");
        sandbox.batou(&["switch", "dev"]).success();

        let back = sandbox.batou(&["rollback", "dev"]).success();
        have(&sandbox, ["two", "three", "three"]);
        for host in ["h2", "h3"] {
            let told = format!("{host} did not have release 4: it is given back what it had then");
            says(&back.stderr, &[&told]);
        }
        sandbox.batou(&["rollback", "dev", "--to", "2"]).success();
        have(&sandbox, ["two", "two", "two"]);
        sandbox.batou(&["rollback", "dev", "--to", "4"]).success();
        have(&sandbox, ["two", "three", "three"]);

        // What the others still have is the newest: taking that back completes the first rollback.
        sandbox.batou(&["rollback", "dev"]).success();
        have(&sandbox, ["two", "two", "two"]);
        sandbox.batou(&["rollback", "dev"]).success();
        have(&sandbox, ["one", "one", "one"]);
        says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &["no release was in force before"]);
    }
}

#[test]
fn a_host_that_was_put_back_from_a_copy_is_not_said_to_have_been_left_out() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev"]).success();
    let (target, copy) = (sandbox.project().join("work/dev/h2"), sandbox.home().join("copy"));
    let copied = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copied(&target, &copy);
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    fs::remove_dir_all(&target).unwrap();
    copied(&copy, &target);
    let told = "release 2 ";
    for command in [&["status", "dev"][..], &["plan", "dev"], &["verify", "dev"], &["history", "dev"]] {
        let output = sandbox.batou(command).success().stderr;
        says(
            &output,
            &[told, "and it is gone from h2, where what was there before was put back: `batou switch dev`"],
        );
    }
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
}

/// Numbers and ids of releases may be the same by chance: each host's own journal tells what it had.
#[test]
fn what_a_rollback_gives_back_is_what_each_host_had_whatever_numbers_it_has() {
    let switch = |sandbox: &Sandbox, greeting: &str, skips: &[&str]| {
        greet(sandbox, greeting);
        let skips = skips.iter().flat_map(|host| ["--skip", host]);
        sandbox.batou(&["switch", "dev"].into_iter().chain(skips).collect::<Vec<_>>()).success();
    };
    // A switch on one host and a rollback on another have one number and one configuration.
    let sandbox = released_three_times();
    switch(&sandbox, "two", &["h1", "h2"]);
    sandbox.batou(&["rollback", "dev", "--host", "h1"]).success();
    says(
        &sandbox.batou(&["rollback", "dev"]).fails(1).stderr,
        &["made without each other", "on h1", "on h3"],
    );
    have(&sandbox, ["two", "three", "two"]);

    // The first releases already were made without each other.
    let sandbox = three();
    switch(&sandbox, "one", &["h1"]);
    switch(&sandbox, "two", &["h2", "h3"]);
    switch(&sandbox, "three", &[]);
    let back = sandbox.batou(&["rollback", "dev"]).success();
    have(&sandbox, ["two", "one", "one"]);
    assert!(
        back.stderr.contains(" did not have release 1: it is given back what it had then"),
        "{}",
        back.stderr
    );
    let status = sandbox.batou(&["status", "dev"]).success();
    assert!(status.stdout.contains("another one than release 3") && !status.stderr.is_empty());

    // Two commands have given the hosts one configuration: it is one release.
    let sandbox = three();
    switch(&sandbox, "one", &[]);
    switch(&sandbox, "two", &["h3"]);
    switch(&sandbox, "two", &["h1", "h2"]);
    switch(&sandbox, "three", &[]);
    assert_eq!(sandbox.batou(&["rollback", "dev"]).success().stderr.matches("did not have").count(), 0);
    have(&sandbox, ["two", "two", "two"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
    sandbox.batou(&["rollback", "dev"]).success();
    have(&sandbox, ["one", "one", "one"]);
}

#[test]
fn retiring_one_host_does_not_bring_back_another_that_was_retired() {
    let sandbox = released_three_times();
    for host in ["h1", "h3"] {
        sandbox.batou(&["retire", "dev", host, "--yes"]).success();
    }
    let status = sandbox.batou(&["status", "dev"]).success();
    assert_eq!(status.stderr, "");
    says(&status.stdout, &["h1  no release yet\n", "h3  no release yet\n"]);
    sandbox.batou(&["verify", "dev"]).success();
}

#[test]
fn a_host_that_was_left_out_of_the_first_release_is_no_problem_to_verify() {
    let sandbox = three();
    sandbox.batou(&["switch", "dev", "--skip", "h3"]).success();
    says(&sandbox.batou(&["verify", "dev"]).success().stdout, &["h3: no release yet\n"]);
}
