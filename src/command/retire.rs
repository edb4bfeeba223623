//! `batou retire`: removes from a host what batou made there, and makes the other hosts forget it.

use std::collections::{BTreeMap, BTreeSet};

use batou_environments::{ConnectMethod, Host, Policy, former_host};
use batou_release::HostName;
use batou_system::fs;

use crate::cli::options::{LeaveOut, Locking};
use crate::context::Context;
use crate::deployment::lock::holder;
use crate::deployment::number::{NextNumber, newest_records, next_number};
use crate::deployment::planned::is_member;
use crate::deployment::retirable::GoneHosts;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::Member;
use crate::guard;
use crate::naming;
use crate::ui::line::Line;
use crate::ui::{one_line, visible_name};
use batou_agent::protocol::question::{self, Retirement};
use batou_agent::protocol::{Holder, HostNames, JournaledRelease, State};

/// Remove from a host what batou made there.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
What batou made on the host is removed first, and then the other hosts forget it. A host that is still in [hosts] is
retired, or forgotten, only with --yes. One that is not is looked for where it would be if it were: like the others, at the
environment's target_directory. If its [host.HOST] has an `address` or a `service_user` of its own, keep that table, and
write `HOST = false` in [hosts] until it is retired.")]
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
    let args = &Args { host: policy.host_name(&args.host), ..args.clone() };
    // Before the name of a protected environment is asked for: --yes would pass both, and must be known to.
    refuse_member(&policy, &hosts, args)?;
    guard::confirm(&policy, args.locking.yes, &context.ui)?;
    let host = find(context, &policy, &hosts, &args.host)?;
    block_on(context, retire(context, (&policy, &hosts), host, args))
}

/// Empties the host, unless it is lost, and has the others forget it.
async fn retire(
    context: &Context,
    (policy, hosts): (&Policy, &[Host]),
    host: Host,
    args: &Args,
) -> Result<(), CommandError> {
    let others: Vec<Host> =
        hosts.iter().filter(|other| other.name != args.host && !other.ignored).cloned().collect();
    let mut removed = false;
    if !args.lost {
        let alone = std::slice::from_ref(&host);
        let mut deployment = Deployment::new(context, policy.clone(), alone, &LeaveOut::default())?;
        if let Err(error) = deployment.reach(args).await {
            return Err(unless_unheard_of(error, context, (policy, hosts), &others, args).await);
        }
        removed = deployment.empty(args).await?;
    }
    let forgotten = match &others[..] {
        [] => Ok(false),
        others => {
            let mut others = Deployment::new(context, policy.clone(), others, &LeaveOut::default())?;
            if !args.lost {
                let done = if removed { "is emptied" } else { "had nothing to be removed" };
                others.before = Some(format!("{} {done}, and the other hosts still remember it", args.host));
            }
            others.forget(args, hosts, &host).await
        }
    };
    let (host, purged, lost) = (&args.host, args.purge, args.lost);
    if !lost || forgotten.is_ok() {
        let forgotten = forgotten.as_ref().is_ok_and(|forgotten| *forgotten);
        context.ui.json(&Line::Retired { host, purged, lost, removed, forgotten });
    }
    let forgotten = forgotten?;
    // An emptied one has been there, and if there is nobody to be asked, it may have been forgotten before.
    let is_elsewhere = removed || (!lost && others.is_empty());
    if !is_elsewhere && !forgotten && !hosts.iter().any(|known| known.name == *host) {
        return Err(naming::unheard_of(policy, host, &names(hosts)));
    }
    match (lost, forgotten) {
        (true, true) => context
            .ui
            .line(&format!("{host}: the other hosts have forgotten it, and nothing was removed there")),
        (true, false) => {
            context.ui.line(&format!("{host}: no other host remembers it, and nothing was removed there"));
        }
        (false, true) => context.ui.line(&format!("{host}: the other hosts have forgotten it")),
        (false, false) => {}
    }
    Ok(())
}

fn names(hosts: &[Host]) -> BTreeSet<&str> {
    hosts.iter().map(|host| host.name.as_str()).collect()
}

/// The error of a host that could not be reached or locked, or that there is no such host: neither the environment nor any
/// of its hosts knows one of that name.
async fn unless_unheard_of(
    error: CommandError,
    context: &Context,
    (policy, hosts): (&Policy, &[Host]),
    others: &[Host],
    args: &Args,
) -> CommandError {
    let is_known = names(hosts).contains(args.host.as_str())
        || others.is_empty()
        || is_remembered(context, policy, others, &args.host).await;
    if is_known {
        return error;
    }
    let unheard_of = naming::unheard_of(policy, &args.host, &names(hosts));
    // What stands in a local folder is another host's; one over ssh may have been forgotten before.
    match policy.connect_method {
        ConnectMethod::Local => unheard_of,
        ConnectMethod::Ssh => unheard_of.because(error.to_string()),
    }
}

