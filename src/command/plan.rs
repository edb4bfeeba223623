//! `batou plan`: what a switch would change on the hosts, and why. Changes nothing, beside installing the agent.

use std::collections::BTreeMap;

use batou_environments::{Host, Settings};
use batou_store::Copied;

use crate::build::Built;
use crate::cli::{Diff, LeaveOut, PlanArgs};
use crate::context::Context;
use crate::deployment::{Deployment, failed, newest};
use crate::error::CommandError;
use crate::fleet::Member;
use crate::guard;
use crate::outfile;
use crate::plan::{HostPlan, Transfer, compare, render};
use crate::saved_plan::SavedPlan;
use batou_agent::protocol::{State, TargetCondition};
use batou_release::{HostName, HostRelease};

/// Runs the command.
pub fn run(context: &Context, args: &PlanArgs) -> Result<(), CommandError> {
    let (settings, hosts) = context.settings(&args.environment)?;
    let Some(file) = &args.output else {
        return show(context, settings, &hosts, &args.leave_out, args.diff);
    };
    let place = outfile::place(file)?;
    // Looked at before the files are, so that a change in between is not missed.
    let objection = guard::check_repository(&context.project()?.root, &settings, false, &context.ui).err();
    let objection = objection.map(|error| error.to_string());
    super::block_on(async {
        let planned = Planned::make(context, settings, &hosts, &args.leave_out).await?;
        render(&planned.hosts, args.diff, &context.ui);
        if let Some(objection) = &objection {
            context.ui.warn(&format!("{objection}: a switch with this plan needs --dirty"));
        }
        planned.save(objection).write(&place)?;
        context.ui.status(&format!(
            "saved; `batou switch {} --plan {}` does it",
            args.environment,
            file.display()
        ));
        planned.deployment.fleet.abandon();
        Ok(())
    })
}

/// Prints the plan; also for `batou switch --dry-run`.
pub fn show(
    context: &Context,
    settings: Settings,
    hosts: &[Host],
    leave_out: &LeaveOut,
    detail: Diff,
) -> Result<(), CommandError> {
    super::block_on(async {
        let planned = Planned::make(context, settings, hosts, leave_out).await?;
        render(&planned.hosts, detail, &context.ui);
        planned.deployment.fleet.abandon();
        Ok(())
    })
}

struct Planned<'c> {
    deployment: Deployment<'c>,
    built: Built,
    states: BTreeMap<HostName, State>,
    hosts: Vec<HostPlan>,
}

impl<'c> Planned<'c> {
    async fn make(
        context: &'c Context,
        settings: Settings,
        hosts: &[Host],
        leave_out: &LeaveOut,
    ) -> Result<Self, CommandError> {
        let mut deployment = Deployment::new(context, settings, hosts, leave_out)?;
        deployment.fleet.call();
        let built = deployment.build()?;
        deployment.want(&built.hosts, built.release.id());
        let states = deployment.states(leave_out).await?;
        deployment.name_retirable(&states, hosts);
        let current = deployment.current_manifests(&states).await?;
        let store = context.store()?;
        let missing = deployment.objects_to_compare(&built, &current).await?;
        let mut plans = Vec::new();
        for (host, state) in &states {
            let Some(new) = built.hosts.get(host) else { continue };
            let old = current.get(host);
            plans.push(HostPlan {
                host: host.clone(),
                from: old.map(HostRelease::digest),
                to: new.digest(),
                missing: missing.get(host).map(transfer).unwrap_or_default(),
                components: compare(store, old, new)?,
                settled: state.settled,
                notes: notes(state),
            });
        }
        Ok(Planned { deployment, built, states, hosts: plans })
    }
}

impl Planned<'_> {
    /// The plan as a file holds it: for the hosts that could be asked.
    fn save(&self, objection: Option<String>) -> SavedPlan {
        let asked = |(host, _): &(&HostName, _)| self.states.contains_key(*host);
        let hosts: BTreeMap<_, _> = self
            .built
            .hosts
            .iter()
            .filter(asked)
            .map(|(host, release)| (host.clone(), release.clone()))
            .collect();
        let current =
            |host: &HostName| self.states.get(host)?.current.as_ref().map(|current| current.manifest);
        let expected = hosts.keys().map(|host| (host.clone(), current(host))).collect();
        SavedPlan::new(self.built.release.clone(), objection, hosts, expected)
    }
}

fn transfer(copied: &Copied) -> Transfer {
    Transfer { objects: copied.objects, bytes: copied.bytes }
}

/// What else there is to know before a host is switched.
fn notes(state: &State) -> Vec<String> {
    let mut notes = Vec::new();
    if state.unfinished {
        notes.push("a release is under way there, or was interrupted: it is taken back first".to_owned());
    }
    match state.target {
        TargetCondition::Ready => {}
        TargetCondition::Absent => notes.push("the target directory is created through sudo".to_owned()),
        TargetCondition::Forbidden => {
            notes.push(format!("{} may not write to the target directory", state.user));
        }
        TargetCondition::ReadOnly => notes.push("the target directory is mounted read-only".to_owned()),
    }
    notes
}

impl Deployment<'_> {
    /// What the hosts have now.
    pub async fn current_manifests(
        &mut self,
        states: &BTreeMap<HostName, State>,
    ) -> Result<BTreeMap<HostName, HostRelease>, CommandError> {
        let fetch = async |member: &mut Member| match states.get(&member.route.host) {
            Some(State { current: Some(current), .. }) => member.manifest(Some(current.manifest)).await,
            _ => Ok(None),
        };
        let found = self.all("cannot tell what they have", fetch).await?;
        Ok(found.into_iter().filter_map(|(host, release)| Some((host, release?))).collect())
    }

    /// What each host lacks. What it has, and the controller has not, is fetched where it is to be compared.
    async fn objects_to_compare(
        &mut self,
        built: &Built,
        current: &BTreeMap<HostName, HostRelease>,
    ) -> Result<BTreeMap<HostName, Copied>, CommandError> {
        let store = self.context.store()?;
        let new = built.hosts.iter().map(|(host, release)| (host, release.manifest())).collect();
        let missing = self.fleet.lacking(&new, store).await;
        let missing = missing.map_err(|failures| failed("cannot tell what they lack", &failures))?;
        let old = current.iter().map(|(host, release)| (host, release.manifest())).collect();
        let fetched = self.fleet.fetch(&old, store).await;
        fetched.map_err(|failures| failed("cannot send what they have, to be compared", &failures))?;
        Ok(missing)
    }

    /// Names hosts that had a release and are no longer in the environment.
    pub fn name_retirable(&self, states: &BTreeMap<HostName, State>, hosts: &[Host]) {
        for host in retirable(states, hosts) {
            let environment = &self.settings.name;
            self.context.ui.warn(&format!(
                "{host} is no longer in {environment} and keeps its last release: `batou retire {environment} {host}` removes it"
            ));
        }
    }
}

/// The hosts of the last release that the environment no longer has.
pub fn retirable(states: &BTreeMap<HostName, State>, hosts: &[Host]) -> Vec<HostName> {
    let then = newest(states).map(|record| record.hosts.clone()).unwrap_or_default();
    then.into_iter().filter(|name| hosts.iter().all(|host| host.name != *name || host.ignored)).collect()
}
