//! `batou rollback`: puts back what was released before. Nothing is evaluated; the hosts know what they had.

use std::collections::BTreeMap;

use batou_store::Digest;

use crate::cli::RollbackArgs;
use crate::context::Context;
use crate::deployment::Deployment;
use crate::error::{CommandError, Kind};
use crate::fleet::Member;
use crate::fleet::history::{History, HistoryError, Past};
use crate::guard;
use crate::releasing::Intended;
use crate::ui::visible;
use batou_agent::protocol::question;
use batou_release::{HostName, HostRelease, Manifest, UnitId};

/// Runs the command.
pub fn run(context: &Context, args: &RollbackArgs) -> Result<(), CommandError> {
    let (settings, hosts) = batou_environments::settings(context.project()?, &args.environment)?;
    guard::confirm(&settings, args.locking.yes, &context.ui)?;
    let deployment = Deployment::new(context, settings, &hosts, &args.leave_out)?;
    super::block_on(rollback(deployment, args))
}

async fn rollback(mut deployment: Deployment<'_>, args: &RollbackArgs) -> Result<(), CommandError> {
    deployment.only(&args.host)?;
    let states = deployment.states(&args.leave_out).await?;
    let history = deployment.history().await?;
    let found = args.to.as_deref().map_or_else(|| history.previous(), |wanted| history.find(wanted));
    let target = found.map_err(refused)?.clone();
    let manifests = history.manifests(target.record.sequence);
    stay(&mut deployment, &manifests);
    let hosts = deployment.past_manifests(&manifests).await?;
    if !args.force {
        deployment.refuse_irreversible(&history, &target, &hosts).await?;
    }
    let intended = Intended {
        release: target.record.release,
        members: hosts.keys().cloned().collect(),
        hosts,
        restores: Some(target.record.sequence),
        recheck: false,
        expected: None,
    };
    deployment.release(intended, &states, &args.locking).await
}

/// A release that cannot be named is bad input; one that is not there to go back to is nobody's mistake.
fn refused(error: HistoryError) -> CommandError {
    let kind = match error {
        HistoryError::Empty | HistoryError::Oldest { .. } => Kind::Failed,
        HistoryError::NotFound { .. } | HistoryError::Ambiguous { .. } | HistoryError::SameNumber { .. } => {
            Kind::Usage
        }
    };
    CommandError::from_error(kind, error)
}

/// Leaves out the hosts that had nothing then, and names the others that are gone.
fn stay(deployment: &mut Deployment<'_>, manifests: &BTreeMap<HostName, Digest>) {
    let ui = &deployment.context.ui;
    let new: Vec<_> =
        deployment.fleet.hosts().into_iter().filter(|host| !manifests.contains_key(host)).collect();
    for host in &new {
        ui.notice(&format!("{host} had no release then, and stays as it is"));
    }
    deployment.fleet.leave_out(new);
}

impl Deployment<'_> {
    /// The journals of all hosts.
    pub async fn history(&mut self) -> Result<History, CommandError> {
        let ask = async |member: &mut Member| member.ask(&question::journal()).await;
        self.all("have no readable journal", ask).await.map(History::read)
    }

    /// The manifests of then, as the hosts still have them.
    async fn past_manifests(
        &mut self,
        manifests: &BTreeMap<HostName, Digest>,
    ) -> Result<BTreeMap<HostName, HostRelease>, CommandError> {
        let fetch = async |member: &mut Member| match manifests.get(&member.route.host) {
            Some(digest) => member.manifest(Some(*digest)).await,
            None => Ok(None),
        };
        let found = self.all("cannot tell what they had", fetch).await?;
        let gone: Vec<_> =
            found.iter().filter(|(_, order)| order.is_none()).map(|(host, _)| host.as_str()).collect();
        if !gone.is_empty() {
            let message =
                format!("that release is no longer on {}: it is older than `keep` says", gone.join(", "));
            return Err(
                CommandError::failed(message).hint("check out the commit of then and `batou switch` it")
            );
        }
        Ok(found.into_iter().filter_map(|(host, order)| Some((host, order?))).collect())
    }

    /// An irreversible unit that was converged since, and is not a part of the release to be put back, stops the rollback.
    async fn refuse_irreversible(
        &mut self,
        history: &History,
        target: &Past,
        hosts: &BTreeMap<HostName, HostRelease>,
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
        let found = self.all("cannot tell what they had since", look).await?;
        let lines: Vec<_> = found
            .iter()
            .flat_map(|(host, units)| units.iter().map(move |unit| visible(&format!("  {host}: {unit}"))))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let message = format!("this has run since, and cannot be undone:\n{}", lines.join("\n"));
        Err(CommandError::failed(message).hint("go back all the same with --force"))
    }
}

/// The irreversible units of the later manifests that the earlier one has not.
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