/// Refuses a host that is still in the environment: that is probably a mistake, and would leave the host
/// without its release, or the others without their memory of it.
fn refuse_member(policy: &Policy, hosts: &[Host], args: &Args) -> Result<(), CommandError> {
    let is_member = hosts.iter().any(|host| host.name == args.host && !host.ignored);
    if !is_member || args.locking.yes {
        return Ok(());
    }
    let (host, environment) = (visible_name(&args.host), visible_name(&policy.name));
    let (what, confirmed) = if args.lost {
        ("the others would forget it; nothing was changed", "the others are to forget it")
    } else {
        ("would be left without its release; nothing was removed", "it is to be emptied")
    };
    let (where_it_is, confirmed) = if policy.protected {
        let both = format!("both that {environment} is meant and that {confirmed}");
        (format!("{environment} is protected, {host} is still a host of it"), both)
    } else {
        (format!("{host} is still a host of {environment}"), format!("that {confirmed}"))
    };
    let error = CommandError::input(format!("{where_it_is}, and {what}"));
    Err(error.hint(format!("take {host} out of [hosts] first, or confirm with --yes {confirmed}")))
}

/// The host as it is in the environment, or as it would be if it were there: as what is still said about it has it, or else
/// like the others, under its own name.
fn find(context: &Context, policy: &Policy, hosts: &[Host], name: &str) -> Result<Host, CommandError> {
    if let Some(host) = hosts.iter().find(|host| host.name == name) {
        return Ok(Host { ignored: false, ..host.clone() });
    }
    let name = HostName::new(name).map_err(|error| CommandError::usage(error.to_string()))?;
    let host = match former_host(context.project()?, &policy.name, &name)? {
        Some(host) => host,
        None => like_the_others(policy, hosts, name)?,
    };
    // Only the host itself knows for certain what its `~` is.
    match policy.target_directory.as_ref().filter(|path| path.starts_with('~')) {
        Some(path) => Ok(Host { target_directory: path.clone(), home: None, ..host }),
        None => Ok(host),
    }
}

fn like_the_others(policy: &Policy, hosts: &[Host], name: HostName) -> Result<Host, CommandError> {
    let like = hosts.first().ok_or_else(|| naming::no_hosts(&policy.name))?;
    let domain = policy.host_domain.as_deref().filter(|_| !name.contains('.'));
    let fqdn = domain.map_or_else(|| name.to_string(), |domain| format!("{name}.{domain}"));
    // Each of several local hosts has a folder of its own.
    let own = |name: &HostName| format!("/work/{}/{name}", policy.name);
    let target = &like.target_directory;
    let beside = target.strip_suffix(&own(&like.name)).map(|above| format!("{above}{}", own(&name)));
    // A single one has the folder that theirs were in.
    let below = || Some(format!("{target}/{name}")).filter(|path| is_local(policy) && fs::is_dir(path));
    let target_directory = beside.or_else(below).unwrap_or_else(|| target.clone());
    Ok(Host {
        name,
        address: fqdn.clone(),
        fqdn,
        service_user: policy.service_user.clone(),
        require_sudo: policy.require_sudo,
        target_directory,
        ignored: false,
        ..like.clone()
    })
}

/// Whether all hosts are this machine, each at a place that batou chose.
fn is_local(policy: &Policy) -> bool {
    policy.connect_method == ConnectMethod::Local && policy.target_directory.is_none()
}

