//! What keeps a release from happening by mistake: the repository's state, and a protected environment.

use crate::common::{Lacking, Output, Sandbox, SshHosts, left_out};
use crate::shop::{self, Target, greet, says};

/// The shop in a repository whose state is that of its upstream, and a host that it was never released to.
fn repository() -> (SshHosts, Sandbox, Target) {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    shop::set(&sandbox, "branch = \"main\"");
    sandbox.write(".gitignore", "/result\n").commit_all();
    let upstream = sandbox.home().join("upstream.git").display().to_string();
    sandbox.git(&["init", "--quiet", "--bare", &upstream]);
    sandbox.git(&["remote", "add", "origin", &upstream]);
    sandbox.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    let target = Target::remote(&hosts, "one");
    (hosts, sandbox, target)
}

/// A switch is refused with status 2 and this text, and has changed nothing.
#[track_caller]
fn refused(sandbox: &Sandbox, target: &Target, parts: &[&str]) {
    let before = target.listing();
    let output = sandbox.batou(&["switch", "dev"]).fails(2);
    says(&output.stderr, parts);
    assert_eq!(target.listing(), before);
}

#[test]
fn what_is_committed_and_pushed_is_released() {
    let (_hosts, sandbox, target) = repository();
    let output = sandbox.batou(&["switch", "dev"]).success();
    assert!(!output.stderr.contains("repository"), "{}", output.stderr);
    assert_eq!(target.file("app/app.conf"), "one on one\n");
}

#[test]
fn changes_that_are_not_committed_are_refused() {
    let (_hosts, sandbox, target) = repository();
    greet(&sandbox, "two");
    sandbox.write("new file", "");
    refused(&sandbox, &target, &["2 changes", "components/app/component.toml", "new file", "--dirty"]);
    assert!(!target.0.exists());
    says(&sandbox.batou(&["plan", "dev"]).success().stdout, &["first release"]);
    sandbox.batou(&["switch", "dev", "--dirty"]).success();
    assert_eq!(target.file("app/app.conf"), "two on one\n");
}

#[test]
fn a_branch_that_there_is_not_is_told_as_that() {
    let (_hosts, sandbox, target) = repository();
    let environment = sandbox.read("environments/dev/environment.toml").replace("\"main\"", "\"production\"");
    sandbox.write("environments/dev/environment.toml", environment).commit_all();
    sandbox.git(&["push", "--quiet"]);
    let missing = "help: there is no branch production in this repository, here or on a remote";
    refused(
        &sandbox,
        &target,
        &["is released from branch production, and branch main is checked out", missing],
    );
    sandbox.git(&["branch", "production", "HEAD~1"]);
    refused(&sandbox, &target, &["help: switch to production"]);
}

#[test]
fn a_repository_of_another_user_is_refused_until_that_user_is_trusted() {
    if !rustix::process::geteuid().is_root() {
        return left_out("repositories of other users", Lacking::Root);
    }
    let (_hosts, sandbox, target) = repository();
    let project = sandbox.project();
    // ssh takes no configuration of another user, so that stays ours.
    Output::of(sandbox.program("chown").args(["-R", "54321", ".git", "."])).success();
    Output::of(sandbox.program("chown").args(["0", "ssh_config"])).success();
    refused(
        &sandbox,
        &target,
        &["is in a git repository of another user", "`git config --global --add safe.directory"],
    );
    sandbox.git(&["config", "--global", "--add", "safe.directory", project.to_str().unwrap()]);
    sandbox.batou(&["switch", "dev"]).success();
}

#[test]
fn commits_that_are_not_pushed_are_refused() {
    let (_hosts, sandbox, target) = repository();
    greet(&sandbox, "two");
    sandbox.commit_all();
    refused(&sandbox, &target, &["1 commit that is not pushed", "--dirty"]);
    sandbox.git(&["push", "--quiet"]);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "two on one\n");
}

