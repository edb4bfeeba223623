//! `batou rollback`: restores what was released before. Nothing is evaluated; the hosts know what they had.

use std::collections::BTreeMap;

use batou_store::Digest;

use crate::cli::options::{LeaveOut, Locking};
use crate::context::Context;
use crate::deployment::number::newest_number;
use crate::deployment::release::Intended;
use crate::deployment::{Deployment, block_on};
use crate::error::{CommandError, ExitKind};
use crate::fleet::Member;
use crate::fleet::history::{History, HistoryError, Past, Restored};
use crate::guard;
use crate::ui::one_line;
use batou_agent::protocol::State;
use batou_release::{HostName, HostRelease, Manifest, UnitId};

/// Restore the previous release, or the one named with --to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A rollback evaluates nothing: each host gets exactly what it had. Another rollback restores the release before that.

Examples:
  batou rollback prod
  batou rollback prod --to 3f9a01c2    a release that `batou history prod` lists
  batou rollback prod --host web01     on one host only")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The release to restore: the beginning of its id, or its number in the history
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST", help_heading = "Hosts")]
    pub host: Vec<String>,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
    /// Go back past irreversible steps
    #[arg(long, help_heading = "Safety")]
    pub force: bool,
    /// How the hosts are locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// What to do instead if the hosts cannot go back.
const SWITCH_THEN: &str = "check out the commit that it was made from, and `batou switch`";

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    guard::confirm(&policy, args.locking.yes, &context.ui)?;
    let deployment = Deployment::new(context, policy, &hosts, &args.leave_out)?;
    let members = hosts.iter().filter(|host| !host.ignored).map(|host| host.name.clone()).collect();
    block_on(context, rollback(deployment, args, members))
}

/// Puts back what the hosts had.
pub(crate) async fn rollback(
    mut deployment: Deployment<'_>,
    args: &Args,
    members: Vec<HostName>,
) -> Result<(), CommandError> {
    deployment.only(&args.host)?;
    let states = deployment.states(&args.leave_out).await?;
    deployment.refuse_lost_journals(&states)?;
    let history =
        deployment.history(newest_number(&states, args.locking.yes, deployment.unchanged())?, false).await?;
    let found = match args.to.as_deref() {
        None => history.before_the_newest(),
        Some(wanted) => history.find(wanted).map(|past| history.when_in_force(past)),
    };
    let restored = found.map_err(|error| deployment.refused(error))?;
    let target = restored.release;
    deployment.check_others(&states, &history, &restored)?;
    stay(&mut deployment, &restored.manifests);
    let hosts = deployment.past_manifests(&restored.manifests, &history, target).await?;
    if !args.force {
        let unknown = deployment.advise_on_manifests(&states);
        deployment.refuse_irreversible((&history, target), &hosts, unknown).await?;
    }
    let intended = Intended {
        release: target.record.release,
        members,
        hosts,
        restores: Some(target.record.sequence),
        others: restored.others,
        recheck: false,
        expected: None,
    };
    deployment.release(intended, &states, &args.locking).await
}

/// Leaves out the hosts that had nothing in that release, and names the ones that are gone.
fn stay(deployment: &mut Deployment<'_>, manifests: &BTreeMap<HostName, Digest>) {
    let ui = &deployment.context.ui;
    let new: Vec<_> =
        deployment.fleet.hosts().into_iter().filter(|host| !manifests.contains_key(host)).collect();
    for host in &new {
        ui.notice(&format!("{host} has nothing from then, and stays as it is"));
    }
    deployment.fleet.leave_out(new);
}

