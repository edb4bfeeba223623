//! Whole Debian systems in network namespaces, booted by `tests/hosts`.
//!
//! There is one set of them on a machine, so a test that holds [`BootedHosts`] has them alone, also
//! against tests of other processes, and finds them as if nothing had ever been released there. They stay
//! up after it; `make hosts-down` ends them.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal};

use super::processes::{self, with_argument};
use super::sandbox::{Output, Sandbox};
use super::{Lacking, left_out};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts");

/// The hosts h1 to hN, for this test alone.
pub(crate) struct BootedHosts {
    script: &'static str,
    _lock: File,
}

impl BootedHosts {
    /// Boots `count` hosts; without the means for it notes that `test` is left out, and why.
    pub(crate) fn start(count: usize, test: &str) -> Option<Self> {
        if let Some(lacking) = Self::lacking() {
            left_out(test, lacking);
            return None;
        }
        let cache = env::var_os("BATOU_TEST_CACHE")
            .map_or_else(|| PathBuf::from("/var/tmp/batou-tests"), PathBuf::from);
        fs::create_dir_all(&cache).unwrap();
        let lock = File::create(cache.join("tests.lock")).unwrap();
        lock.lock().unwrap();
        let hosts = Self { script: SCRIPT, _lock: lock };
        hosts.run(&["up", &count.to_string()]);
        hosts.clean();
        Some(hosts)
    }

    /// Removes what releases have left on all hosts.
    pub(crate) fn clean(&self) {
        self.run(&["clean"]);
    }

    /// Why hosts cannot be booted here, if so.
    pub(crate) fn lacking() -> Option<Lacking> {
        if env::var_os("BATOU_TEST_NO_BOOT").is_some() {
            return Some(Lacking::Wish);
        }
        let check = Output::of(Command::new(SCRIPT).arg("check"));
        match (check.status, check.stdout.trim()) {
            (Some(0), _) => None,
            (_, "not root") => Some(Lacking::Root),
            (_, "namespaces are not permitted here") => Some(Lacking::Namespaces),
            (_, other) => panic!("hosts cannot be booted: {other} (`make tools` installs what is needed)"),
        }
    }

    /// A `ssh_config` that knows the hosts, their keys and how to log in as `deploy`.
    pub(crate) fn ssh_config(&self) -> String {
        fs::read_to_string(self.run(&["config"]).stdout.trim()).unwrap()
    }

    /// batou in the control namespace, the only place from which the hosts can be reached.
    pub(crate) fn batou(&self, sandbox: &Sandbox, arguments: &[&str]) -> Output {
        Output::of(&mut self.command(sandbox, arguments))
    }

    /// The same, to be run by the caller.
    pub(crate) fn command(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        sandbox.command_under(&[self.script, "run"].map(OsStr::new), arguments)
    }

    /// Runs a shell command on a host as user `deploy`.
    pub(crate) fn ssh(&self, host: &str, command: &str) -> Output {
        Output::of(Command::new(self.script).args(["ssh", host, command]))
    }

    /// Pulls a host's network cable: packets vanish, nothing ends.
    pub(crate) fn cut(&self, host: &str) {
        self.run(&["cut", host]);
    }

    /// Plugs it in again.
    pub(crate) fn heal(&self, host: &str) {
        self.run(&["heal", host]);
    }

    /// Kills all processes of a host at once.
    pub(crate) fn crash(&self, host: &str) {
        self.run(&["crash", host]);
    }

    /// Starts a host after a crash and waits until it answers.
    pub(crate) fn boot(&self, host: &str) {
        self.run(&["boot", host]);
    }

    /// Sends a signal to the agents that run on a host.
    pub(crate) fn signal_agents(&self, host: &str, signal: Signal) {
        let pids = self.run(&["pids", host]);
        let agents = with_argument("/batou/agents/");
        let here: Vec<_> = pids.stdout.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
        let (mut found, chosen) = (0, agents.into_iter().filter(|agent| here.contains(agent)));
        for agent in chosen {
            processes::signal(agent, signal);
            found += 1;
        }
        assert!(found > 0, "no agent runs on {host}");
    }

    /// A host's `/`, as seen from here.
    pub(crate) fn root(&self, host: &str) -> PathBuf {
        self.run(&["root", host]).stdout.trim().into()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Output::of(Command::new(self.script).args(arguments)).success()
    }
}
