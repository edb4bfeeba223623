//! Commands as processes on the controllers' machine, and what they say.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batou_agent::protocol::PROTOCOL;
use batou_environments::{ConnectMethod, Policy};
use batou_release::HostName;
use batou_store::Digest;
use batou_system::simulation::{ProcessId, World, block_on};
use serde_json::Value;

use super::network::{Machines, dialer, route};
use super::plan::CommandKind;
use super::releases::{FleetRelease, host, store};
use crate::cli::options::{LeaveOut, Locking};
use crate::command::switch::Wish;
use crate::command::{rollback, switch};
use crate::context::Context;
use crate::deployment::Deployment;
use crate::error::CommandError;
use crate::fleet::{Fleet, Identity};
use crate::ui::{Ui, Verbosity, report};

/// A command that was started.
pub(super) struct Issued {
    pub(super) what: CommandKind,
    pub(super) process: ProcessId,
    pub(super) said: Transcript,
    /// How many marks there were when it was started.
    pub(super) since: usize,
    /// Whether no other command was at work at the same time.
    pub(super) alone: Cell<bool>,
    /// Whether what it said was looked at when it ended.
    pub(super) judged: Cell<bool>,
}

/// What a plan saw on the hosts.
pub(super) type Expected = BTreeMap<HostName, Option<Digest>>;

/// What a command says, as it says it.
#[derive(Clone, Default)]
pub(super) struct Transcript(Arc<Mutex<Spoken>>);

#[derive(Default)]
struct Spoken {
    text: Vec<u8>,
    status: Option<u8>,
}

impl Transcript {
    fn with<T>(&self, work: impl FnOnce(&mut Spoken) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its exit status; `None` where it was killed or still runs.
    pub(super) fn status(&self) -> Option<u8> {
        self.with(|words| words.status)
    }

    /// Everything it said.
    pub(super) fn text(&self) -> String {
        self.with(|words| String::from_utf8_lossy(&words.text).into_owned())
    }

    /// The lines that it printed, as objects.
    pub(super) fn lines(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it said of each host in the end.
    pub(super) fn endings(&self) -> BTreeMap<String, String> {
        let lines = self.lines();
        let hosts = lines.iter().filter(|line| line["type"] == "host");
        let ending =
            |line: &Value| Some((line["host"].as_str()?.to_owned(), line["state"].as_str()?.to_owned()));
        hosts.filter_map(ending).collect()
    }
}

impl Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|words| words.text.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a command.
pub(super) fn issue(
    world: &Rc<World>,
    machines: &Machines,
    (what, expected): (CommandKind, Option<Expected>),
    releases: &BTreeMap<usize, FleetRelease>,
) -> Issued {
    let (said, dialer) = (Transcript::default(), dialer(machines));
    let hosts: Vec<_> = (0..machines.hosts.len()).map(host).collect();
    let release = match what {
        CommandKind::Switch(number)
        | CommandKind::Recheck(number)
        | CommandKind::Planned(number)
        | CommandKind::Skip(number, _)
        | CommandKind::Foreign(number)
        | CommandKind::Future(number) => Some((releases[&number].clone(), expected)),
        CommandKind::Rollback | CommandKind::Restore(_) => None,
    };
    let (theirs, name) = (said.clone(), format!("{what:?}"));
    // Machines start at their first boot.
    let lost_power = world.machine(machines.desk).boot.get() > 1;
    let main = move || {
        let verbosity = Verbosity { json: true, ..Verbosity::default() };
        let ui = Ui::to_writers(verbosity, Box::new(theirs.clone()), Box::new(theirs.clone()));
        let context = Context::new(Some("/nowhere".into()), ui);
        let work = || {
            let store = store()?;
            if let Some((release, _)) = &release {
                release.build_again(&store, lost_power)?;
            }
            context.use_store(store);
            block_on(run(&context, what, hosts, release, &dialer))
        };
        let done = work();
        let status = done.as_ref().map_or_else(CommandError::exit_code, |()| 0);
        if let Err(error) = &done {
            report::report(&context.ui, error);
        }
        theirs.with(|words| words.status = Some(status));
    };
    let since = world.marks().len();
    let process = world.start(machines.desk, &name, Box::new(main));
    Issued { what, process, said, since, alone: Cell::new(false), judged: Cell::new(false) }
}

async fn run(
    context: &Context,
    what: CommandKind,
    hosts: Vec<HostName>,
    release: Option<(FleetRelease, Option<Expected>)>,
    dialer: &Arc<crate::remote::Dialer>,
) -> Result<(), CommandError> {
    let project = if matches!(what, CommandKind::Foreign(_)) { "other" } else { "shop" };
    let identity = Identity { project: project.into(), environment: "prod".into() };
    let skipped = |number: &usize| !matches!(what, CommandKind::Skip(_, left) if left == *number);
    let called = (0..hosts.len()).filter(skipped).map(host);
    let routes = called.map(|host| (route(host), None)).collect();
    let mut fleet = Fleet::new(&identity, routes, (dialer, &context.waits), 4);
    if matches!(what, CommandKind::Future(_)) {
        for host in &hosts {
            fleet.member(host).expect("a host of the fleet").hello.protocol = PROTOCOL + 1;
        }
    }
    let mut deployment = Deployment { context, policy: policy(), fleet, before: None };
    let leave_out = LeaveOut { skip: Vec::new(), skip_unreachable: false, accept_new: false };
    let locking = Locking { lock_wait: Duration::from_mins(1).as_secs(), yes: false };
    let environment = "prod".to_owned();
    let Some((release, expected)) = release else {
        let to = if let CommandKind::Restore(number) = what { Some(number.to_string()) } else { None };
        let args = rollback::Args { environment, to, host: Vec::new(), leave_out, force: false, locking };
        return rollback::rollback(deployment, &args, hosts).await;
    };
    let args = switch::Args {
        environment,
        dry_run: false,
        plan: None,
        recheck: matches!(what, CommandKind::Recheck(_)),
        leave_out,
        dirty: false,
        locking,
    };
    let wish = Wish { release: release.id, hosts: release.hosts, expected, _lease: None };
    deployment.fleet.call();
    switch::fulfil(deployment, wish, hosts, &args).await
}

fn policy() -> Policy {
    Policy {
        name: "prod".into(),
        connect_method: ConnectMethod::Ssh,
        service_user: None,
        require_sudo: None,
        host_domain: None,
        platform: None,
        branch: None,
        protected: false,
        keep: 3,
        jobs: 4,
        timeout: 10,
        target_directory: None,
    }
}
