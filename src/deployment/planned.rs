//! What a switch would change on the hosts, asked of them.

use std::collections::BTreeMap;

use batou_agent::protocol::{State, TargetCondition};
use batou_environments::{Host, Settings};
use batou_release::{HostName, HostRelease};
use batou_store::Copied;

use super::failure::failed;
use super::{Deployment, block_on};
use crate::build::Built;
use crate::cli::options::{Diff, LeaveOut};
use crate::context::Context;
use crate::error::CommandError;
use crate::plan::HostPlan;
use crate::plan::compare::compare;
use crate::plan::render::render;
use crate::saved_plan::SavedPlan;
use crate::ui::line::plan::Transfer;

/// A plan, and what it was made of.
pub struct Planned<'c> {
    /// The hosts that it is for.
    pub deployment: Deployment<'c>,
    /// What changes on each host.
    pub hosts: Vec<HostPlan>,
    built: Built,
    states: BTreeMap<HostName, State>,
}

impl<'c> Planned<'c> {
    /// Asks the hosts what they have, while what they are to have is built, and compares the two.
    pub async fn make(
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
                drift: state.drift.clone(),
                notes: notes(state),
            });
        }
        Ok(Planned { deployment, built, states, hosts: plans })
    }
}

impl Planned<'_> {
    /// The plan as a file holds it: for the hosts that could be asked.
    pub fn save(&self, objection: Option<String>) -> SavedPlan {
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

/// Prints what a switch would change.
pub fn show(
    context: &Context,
    settings: Settings,
    hosts: &[Host],
    leave_out: &LeaveOut,
    detail: Diff,
) -> Result<(), CommandError> {
    block_on(context, async {
        let planned = Planned::make(context, settings, hosts, leave_out).await?;
        render(&planned.hosts, detail, &context.ui);
        planned.deployment.fleet.abandon();
        Ok(())
    })
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
}