impl Deployment<'_> {
    /// Naming a release that cannot be identified is bad input; having no release to restore is nobody's
    /// mistake.
    fn refused(&self, error: HistoryError) -> CommandError {
        let unchanged = format!("{error}; {}", self.unchanged());
        match error {
            HistoryError::Empty | HistoryError::Oldest { .. } => {
                CommandError::from_error(ExitKind::Failed, error)
            }
            HistoryError::Forked { .. } => CommandError::failed(unchanged).hint(format!(
                "name the release that is to be restored with --to, or the hosts that are to go back with --host; \
                 `batou history {}` has them all",
                self.policy.name
            )),
            HistoryError::NotFound { .. }
            | HistoryError::Ambiguous { .. }
            | HistoryError::SameNumber { .. } => CommandError::from_error(ExitKind::Usage, error),
        }
    }

    /// Names the hosts that are given back something else than that release. Refused if a journal says nothing of a release
    /// in which its host took part: it is not known what that host had.
    fn check_others(
        &self,
        states: &BTreeMap<HostName, State>,
        history: &History,
        restored: &Restored<'_>,
    ) -> Result<(), CommandError> {
        let target = restored.release;
        let number = target.record.sequence;
        let silent =
            |(host, state): &(&HostName, &State)| !state.unfinished && history.is_silent(target, host);
        let silent: Vec<_> = states.iter().filter(silent).map(|(host, _)| host.as_str()).collect();
        if !silent.is_empty() {
            let names = silent.join(", ");
            let message = format!(
                "{names} took part in release {number}, and the journal there has no line about it, so it is not known what was \
                 there then; nothing was changed"
            );
            let environment = &self.policy.name;
            let skips = silent.join(" --skip ");
            let hint = format!(
                "restore the others with `batou rollback {environment} --skip {skips}`, or {SWITCH_THEN}"
            );
            return Err(CommandError::failed(message).hint(hint));
        }
        for host in restored.others.iter().filter(|host| states.contains_key(*host)) {
            self.context
                .ui
                .warn(&format!("{host} did not have release {number}: it is given back what it had then"));
        }
        Ok(())
    }

    /// The manifests of that release, as the hosts still have them.
    async fn past_manifests(
        &mut self,
        manifests: &BTreeMap<HostName, Digest>,
        history: &History,
        target: &Past,
    ) -> Result<BTreeMap<HostName, HostRelease>, CommandError> {
        let fetch = async |member: &mut Member| match manifests.get(&member.route.host) {
            Some(digest) => member.manifest(Some(*digest)).await,
            None => Ok(None),
        };
        let found = self.all("cannot restore what was there", fetch).await;
        let found = found.map_err(|error| error.hint(SWITCH_THEN))?;
        let gone: Vec<_> =
            found.iter().filter(|(_, order)| order.is_none()).map(|(host, _)| host.as_str()).collect();
        if !gone.is_empty() {
            let keep = self.policy.keep;
            let is_kept = |host: &&str| history.count_since(target.record.sequence, host) < keep as usize;
            let why = if gone.iter().any(is_kept) {
                format!(
                    "it is one of the last {keep}, which `keep` says, so somebody has removed its generation there"
                )
            } else {
                format!("it is older than the last {keep}, which `keep` says")
            };
            let message = format!("that release is no longer on {}: {why}", gone.join(", "));
            return Err(CommandError::failed(message).hint(SWITCH_THEN));
        }
        Ok(found.into_iter().filter_map(|(host, order)| Some((host, order?))).collect())
    }

    /// Refuses the rollback if an irreversible unit has been converged since and is not part of the release to
    /// be restored. `unknown` is what helps where that cannot be told.
    async fn refuse_irreversible(
        &mut self,
        (history, target): (&History, &Past),
        hosts: &BTreeMap<HostName, HostRelease>,
        unknown: Option<String>,
    ) -> Result<(), CommandError> {
        let sequence = target.record.sequence;
        let look = async |member: &mut Member| {
            let host = member.route.host.clone();
            let mut later = Vec::new();
            for digest in history.since(sequence, &host) {
                later.extend(member.manifest(Some(digest)).await?);
            }
            Ok(hosts.get(&host).map(|target| irreversible(target.manifest(), &later)).unwrap_or_default())
        };
        let found = self.all("cannot tell what has been there since", look).await;
        let hint = "restore it all the same with --force, if nothing has run since that cannot be undone";
        let found = found
            .map_err(|error| unknown.into_iter().chain([hint.to_owned()]).fold(error, CommandError::hint))?;
        let lines: Vec<_> = found
            .iter()
            .flat_map(|(host, units)| {
                units.iter().map(move |unit| format!("  {host}: {}", one_line(&unit.to_string())))
            })
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let message = format!("this has run since, and cannot be undone:\n{}", lines.join("\n"));
        Err(CommandError::failed(message).hint("restore it all the same with --force"))
    }
}

/// The irreversible units of the later manifests that the earlier one does not have.
fn irreversible(earlier: &Manifest, later: &[HostRelease]) -> Vec<UnitId> {
    let mut found = Vec::new();
    for component in later.iter().flat_map(|release| &release.manifest().components) {
        let had = earlier.component(component.name.as_str());
        for unit in component.units.iter().filter(|unit| unit.is_irreversible()) {
            let (id, fingerprint) = (component.unit_id(unit), component.fingerprint(unit));
            if !had.is_some_and(|had| had.has_unit(&fingerprint)) && !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}