impl Deployment<'_> {
    /// Reaches the one host, and takes its lock.
    async fn reach(&mut self, args: &Args) -> Result<(), CommandError> {
        let forget = format!("`batou retire {} {} --lost`", args.environment, args.host);
        let hint = format!("if the host is gone for good, have the others forget it with {forget}");
        self.all_states().await.map_err(|error| error.hint(hint))?;
        self.lock(&holder(), args.locking.patience()).await.map(drop)
    }

    /// Removes what is on the one host; returns whether there was anything.
    async fn empty(&mut self, args: &Args) -> Result<bool, CommandError> {
        let question = question::retire(args.purge);
        let removed = self
            .all("could not be emptied", async |member: &mut Member| {
                let retirement = member.ask(&question).await?;
                Ok((retirement, member.hello.target_directory.clone()))
            })
            .await
            .map_err(|error| {
                let again = format!("`batou retire {} {}` again goes on", args.environment, args.host);
                error.hint(format!("something may have been removed there, and is not put back: {again}"))
            })?;
        let ui = &self.context.ui;
        for (host, (Retirement { removed, links, stays }, directory)) in &removed {
            let kept = match &links[..] {
                _ if !args.purge => "; its components' data (state/) is kept, unless --purge".to_owned(),
                [] => String::new(),
                links => format!(
                    ", but only links where data is elsewhere, and that is kept: {}",
                    one_line(&links.join(", "))
                ),
            };
            ui.line(&if *removed {
                let stays = match &stays[..] {
                    [] => String::new(),
                    stays => format!("; what stays, empty: {}", one_line(&stays.join(", "))),
                };
                format!("{host}: everything batou made is removed{kept}{stays}")
            } else {
                format!("{host}: there was nothing of batou's to remove in {}", visible_name(directory))
            });
        }
        Ok(removed.into_values().any(|(retirement, _)| retirement.removed))
    }

    /// Records in the journals of the remaining hosts that the environment no longer has the retired one; returns whether
    /// they remembered it.
    async fn forget(&mut self, args: &Args, hosts: &[Host], retired: &Host) -> Result<bool, CommandError> {
        let later = |error: CommandError| {
            let again = format!("`batou retire {} {} --lost`", args.environment, args.host);
            if args.lost { error } else { error.hint(format!("have them forget it later with {again}")) }
        };
        let found = self.witnesses(args).await.map_err(later)?;
        let Some(Witnesses { holder, states, number }) = found else { return Ok(false) };
        if !args.lost {
            let state = self.look_again(retired).await.map_err(later)?;
            state.map_or(Ok(()), |state| refuse_released(&state, args))?;
        }
        let gone = GoneHosts::of(&states, |name| is_member(hosts, name));
        let members = hosts.iter().filter(|host| !host.ignored).map(|host| &host.name);
        let kept = members.chain(&gone.known).filter(|host| **host != args.host).cloned();
        let kept = HostNames::first_of(kept.collect()).0;
        let forgotten = HostName::new(args.host.as_str()).ok();
        // Each keeps the release that it has. One that has an older release gets no line: it would seem to have the newest.
        let newest: BTreeMap<_, _> = newest_records(&states).into_iter().collect();
        let keep = self.policy.keep;
        let forget = async |member: &mut Member| {
            let Some(last) = newest.get(&member.route.host) else { return Ok(()) };
            let record = JournaledRelease {
                release: last.release,
                sequence: number.sequence,
                // What a rollback goes back from is what the release before went back from.
                restores: last.restores,
                forgets: forgotten.clone(),
                disregards: number.disregards,
                who: format!("{}@{}", holder.user, holder.machine),
                attempt: holder.attempt,
                hosts: kept.clone(),
                without: last.without.clone(),
            };
            member.ask(&question::commit_unchanged(record, keep)).await
        };
        self.all(&format!("could not be told that {} is gone", args.host), forget).await?;
        Ok(true)
    }

    /// The state of the host that was emptied before these were locked: until then, it could be given a release again.
    async fn look_again(&self, retired: &Host) -> Result<Option<State>, CommandError> {
        let alone = std::slice::from_ref(retired);
        let mut retired = Deployment::new(self.context, self.policy.clone(), alone, &LeaveOut::default())?;
        retired.before.clone_from(&self.before);
        Ok(retired.all_states().await?.into_values().next())
    }

    /// Locks the hosts, if they remember the one to be forgotten.
    async fn witnesses(&mut self, args: &Args) -> Result<Option<Witnesses>, CommandError> {
        if !remember(&self.all_states().await?, &args.host) {
            return Ok(None);
        }
        let holder = holder();
        let states = self.lock(&holder, args.locking.patience()).await?;
        // Until they were locked, another release could still be made.
        if !remember(&states, &args.host) {
            return Ok(None);
        }
        let number = next_number(&states, args.locking.yes, self.unchanged())?;
        self.name_disregarded(&states);
        Ok(Some(Witnesses { holder, states, number }))
    }
}

/// Refuses to have a host forgotten that has a release again, or is being given one: nothing would mention it any more.
fn refuse_released(state: &State, args: &Args) -> Result<(), CommandError> {
    let what = match &state.committed {
        Some(record) => format!("was given release {} meanwhile", record.sequence),
        None if state.unfinished || state.generation.is_some() => "is being given a release again".to_owned(),
        None => return Ok(()),
    };
    let (environment, host) = (&args.environment, &args.host);
    let error = CommandError::failed(format!("{host} {what}, so that the other hosts still remember it"));
    Err(error.hint(format!("retire it again, with `batou retire {environment} {host}`")))
}

/// Hosts that remember the one to be forgotten, while they are locked.
struct Witnesses {
    holder: Holder,
    states: BTreeMap<HostName, State>,
    number: NextNumber,
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
