//! An environment's hosts, as a command meets them: who is reached how, who is left out, what to say of those that fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batou_environments::{ConnectMethod, Host, Settings};

use crate::cli::LeaveOut;
use crate::context::Context;
use crate::error::CommandError;
use crate::fleet::{Failures, Fleet, Identity, Member, all, sort};
use crate::login;
use crate::naming;
use crate::remote::{Binaries, Dialer, Masters, RemoteError, Route, SshConfig, SshOptions};
use crate::ui::{plural, visible};
use batou_agent::protocol::{Holder, JournaledRelease, State};
use batou_release::HostName;

/// How much longer than ssh's own time-out a host may take until its agent runs.
const PATIENCE: u64 = 30;

/// An environment's hosts, and the conversations with them.
pub struct Deployment<'c> {
    /// What the command was started with.
    pub context: &'c Context,
    /// The environment's settings.
    pub settings: Settings,
    /// The hosts that take part.
    pub fleet: Fleet,
}

impl<'c> Deployment<'c> {
    /// The environment's hosts, without those to be skipped; contacts none.
    pub fn new(
        context: &'c Context,
        settings: Settings,
        hosts: &[Host],
        leave_out: &LeaveOut,
    ) -> Result<Self, CommandError> {
        let known = hosts.iter().map(|host| host.name.clone()).collect();
        let skipped = naming::hosts(&settings, &leave_out.skip, &known)?;
        let chosen = hosts.iter().filter(|host| !host.ignored && !skipped.contains(&host.name));
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            let why = if hosts.is_empty() { "has no hosts" } else { "has no host that is not left out" };
            return Err(CommandError::usage(format!("environment {} {why}", settings.name)));
        }
        let local = settings.connect_method == ConnectMethod::Local;
        let routes = chosen.into_iter().map(|host| (route(host, local), host.home.clone())).collect();
        let identity =
            Identity { project: context.project()?.name.clone(), environment: settings.name.clone() };
        let dialer = Arc::new(dialer(context, &settings, leave_out.accept_new)?);
        let fleet = Fleet::new(&identity, routes, &dialer, settings.jobs as usize);
        Ok(Deployment { context, settings, fleet })
    }

    /// Every host's state. Hosts that cannot be reached are an error, unless they are to be left out.
    pub async fn states(&mut self, leave_out: &LeaveOut) -> Result<BTreeMap<HostName, State>, CommandError> {
        let (states, failures) = sort(self.fleet.states().await);
        if failures.is_empty() {
            return Ok(states);
        }
        let (unreachable, others): (Failures, Failures) =
            failures.into_iter().partition(|(_, error)| error.is_unreachable());
        if !others.is_empty() {
            return Err(failed("cannot be asked", &others));
        }
        if !leave_out.skip_unreachable {
            return Err(not_reached(&unreachable, advice(&unreachable)));
        }
        for (host, error) in &unreachable {
            self.context.ui.warn(&format!("{host} is left out: {}", chain(error)));
        }
        self.fleet.leave_out(unreachable.into_keys());
        if states.is_empty() {
            return Err(CommandError::failed(format!("no host of {} can be reached", self.settings.name)));
        }
        Ok(states)
    }

    /// Every host's state, for commands that leave no host out.
    pub async fn all_states(&mut self) -> Result<BTreeMap<HostName, State>, CommandError> {
        let (states, failures) = sort(self.fleet.states().await);
        if failures.is_empty() {
            return Ok(states);
        }
        if !failures.values().all(RemoteError::is_unreachable) {
            return Err(failed("cannot be asked", &failures));
        }
        let plan = format!("`batou plan {} --accept-new`", self.settings.name);
        let hint = has_new_key(&failures).then(|| format!("accept the keys of new hosts with {plan}, once"));
        Err(not_reached(&failures, hint))
    }

    /// What all hosts answer; where some do not, the error says what could not be done.
    pub async fn all<T>(
        &mut self,
        what: &str,
        work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>,
    ) -> Result<BTreeMap<HostName, T>, CommandError> {
        all(self.fleet.each(work).await).map_err(|failures| failed(what, &failures))
    }

    /// Keeps only the hosts named; all where none is.
    pub fn only(&mut self, named: &[String]) -> Result<(), CommandError> {
        let hosts = self.fleet.hosts();
        let known = hosts.iter().cloned().collect();
        let named = naming::hosts(&self.settings, named, &known)?;
        if !named.is_empty() {
            self.fleet.leave_out(hosts.into_iter().filter(|host| !named.contains(host)));
        }
        Ok(())
    }
}

/// How the deployer introduces himself to whoever waits for him.
pub fn holder() -> Holder {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
    Holder { user: login::current().user, machine: login::machine(), since: now.to_string() }
}

/// The newest release that is confirmed on any of the hosts.
pub fn newest(states: &BTreeMap<HostName, State>) -> Option<&JournaledRelease> {
    states.values().filter_map(|state| state.confirmed.as_ref()).max_by_key(|record| record.sequence)
}

/// What hosts that failed have to say, a line each.
pub fn failed(what: &str, failures: &Failures) -> CommandError {
    let lines: Vec<_> = failures.iter().map(|(host, error)| format!("  {host}: {}", chain(error))).collect();
    let count = plural(failures.len(), "host");
    CommandError::failed(format!("{count} {what}:\n{}", lines.join("\n")))
}

/// What to do about hosts that cannot be reached.
pub fn advice(unreachable: &Failures) -> Vec<String> {
    let names: Vec<_> = unreachable.keys().map(|host| format!("--skip {host}")).collect();
    let mut hints = vec![format!("leave them out with {}, or with --skip-unreachable", names.join(" "))];
    if has_new_key(unreachable) {
        hints.insert(0, "accept the keys of new hosts with --accept-new, once".to_owned());
    }
    hints
}

fn has_new_key(unreachable: &Failures) -> bool {
    unreachable.values().any(|error| error.to_string().contains("Host key verification failed"))
}

fn not_reached(unreachable: &Failures, hints: impl IntoIterator<Item = String>) -> CommandError {
    let error = failed("cannot be reached; nothing was changed", unreachable);
    hints.into_iter().fold(error, CommandError::hint)
}

/// An error with its sources, in one line, and harmless.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    visible(&text)
}

fn route(host: &Host, local: bool) -> Route {
    let user = host.service_user.clone();
    Route {
        host: host.name.clone(),
        address: (!local).then(|| host.address.clone()),
        user: user.filter(|user| !local || *user != login::current().user),
        target_directory: PathBuf::from(&host.target_directory),
    }
}

fn dialer(context: &Context, settings: &Settings, accept_new: bool) -> Result<Dialer, CommandError> {
    let project = &context.project()?.root;
    let environment = &settings.name;
    let options = SshOptions { project, environment, timeout: settings.timeout, accept_new };
    let masters = match settings.connect_method {
        ConnectMethod::Local => None,
        ConnectMethod::Ssh => {
            let config = SshConfig::write(&options).map_err(|error| {
                CommandError::failed("cannot write a configuration for ssh").because(error)
            })?;
            Some(Masters::new(config, &places_for_sockets()))
        }
    };
    let own = std::env::current_exe()
        .map_err(|error| CommandError::failed("cannot find this program's own file").because(error))?;
    let binaries = Binaries::new(own, std::env::var_os("BATOU_AGENTS").map(PathBuf::from));
    Ok(Dialer { masters, binaries, patience: Duration::from_secs(u64::from(settings.timeout) + PATIENCE) })
}

/// Where the folder for ssh's sockets may be, the best place first.
fn places_for_sockets() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]).collect()
}
