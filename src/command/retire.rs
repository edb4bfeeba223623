//! `batou retire`: removes from a host what batou made there, and makes the other hosts forget it.

mod place;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use batou_environments::{ConnectMethod, Host, Policy};
use batou_release::HostName;

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
use crate::interrupt::Interrupts;
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
    place::refuse_member(&policy, &hosts, &args.host, (args.lost, args.locking.yes))?;
    guard::confirm(&policy, args.locking.yes, &context.ui)?;
    let host = place::find(context, &policy, &hosts, &args.host)?;
    block_on(context, retire(context, (&policy, &hosts), host, args))
}

/// A host that is to be retired, and where from.
struct Retiring<'a> {
    context: &'a Context,
    policy: &'a Policy,
    hosts: &'a [Host],
    /// The hosts of the environment that stay.
    others: Vec<Host>,
    host: Host,
    args: &'a Args,
}

/// Empties the host, unless it is lost, and has the others forget it.
async fn retire(
    context: &Context,
    (policy, hosts): (&Policy, &[Host]),
    host: Host,
    args: &Args,
) -> Result<(), CommandError> {
    let is_other = |other: &&Host| other.name != args.host && !other.ignored;
    let others = hosts.iter().filter(is_other).cloned().collect();
    let retiring = Retiring { context, policy, hosts, others, host, args };
    let mut prepared = retiring.prepare().await?;
    // From here on something is changed, and what became of it would not be known.
    let mut interrupts = Interrupts::listen()
        .map_err(|error| CommandError::failed("cannot listen for signals").because(error))?;
    let emptied = Cell::new(None);
    let warn = || context.ui.warn(&retiring.waited_for(emptied.get()));
    let Some(done) = interrupts.insistent(retiring.carry_out(&mut prepared, &emptied), warn).await else {
        // Another one yet need not wait for what there is to wait for.
        drop(interrupts);
        prepared.retired.into_iter().chain(prepared.others).for_each(|hosts| hosts.fleet.abandon());
        return Err(retiring.interrupted(emptied.get()));
    };
    interrupts.conclude();
    let (removed, forgotten) = done?;
    retiring.tell(removed, forgotten)
}

/// The conversations of a retirement.
#[derive(Default)]
struct Prepared<'a> {
    /// With the host, locked, unless it is lost.
    retired: Option<Deployment<'a>>,
    /// With the others.
    others: Option<Deployment<'a>>,
    /// What these remember, if the host is lost: then they are locked before anything is changed.
    found: Option<Witnesses>,
}

