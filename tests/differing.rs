//! A release that one host committed and another could not: what is said of it then, and by every command that meets it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::common::{Output, Sandbox, SshHosts, Strace, left_out};
use crate::shop::{self, Target, greet, says};

/// Two hosts with release 1, and agents of which that of host `two` fails when it writes to its journal.
struct Differing {
    _hosts: SshHosts,
    sandbox: Sandbox,
    agents: PathBuf,
    targets: [Target; 2],
}

impl Differing {
    fn new(fault: &str) -> Self {
        let hosts = SshHosts::start(&["one", "two"]);
        let sandbox = shop::remote(&hosts, &["one", "two"]);
        sandbox.batou(&["switch", "dev"]).success();
        let targets = ["one", "two"].map(|name| Target::remote(&hosts, name));
        let agents = sandbox.home().join("agents");
        fs::create_dir_all(&agents).unwrap();
        let armed = hosts.host("two").home().join("armed");
        fs::write(&armed, "").unwrap();
        let script = format!(
            "#!/bin/sh\nif rm \"$HOME/armed\" 2>&-; then\n\
             exec strace -f -qq -o /dev/null -P '{}' -e inject=write:{fault}:when=1 '{}' \"$@\"\nfi\nexec '{1}' \"$@\"\n",
            targets[1].0.join("journal").display(),
            env!("CARGO_BIN_EXE_batou"),
        );
        for libc in ["gnu", "musl"] {
            let path = agents.join(format!("{}-unknown-linux-{libc}", std::env::consts::ARCH));
            fs::write(&path, &script).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { _hosts: hosts, sandbox, agents, targets }
    }

    fn batou(&self, args: &[&str]) -> Output {
        Output::of(self.sandbox.command(args).env("BATOU_AGENTS", &self.agents))
    }

    /// Host `one` has release 2, and host `two` could not commit it.
    fn release(&self) {
        greet(&self.sandbox, "two");
        let output = self.batou(&["switch", "dev"]).fails(3);
        says(&output.stdout, &["one  released", "two  went back"]);
        says(
            &output.stderr,
            &["commit failed:", "  two: ", "hosts are left in differing states: one released, two went back"],
        );
        assert_eq!(self.targets[0].file("app/app.conf"), "two on one\n");
        assert_eq!(self.targets[1].file("app/app.conf"), "one on two\n");
    }
}

#[test]
fn every_command_names_a_release_that_only_some_hosts_could_commit_until_all_have_one() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("a commit that fails on one host", lacking);
    }
    let differing = Differing::new("error=EIO");
    differing.release();
    let taken_back = ["release 2 (", ") is in force on one, and two went back: `batou switch dev` gives"];
    for command in ["status", "plan", "history", "verify"] {
        let output = differing.batou(&[command, "dev"]);
        says(&format!("{}{}", output.stdout, output.stderr), &taken_back);
    }
    let switched = differing.batou(&["switch", "dev"]).success();
    says(&switched.stderr, &taken_back);
    for (name, target) in ["one", "two"].into_iter().zip(&differing.targets) {
        assert_eq!(target.file("app/app.conf"), format!("two on {name}\n"));
    }
    let status = differing.batou(&["status", "dev"]).success();
    assert!(!status.stderr.contains("in force on"), "{}", status.stderr);
}

#[test]
fn a_rollback_gives_hosts_one_release_again_of_which_one_was_killed_when_it_committed() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("an agent that is killed while it commits", lacking);
    }
    let differing = Differing::new("signal=KILL");
    differing.release();
    says(&differing.batou(&["rollback", "dev"]).success().stdout, &["one  restored", "two  restored"]);
    for (name, target) in ["one", "two"].into_iter().zip(&differing.targets) {
        assert_eq!(target.file("app/app.conf"), format!("one on {name}\n"));
    }
    assert!(!differing.batou(&["status", "dev"]).success().stderr.contains("in force on"));
}