#[test]
fn a_plan_is_guarded_by_the_repository_that_it_was_made_from() {
    let (_hosts, sandbox, target) = repository();
    let file = sandbox.home().join("two.plan").display().to_string();
    greet(&sandbox, "two");
    let plan = sandbox.batou(&["plan", "dev", "-o", &file]).success();
    says(&plan.stderr, &["warning: the project has 1 change that is not committed", "needs --dirty"]);
    sandbox.git(&["checkout", "--quiet", "."]);
    let refused = sandbox.batou(&["switch", "dev", "--plan", &file]).fails(2);
    says(&refused.stderr, &["when the plan was made, the project has 1 change", "--dirty"]);
    assert_eq!(target.generation(), None);
    sandbox.batou(&["plan", "dev", "-o", &file]).success();
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev", "--plan", &file]).success();
    assert_eq!(target.file("app/app.conf"), "one on one\n");
}

#[test]
fn another_branch_is_refused() {
    let (_hosts, sandbox, target) = repository();
    sandbox.git(&["checkout", "--quiet", "-b", "feature"]);
    greet(&sandbox, "two");
    sandbox.commit_all();
    refused(&sandbox, &target, &["dev is released from branch main, and branch feature", "--dirty"]);
    sandbox.git(&["checkout", "--quiet", "--detach"]);
    refused(&sandbox, &target, &["is not the tip of that branch"]);
    sandbox.batou(&["switch", "dev", "--dirty"]).success();
}

#[test]
fn a_project_in_a_folder_of_a_repository_is_guarded_too() {
    let (hosts, sandbox, _) = repository();
    let target = Target::remote(&hosts, "one");
    let below = sandbox.project().join("below");
    std::fs::create_dir(&below).unwrap();
    for name in ["batou.toml", "components", "environments", "ssh_config"] {
        std::fs::rename(sandbox.project().join(name), below.join(name)).unwrap();
    }
    let mut command = sandbox.command(&["switch", "dev"]);
    says(&Output::of(command.current_dir(&below)).fails(2).stderr, &["not committed", "--dirty"]);
    assert!(!target.0.exists());
}

#[test]
fn a_folder_that_is_no_repository_is_noticed() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stderr, &["note: ", "no git repository"]);
    shop::set(&sandbox, "branch = \"main\"");
    let output = sandbox.batou(&["switch", "dev"]).fails(2);
    says(&output.stderr, &["dev is released from branch main, and that cannot be checked", "--dirty"]);
    let mut without_git = sandbox.command(&["plan", "dev", "-o", "plan.json"]);
    Output::of(without_git.env("PATH", "/nonexistent")).fails(1);
}

#[test]
fn a_local_environment_is_released_as_it_is() {
    let sandbox = shop::local();
    sandbox.commit_all();
    shop::set(&sandbox, "branch = \"production\"");
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(Target::local(&sandbox).file("app/app.conf"), "two on localhost\n");
}

#[test]
fn a_protected_environment_wants_its_name() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    shop::set(&sandbox, "protected = true");
    greet(&sandbox, "three");
    let target = Target::local(&sandbox);
    let before = target.listing();
    let retire = ["retire", "dev", "localhost"];
    let lost = ["retire", "dev", "gone", "--lost"];
    for command in [&["switch", "dev"][..], &["rollback", "dev"], &retire, &lost] {
        says(&sandbox.batou(command).fails(2).stderr, &["dev is protected", "--yes"]);
    }
    let member = sandbox.batou(&retire).fails(2).stderr;
    says(
        &member,
        &["localhost is still a host of it", "--yes both that dev is meant and that it is to be emptied"],
    );
    says(&answering(&sandbox, "prod"), &["Type its name", "\"prod\" is not \"dev\""]);
    assert_eq!(target.listing(), before);
    sandbox.batou(&["switch", "dev", "--dry-run"]).success();
    assert_eq!(target.listing(), before);

    says(&answering(&sandbox, "dev"), &["Type its name", "release 3"]);
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
    sandbox.batou(&["rollback", "dev", "--yes"]).success();
    assert_eq!(target.file("app/app.conf"), "two on localhost\n");
}

/// What a switch says that asks at a terminal, and is answered so.
fn answering(sandbox: &Sandbox, answer: &str) -> String {
    let command = format!("{} switch dev", env!("CARGO_BIN_EXE_batou"));
    let mut script = sandbox.program("sh");
    // `script` gives batou a terminal; what it reads from its own input is typed there.
    let line = format!("echo {answer} | script -qec '{command}' /dev/null");
    let output = Output::of(script.args(["-c", &line]));
    output.stdout + &output.stderr
}