impl<'a> Retiring<'a> {
    /// All that comes before anything is changed.
    async fn prepare(&self) -> Result<Prepared<'a>, CommandError> {
        let mut prepared = Prepared::default();
        if !self.args.lost {
            let retired = prepared.retired.insert(self.deployment(std::slice::from_ref(&self.host))?);
            if let Err(error) = retired.reach(self.args).await {
                return Err(self.unless_unheard_of(error).await);
            }
        } else if !self.others.is_empty() {
            let others = prepared.others.insert(self.deployment(&self.others)?);
            prepared.found = others.witnesses(self.args).await?;
        }
        Ok(prepared)
    }

    fn deployment(&self, hosts: &[Host]) -> Result<Deployment<'a>, CommandError> {
        Deployment::new(self.context, self.policy.clone(), hosts, &LeaveOut::default())
    }

    /// Returns whether anything was removed on the host, which is noted in `emptied` as soon as it is known, and whether the
    /// others have forgotten it.
    async fn carry_out(
        &self,
        prepared: &mut Prepared<'a>,
        emptied: &Cell<Option<bool>>,
    ) -> Result<(bool, Result<bool, CommandError>), CommandError> {
        let Some(retired) = &mut prepared.retired else {
            let forgotten = match (&mut prepared.others, prepared.found.take()) {
                (Some(others), Some(found)) => {
                    others.forget(self.args, self.hosts, found).await.map(|()| true)
                }
                _ => Ok(false),
            };
            return Ok((false, forgotten));
        };
        let removed = retired.empty(self.args).await?;
        prepared.retired = None;
        emptied.set(Some(removed));
        let later = |error: CommandError| {
            error.hint(format!("have them forget it later with {}", command(self.args, true)))
        };
        Ok((removed, self.have_forgotten(prepared, removed).await.map_err(later)))
    }

    /// Has the others forget the emptied host; returns whether they remembered it.
    async fn have_forgotten(&self, prepared: &mut Prepared<'a>, removed: bool) -> Result<bool, CommandError> {
        if self.others.is_empty() {
            return Ok(false);
        }
        let others = prepared.others.insert(self.deployment(&self.others)?);
        let what = emptied_or_not(removed);
        others.before = Some(format!("{} {what}, and the other hosts still remember it", self.args.host));
        let Some(found) = others.witnesses(self.args).await? else { return Ok(false) };
        // Until these were locked, it could be given a release again.
        let mut retired = self.deployment(std::slice::from_ref(&self.host))?;
        retired.before.clone_from(&others.before);
        let state = retired.all_states().await?.into_values().next();
        state.map_or(Ok(()), |state| refuse_released(&state, self.args))?;
        others.forget(self.args, self.hosts, found).await.map(|()| true)
    }

    /// What batou waits for after an interrupt.
    fn waited_for(&self, emptied: Option<bool>) -> String {
        let host = &self.args.host;
        let what = if self.args.lost || emptied.is_some() {
            format!("the other hosts forget {host}, and batou waits for them")
        } else if self.others.is_empty() {
            format!("{host} is being emptied, and batou waits for it")
        } else {
            format!("{host} is being emptied, and batou waits for it and has the other hosts forget it")
        };
        format!("{what}; interrupt again to end batou without waiting")
    }

    /// What is known after a second interrupt.
    fn interrupted(&self, emptied: Option<bool>) -> CommandError {
        let (host, args) = (&self.args.host, self.args);
        let again = command(args, args.lost || emptied.is_some());
        let (what, hint) = match emptied {
            _ if args.lost => {
                let what = format!("the other hosts, or some of them, may have forgotten {host}");
                (what, format!("{again} goes on"))
            }
            Some(removed) => {
                let what =
                    format!("{host} {}, and the other hosts may still remember it", emptied_or_not(removed));
                (what, format!("have them forget it with {again}"))
            }
            None if self.others.is_empty() => {
                (format!("{host} is emptied, or is being emptied"), format!("{again} goes on"))
            }
            None => {
                let what =
                    format!("{host} is emptied, or is being emptied, and the other hosts still remember it");
                (what, format!("{again} goes on"))
            }
        };
        CommandError::diverged(format!("interrupted: {what}")).hint(hint)
    }

    /// The last words, of what was done.
    fn tell(&self, removed: bool, forgotten: Result<bool, CommandError>) -> Result<(), CommandError> {
        let ui = &self.context.ui;
        let (host, purged, lost) = (&self.args.host, self.args.purge, self.args.lost);
        if !lost || forgotten.is_ok() {
            let forgotten = forgotten.as_ref().is_ok_and(|forgotten| *forgotten);
            ui.json(&Line::Retired { host, purged, lost, removed, forgotten });
        }
        let forgotten = forgotten?;
        // An emptied one has been there, and if there is nobody to be asked, it may have been forgotten before.
        let is_elsewhere = removed || (!lost && self.others.is_empty());
        if !is_elsewhere && !forgotten && !self.hosts.iter().any(|known| known.name == *host) {
            return Err(naming::unheard_of(self.policy, host, &names(self.hosts)));
        }
        match (lost, forgotten) {
            (true, true) => {
                ui.line(&format!("{host}: the other hosts have forgotten it, and nothing was removed there"));
            }
            (true, false) => {
                ui.line(&format!("{host}: no other host remembers it, and nothing was removed there"));
            }
            (false, true) => ui.line(&format!("{host}: the other hosts have forgotten it")),
            (false, false) => {}
        }
        Ok(())
    }

    /// The error of a host that could not be reached or locked, or that there is no such host: neither the environment nor any
    /// of its hosts knows one of that name.
    async fn unless_unheard_of(&self, error: CommandError) -> CommandError {
        let is_known = names(self.hosts).contains(self.args.host.as_str())
            || self.others.is_empty()
            || self.is_remembered().await;
        if is_known {
            return error;
        }
        let unheard_of = naming::unheard_of(self.policy, &self.args.host, &names(self.hosts));
        // What stands in a local folder is another host's; one over ssh may have been forgotten before.
        match self.policy.connect_method {
            ConnectMethod::Local => unheard_of,
            ConnectMethod::Ssh => unheard_of.because(error.to_string()),
        }
    }

    /// Whether one of the other hosts knows this one, as far as they can be asked.
    async fn is_remembered(&self) -> bool {
        let Ok(mut others) = self.deployment(&self.others) else { return true };
        others.all_states().await.map_or(true, |states| remember(&states, &self.args.host))
    }
}

