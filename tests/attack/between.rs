//! Two hosts over loopback ssh, and somebody in the middle between batou and the first of them (`middle.py`).

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::common::{Output, Sandbox, SshHosts};
use crate::shop::{self, Target, greet};

/// The host that is not to be relied on, and the other one.
pub(super) const HOSTS: [&str; 2] = ["evil", "honest"];
/// After how many seconds batou counts as hanging. It gives up a host after a few times 30 seconds.
const HANGS: &str = "300";

/// A project with two hosts, both of which have its second release.
pub(super) struct Between {
    pub(super) hosts: SshHosts,
    pub(super) sandbox: Sandbox,
    agents: PathBuf,
    control: PathBuf,
    /// The newest release of the project: what its file says.
    pub(super) release: usize,
}

impl Between {
    pub(super) fn new() -> Self {
        Self::on(SshHosts::start(&HOSTS))
    }

    /// The same, on hosts that have been started.
    pub(super) fn on(hosts: SshHosts) -> Self {
        let sandbox = shop::remote(&hosts, &HOSTS);
        let (agents, control) = (sandbox.home().join("agents"), sandbox.home().join("control.json"));
        fs::create_dir_all(&agents).unwrap();
        let script = format!(
            "#!/bin/sh\ncase $HOME in */{}/home) exec python3 '{}' '{}' '{batou}' \"$@\";; esac\nexec '{batou}' \"$@\"\n",
            HOSTS[0],
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attack/middle.py"),
            control.display(),
            batou = env!("CARGO_BIN_EXE_batou"),
        );
        for libc in ["gnu", "musl"] {
            let path = agents.join(format!("{}-unknown-linux-{libc}", std::env::consts::ARCH));
            fs::write(&path, &script).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let mut between = Self { hosts, sandbox, agents, control, release: 0 };
        for _ in 0..2 {
            between.change();
            between.run(&["switch", "dev"]).success();
        }
        between
    }

    /// Gives the project another release.
    pub(super) fn change(&mut self) {
        self.release += 1;
        greet(&self.sandbox, &self.release.to_string());
        let step = format!(
            "\n[[step]]\nname = \"note\"\nverify = \"grep -qx {0} noted\"\nupdate = \"echo {0} > noted\"\n",
            self.release
        );
        shop::append(&self.sandbox, "components/app/component.toml", &step);
    }

    /// Runs batou with nobody in the middle.
    pub(super) fn run(&self, command: &[&str]) -> Output {
        Output::of(&mut self.command(command))
    }

    /// Runs batou; the first conversation with the first host goes as `order` says.
    pub(super) fn run_with(&self, command: &[&str], order: &Value) -> Output {
        fs::write(&self.control, order.to_string()).unwrap();
        let output = self.run(command);
        let _ = fs::remove_file(&self.control);
        output
    }

    /// Starts batou; the first conversation with the first host goes as `order` says.
    pub(super) fn start_with(&self, command: &[&str], order: &Value) -> Child {
        fs::write(&self.control, order.to_string()).unwrap();
        let mut batou = self.sandbox.command(command);
        batou.env("BATOU_AGENTS", &self.agents).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs batou under another program.
    pub(super) fn run_under(&self, prefix: &[&str], command: &[&str]) -> Output {
        Output::of(&mut self.command_under(prefix, command))
    }

    fn command(&self, command: &[&str]) -> Command {
        self.command_under(&[], command)
    }

    /// batou, which is ended when it hangs: its status is 124 then.
    fn command_under(&self, prefix: &[&str], command: &[&str]) -> Command {
        let prefix = [&["timeout", "-k", "10", HANGS], prefix].concat();
        let mut run = self.sandbox.command_under(&prefix, command);
        run.env("BATOU_AGENTS", &self.agents);
        run
    }

    /// What the release's file says on a host.
    pub(super) fn in_force(&self, host: &str) -> String {
        Target::remote(&self.hosts, host).file("app/app.conf")
    }

    /// The replies of the first host when batou runs a command with nobody changing anything.
    pub(super) fn replies(&self, command: &[&str]) -> Vec<Value> {
        let log = self.sandbox.home().join("replies");
        let _ = fs::remove_file(&log);
        let output = self.run_with(command, &serde_json::json!({ "log": log }));
        assert!(matches!(output.status, Some(0 | 1)), "{output:?}");
        let replies = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        replies.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What a reply is called: its header is that word, or a table with that word.
pub(super) fn verb(reply: &Value) -> &str {
    let header = &reply["header"];
    let table = || header.as_object()?.keys().next().map(String::as_str);
    header.as_str().or_else(table).unwrap_or_else(|| panic!("{reply}"))
}

/// How many cases are tried at a time.
const LANES: usize = 2;

/// What came of many cases: how often batou ended with each exit status, and what was wrong.
pub(super) struct Outcomes {
    pub(super) statuses: BTreeMap<Option<i32>, usize>,
    pub(super) faults: Vec<String>,
}

/// Tries each case on one of a few fleets, the first of which is there already. After a fault a fleet is replaced, so that
/// the next case begins with one that is whole.
pub(super) fn try_each<F: Send, C: Sync>(
    first: F,
    new: fn() -> F,
    cases: &[C],
    try_one: impl Fn(&mut F, &C) -> Result<Option<i32>, String> + Sync,
) -> Outcomes {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Outcomes { statuses: BTreeMap::new(), faults: Vec::new() });
    let try_some = |mut fleet: F| {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = try_one(&mut fleet, case);
            if outcome.is_err() {
                fleet = new();
            }
            let mut outcomes = outcomes.lock().unwrap();
            match outcome {
                Ok(status) => *outcomes.statuses.entry(status).or_default() += 1,
                Err(fault) => outcomes.faults.push(fault),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..LANES {
            scope.spawn(|| try_some(new()));
        }
        try_some(first);
    });
    outcomes.into_inner().unwrap()
}
