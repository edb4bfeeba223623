//! `batou retire`: removes from a host what batou made there, and makes the other hosts forget it.

use std::collections::BTreeMap;

use batou_environments::{ConnectMethod, Host, Policy};
use batou_release::HostName;

use crate::cli::options::{LeaveOut, Locking};
use crate::context::Context;
use crate::deployment::lock::holder;
use crate::deployment::number::{newest_records, next_number};
use crate::deployment::planned::is_member;
use crate::deployment::retirable::GoneHosts;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::Member;
use crate::guard;
use crate::naming;
use crate::ui::line::Line;
use crate::ui::visible_name;
use batou_agent::protocol::{HostNames, JournaledRelease, State, question};

/// Remove from a host what batou made there.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The host, which need no longer be in the environment
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Remove the components' own data (state/) too
    #[arg(long)]
    pub purge: bool,
    /// The host is gone for good: only have the others forget it
    #[arg(long, conflicts_with = "purge")]
    pub lost: bool,
    /// How the host is locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    guard::confirm(&policy, args.locking.yes, &context.ui)?;
    let args = &Args { host: policy.host_name(&args.host), ..args.clone() };
    refuse_member(&policy, &hosts, args)?;
    let host = find(&policy, &hosts, &args.host)?;
    block_on(context, async {
        let others: Vec<Host> =
            hosts.iter().filter(|other| other.name != args.host && !other.ignored).cloned().collect();
        if args.lost {
            context.ui.line(&format!("{}: nothing is removed there", args.host));
            context.ui.json(&Line::Retired { host: &args.host, purged: false, lost: true });
        } else {
            let mut deployment = Deployment::new(context, policy.clone(), &[host], &LeaveOut::default())?;
            if let Err(error) = deployment.retire(args).await {
                let is_known = hosts.iter().any(|host| host.name == args.host)
                    || others.is_empty()
                    || is_remembered(context, &policy, &others, &args.host).await;
                let known = hosts.iter().map(|host| host.name.as_str()).collect();
                if is_known {
                    return Err(error);
                }
                let unheard_of = naming::unheard_of(&policy, &args.host, &known);
                // What stands in a local folder is another host's; one over ssh may have been forgotten before.
                return Err(match policy.connect_method {
                    ConnectMethod::Local => unheard_of,
                    ConnectMethod::Ssh => unheard_of.because(error.to_string()),
                });
            }
        }
        if !others.is_empty() {
            let mut others = Deployment::new(context, policy, &others, &LeaveOut::default())?;
            others.forget(args, &hosts).await?;
        }
        Ok(())
    })
}

/// Refuses a host that is still in the environment: that is probably a mistake, and would leave the host
/// without its release.
fn refuse_member(policy: &Policy, hosts: &[Host], args: &Args) -> Result<(), CommandError> {
    let is_member = hosts.iter().any(|host| host.name == args.host && !host.ignored);
    if !is_member || args.lost || args.locking.yes {
        return Ok(());
    }
    let (host, environment) = (visible_name(&args.host), visible_name(&policy.name));
    let error = CommandError::input(format!(
        "{host} is still a host of {environment}, and would be left without its release; nothing was removed"
    ));
    Err(error
        .hint(format!("take it out of [hosts] first, or confirm with --yes that {host} is to be emptied")))
}

/// The host as it is in the environment, or as it would be if it were there: like the others, under its own
/// name.
fn find(policy: &Policy, hosts: &[Host], name: &str) -> Result<Host, CommandError> {
    if let Some(host) = hosts.iter().find(|host| host.name == name) {
        return Ok(Host { ignored: false, ..host.clone() });
    }
    let name = HostName::new(name).map_err(|error| CommandError::usage(error.to_string()))?;
    let like = hosts.first().ok_or_else(|| naming::no_hosts(&policy.name))?;
    let domain = policy.host_domain.as_deref().filter(|_| !name.contains('.'));
    let fqdn = domain.map_or_else(|| name.to_string(), |domain| format!("{name}.{domain}"));
    // Each of several local hosts has a folder of its own.
    let own = |name: &HostName| format!("/work/{}/{name}", policy.name);
    let above = like.target_directory.strip_suffix(&own(&like.name));
    let target_directory =
        above.map_or_else(|| like.target_directory.clone(), |above| format!("{above}{}", own(&name)));
    Ok(Host { name, address: fqdn.clone(), fqdn, target_directory, ignored: false, ..like.clone() })
}

impl Deployment<'_> {
    /// Removes what is on the one host.
    async fn retire(&mut self, args: &Args) -> Result<(), CommandError> {
        let forget = format!("`batou retire {} {} --lost`", args.environment, args.host);
        let hint = format!("if the host is gone for good, have the others forget it with {forget}");
        self.all_states().await.map_err(|error| error.hint(hint))?;
        self.lock(&holder(), args.locking.patience()).await?;
        let question = question::retire(args.purge);
        let removed =
            self.all("could not be retired", async |member: &mut Member| member.ask(&question).await).await?;
        let ui = &self.context.ui;
        if removed.into_values().any(|removed| removed) {
            let kept =
                if args.purge { "" } else { "; its components' data (state/) is kept, unless --purge" };
            ui.line(&format!("{}: everything batou made is removed{kept}", args.host));
        } else {
            ui.line(&format!("{}: there was nothing of batou's to remove", args.host));
        }
        ui.json(&Line::Retired { host: &args.host, purged: args.purge, lost: false });
        Ok(())
    }

    /// Records in the journals of the remaining hosts that the environment no longer has the retired one.
    async fn forget(&mut self, args: &Args, hosts: &[Host]) -> Result<(), CommandError> {
        if !remember(&self.all_states().await?, &args.host) {
            return Ok(());
        }
        let holder = holder();
        let states = self.lock(&holder, args.locking.patience()).await?;
        // Until they were locked, another release could still be made.
        if !remember(&states, &args.host) {
            return Ok(());
        }
        let number = next_number(&states, args.locking.yes)?;
        let gone = GoneHosts::of(&states, |name| is_member(hosts, name));
        let members = hosts.iter().filter(|host| !host.ignored).map(|host| &host.name);
        let kept = members.chain(&gone.known).filter(|host| **host != args.host).cloned();
        let kept = HostNames::first_of(kept.collect()).0;
        // Each keeps the release that it has. One that has an older release gets no line: it would seem to have the newest.
        let newest: BTreeMap<_, _> = newest_records(&states).into_iter().collect();
        let keep = self.policy.keep;
        let forget = async |member: &mut Member| {
            let Some(last) = newest.get(&member.route.host) else { return Ok(()) };
            let record = JournaledRelease {
                release: last.release,
                sequence: number.sequence,
                restores: Some(last.restores.unwrap_or(last.sequence)),
                disregards: number.disregards,
                who: format!("{}@{}", holder.user, holder.machine),
                attempt: holder.attempt,
                hosts: kept.clone(),
            };
            member.ask(&question::commit_unchanged(record, keep)).await
        };
        self.all("could not be told that the host is gone", forget).await.map(drop)
    }
}

/// Whether one of these hosts knows this one, as far as they can be asked.
async fn is_remembered(context: &Context, policy: &Policy, hosts: &[Host], host: &str) -> bool {
    let Ok(mut hosts) = Deployment::new(context, policy.clone(), hosts, &LeaveOut::default()) else {
        return true;
    };
    hosts.all_states().await.map_or(true, |states| remember(&states, host))
}

/// Whether the newest release has this host.
fn remember(states: &BTreeMap<HostName, State>, host: &str) -> bool {
    newest_records(states).iter().any(|(_, record)| record.hosts.iter().any(|known| known == host))
}