fn names(hosts: &[Host]) -> BTreeSet<&str> {
    hosts.iter().map(|host| host.name.as_str()).collect()
}

fn emptied_or_not(removed: bool) -> &'static str {
    if removed { "is emptied" } else { "had nothing to be removed" }
}

/// The command that goes on with a retirement, as it can be typed.
fn command(args: &Args, lost: bool) -> String {
    let purge = if args.purge && !lost { " --purge" } else { "" };
    let lost = if lost { " --lost" } else { "" };
    // What had to be confirmed has to be again.
    let yes = if args.locking.yes { " --yes" } else { "" };
    format!("`batou retire {} {}{purge}{lost}{yes}`", args.environment, args.host)
}

impl Deployment<'_> {
    /// Reaches the one host, and takes its lock.
    async fn reach(&mut self, args: &Args) -> Result<(), CommandError> {
        let hint =
            format!("if the host is gone for good, have the others forget it with {}", command(args, true));
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
                let again = command(args, false);
                error.hint(format!(
                    "something may have been removed there, and is not put back: {again} goes on"
                ))
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

    /// Records in the journals of these hosts that the environment no longer has the retired one.
    async fn forget(&mut self, args: &Args, hosts: &[Host], found: Witnesses) -> Result<(), CommandError> {
        let Witnesses { holder, states, number } = found;
        let gone = GoneHosts::of(&states, |name| is_member(hosts, name));
        // One that was retired, too, or has never had a release, is none that the others remember.
        let newest: BTreeMap<_, _> = newest_records(&states).into_iter().collect();
        let is_remembered = |host: &&HostName| newest.values().any(|record| record.hosts.contains(*host));
        let members = hosts.iter().filter(|host| !host.ignored).map(|host| &host.name).filter(is_remembered);
        let kept = members.chain(&gone.known).filter(|host| **host != args.host).cloned();
        let kept = HostNames::first_of(kept.collect()).0;
        let forgotten = HostName::new(args.host.as_str()).ok();
        // Each keeps the release that it has. One that has an older release gets no line: it would seem to have the newest.
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
        self.all(&format!("could not be told that {} is gone", args.host), forget).await.map(drop)
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
    let error =
        CommandError::failed(format!("{} {what}, so that the other hosts still remember it", args.host));
    Err(error.hint(format!("retire it again, with {}", command(args, false))))
}

/// Hosts that remember the one to be forgotten, while they are locked.
struct Witnesses {
    holder: Holder,
    states: BTreeMap<HostName, State>,
    number: NextNumber,
}

/// Whether the newest release has this host.
fn remember(states: &BTreeMap<HostName, State>, host: &str) -> bool {
    newest_records(states).iter().any(|(_, record)| record.hosts.iter().any(|known| known == host))
}
