//! An environment's hosts as a command sees them: how each one is reached, and which are left out.
//!
//! What commands do with them is in the modules: [`ask`] (states, manifests, journals), `behind`, [`faults`], [`lock`],
//! [`number`], [`want`] (build, and tell the hosts of it), [`objects`] (send and fetch), [`planned`],
//! [`release`] with `decisions`, [`retirable`], and [`failure`], which says what failed where.

pub mod ask;
pub mod behind;
mod decisions;
pub mod failure;
pub mod faults;
pub mod lock;
pub mod number;
pub mod objects;
pub mod planned;
pub mod release;
pub mod retirable;
pub mod stale;
pub mod want;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batou_environments::{ConnectMethod, Host, Policy};

use crate::cli::options::LeaveOut;
use crate::context::Context;
use crate::error::CommandError;
use crate::fleet::{Fleet, Identity};
use crate::login;
use crate::naming;
use crate::remote::{Binaries, Dialer, Masters, Route, SshConfig, SshOptions};
use crate::ui::{Ui, plural};
use crate::waits::{Wait, Waits};

/// The last words of an error that comes before anything is changed.
const UNCHANGED: &str = "nothing was changed";
/// How often to check which hosts the command waits for.
const TICK: Duration = Duration::from_millis(500);
/// After how long somebody at a terminal is told which hosts the command waits for.
const NOTICEABLE: Duration = Duration::from_secs(3);
/// After how long a host's answer is overdue if no unit is running for it.
const OVERDUE: Duration = Duration::from_secs(10);

/// An environment's hosts, and the conversations with them.
pub struct Deployment<'c> {
    /// What the command was started with.
    pub context: &'c Context,
    /// How the environment is released.
    pub policy: Policy,
    /// The hosts that take part.
    pub fleet: Fleet,
    /// What the command has changed before it turned to these hosts, as a sentence.
    pub before: Option<String>,
}

impl<'c> Deployment<'c> {
    /// The environment's hosts without those to be skipped; contacts none of them.
    pub fn new(
        context: &'c Context,
        policy: Policy,
        hosts: &[Host],
        leave_out: &LeaveOut,
    ) -> Result<Self, CommandError> {
        let known = hosts.iter().map(|host| host.name.clone()).collect();
        let skipped = naming::hosts(&policy, &leave_out.skip, &known)?;
        let chosen = hosts.iter().filter(|host| !host.ignored && !skipped.contains(&host.name));
        let chosen: Vec<_> = chosen.collect();
        if hosts.is_empty() {
            return Err(naming::no_hosts(&policy.name));
        }
        if chosen.is_empty() {
            let message = format!("environment {} has no host that is not left out", policy.name);
            return Err(CommandError::usage(message));
        }
        context.check_store_place(&policy, hosts)?;
        let local = policy.connect_method == ConnectMethod::Local;
        let routes = chosen.into_iter().map(|host| (route(host, local), host.home.clone())).collect();
        let identity =
            Identity { project: context.project()?.name.clone(), environment: policy.name.clone() };
        let dialer = Arc::new(dialer(context, &policy, leave_out.accept_new)?);
        let fleet = Fleet::new(&identity, routes, (&dialer, &context.waits), policy.jobs as usize);
        Ok(Deployment { context, policy, fleet, before: None })
    }

    /// The last words of an error that comes before anything is changed on these hosts.
    pub fn unchanged(&self) -> &str {
        self.before.as_deref().unwrap_or(UNCHANGED)
    }

    /// Keeps only the named hosts; all of them if none is named.
    pub fn only(&mut self, named: &[String]) -> Result<(), CommandError> {
        let hosts = self.fleet.hosts();
        let known = hosts.iter().cloned().collect();
        let named = naming::hosts(&self.policy, named, &known)?;
        if !named.is_empty() {
            self.fleet.leave_out(hosts.into_iter().filter(|host| !named.contains(host)));
        }
        Ok(())
    }
}

/// Runs work that talks to hosts to its end, and meanwhile says which hosts it waits for.
pub fn block_on<T>(
    context: &Context,
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::failed("cannot start").because(error))?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => done,
            never = name_waits(&context.waits, &context.ui) => match never {},
        }
    });
    context.ui.wait_for(None);
    // Do not wait for hosts that are still being called: their answers are no longer needed.
    runtime.shutdown_background();
    done
}

/// Names the hosts that the command waits for: on a terminal in a line that changes, elsewhere once when they
/// are overdue.
async fn name_waits(waits: &Waits, ui: &Ui) -> Infallible {
    let mut told = BTreeSet::new();
    loop {
        tokio::time::sleep(TICK).await;
        let long = waits.longer_than(NOTICEABLE);
        let first = long.first().map(|wait| {
            let others = long.len() - 1;
            let others =
                if others == 0 { String::new() } else { format!(", and {}", plural(others, "other host")) };
            format!("waiting for {}: {}, {} s{others}", wait.host, wait.verb, wait.lasts().as_secs())
        });
        if ui.wait_for(first) {
            continue;
        }
        for wait in long.into_iter().filter(|wait| wait.is_short && wait.lasts() >= OVERDUE) {
            let Wait { host, verb, .. } = &wait;
            if told.insert((host.clone(), *verb)) {
                ui.notice(&format!("waiting for {host}: {verb}, {} s", wait.lasts().as_secs()));
            }
        }
    }
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

fn dialer(context: &Context, policy: &Policy, accept_new: bool) -> Result<Dialer, CommandError> {
    let project = &context.project()?.root;
    let environment = &policy.name;
    let options = SshOptions { project, environment, timeout: policy.timeout, accept_new };
    let masters = match policy.connect_method {
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
    let agents = std::env::var_os("BATOU_AGENTS").map(PathBuf::from);
    if let Some(folder) = agents.as_ref().filter(|folder| !folder.is_dir()) {
        let what = if folder.exists() { "that is no folder" } else { "there is no such folder" };
        let message = format!("BATOU_AGENTS names {}, and {what}", folder.display());
        let hint = "name the folder that has the agents' programs, or leave the variable out";
        return Err(CommandError::usage(message).hint(hint));
    }
    let binaries = Binaries::new(own, agents);
    Ok(Dialer {
        masters,
        binaries,
        timeout: Duration::from_secs(u64::from(policy.timeout)),
        #[cfg(test)]
        simulated: None,
    })
}

/// Where the folder for ssh's sockets may be, the best place first.
fn places_for_sockets() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]).collect()
}
