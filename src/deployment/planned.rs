//! What a switch would change on the hosts, found out by asking them.

use std::collections::{BTreeMap, BTreeSet};

use batou_agent::protocol::{RecordFault, State, TargetCondition};
use batou_environments::{Host, Policy};
use batou_release::{HostName, HostRelease};
use batou_store::{ArtifactId, Copied, Depot, ObjectId, Store};

use super::failure::failed;
use super::{Deployment, block_on};
use crate::build::Built;
use crate::cli::options::{Diff, LeaveOut};
use crate::context::Context;
use crate::error::CommandError;
use crate::mending::Needed;
use crate::plan::compare::{compare, unknown_texts};
use crate::plan::objects::{ComparedObjects, Fetched};
use crate::plan::render::render;
use crate::plan::{ComponentPlan, HostPlan};
use crate::saved_plan::SavedPlan;
use crate::ui::fault::problem;
use crate::ui::line::plan::Transfer;

/// A plan, and what it was made of.
pub struct Planned<'c> {
    /// The hosts it is for.
    pub deployment: Deployment<'c>,
    /// What changes on each host.
    pub hosts: Vec<HostPlan>,
    built: Built,
    states: BTreeMap<HostName, State>,
}

impl<'c> Planned<'c> {
    /// Asks the hosts what they have while the new release is being built, and compares the two.
    pub async fn make(
        context: &'c Context,
        policy: Policy,
        hosts: &[Host],
        leave_out: &LeaveOut,
        detail: Diff,
    ) -> Result<Self, CommandError> {
        let shows_texts = detail == Diff::Full || context.ui.is_json();
        let mut deployment = Deployment::new(context, policy, hosts, leave_out)?;
        deployment.fleet.call();
        let built = deployment.build()?;
        deployment.want(&built.hosts, built.release.id());
        let states = deployment.states(leave_out).await?;
        deployment.name_far(&states);
        deployment.name_retirable(&states, |name| is_member(hosts, name));
        let current = deployment.current_manifests(&states).await?;
        let mut needed = Needed::of(&deployment.policy.name, built.hosts.values());
        needed.useful = current.values().flat_map(|release| release.manifest().artifacts()).collect();
        let missing = deployment.lacking(&built.hosts, &needed).await?;
        let mut pairs = Vec::new();
        for (host, state) in &states {
            if let Some(new) = built.hosts.get(host) {
                pairs.push(HostPair { host, state, old: current.get(host), new });
            }
        }
        let components = match deployment.compare(&pairs, shows_texts).await {
            Err(error) if error.is_of_store() && context.mend(&needed)? => {
                deployment.compare(&pairs, shows_texts).await
            }
            compared => compared,
        };
        let plan = |(pair, components): (&HostPair<'_>, _)| HostPlan {
            host: pair.host.clone(),
            from: pair.old.map(HostRelease::digest),
            to: pair.new.digest(),
            missing: missing.get(pair.host).map(transfer).unwrap_or_default(),
            components,
            settled: pair.state.settled,
            asked: true,
            drift: pair.state.drift.clone(),
            notes: notes(pair.state),
        };
        let plans = pairs.iter().zip(components?).map(plan).collect();
        Ok(Planned { deployment, built, states, hosts: plans })
    }
}

impl Planned<'_> {
    /// The plan as saved to a file; only for the hosts that could be asked.
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

/// Whether a host is one of the environment's.
pub fn is_member(hosts: &[Host], name: &HostName) -> bool {
    hosts.iter().any(|host| host.name == *name && !host.ignored)
}

/// Prints what a switch would change.
pub fn show(
    context: &Context,
    policy: Policy,
    hosts: &[Host],
    leave_out: &LeaveOut,
    detail: Diff,
) -> Result<(), CommandError> {
    block_on(context, async {
        let planned = Planned::make(context, policy, hosts, leave_out, detail).await?;
        render(&planned.hosts, detail, &context.ui);
        planned.deployment.fleet.abandon();
        Ok(())
    })
}

fn transfer(copied: &Copied) -> Transfer {
    Transfer { objects: copied.objects, bytes: copied.bytes }
}

/// What else to know before a host is switched.
fn notes(state: &State) -> Vec<String> {
    let mut notes = Vec::new();
    if state.unfinished && !state.has_damaged_intent() {
        notes.push("a release is under way there, or was interrupted: the host goes back first".to_owned());
    }
    if let (None, Some(record)) =
        (&state.current, state.committed.as_ref().filter(|_| state.generation.is_none()))
    {
        notes.push(format!(
            "no release is in force there, although release {} was committed",
            record.sequence
        ));
    }
    let told_as_drift = |fault: &&RecordFault| **fault == RecordFault::Manifest;
    notes.extend(
        state.faults.iter().filter(|fault| !told_as_drift(fault)).map(|it| problem(*it, state.generation)),
    );
    match state.target {
        TargetCondition::Ready => {}
        TargetCondition::Absent => notes.push("the target directory is created with sudo".to_owned()),
        TargetCondition::Forbidden => {
            notes.push(format!("{} may not write to the target directory", state.user));
        }
        TargetCondition::ReadOnly => notes.push("the target directory is mounted read-only".to_owned()),
    }
    notes
}

/// A host, with what it has and what it is to have.
struct HostPair<'p> {
    host: &'p HostName,
    state: &'p State,
    old: Option<&'p HostRelease>,
    new: &'p HostRelease,
}

impl Deployment<'_> {
    /// What changes on each host, in the order of the hosts. What a host has and the controller does not is
    /// fetched, as far as it is shown.
    async fn compare(
        &mut self,
        pairs: &[HostPair<'_>],
        shows_texts: bool,
    ) -> Result<Vec<Vec<ComponentPlan>>, CommandError> {
        let store = self.context.store()?;
        let mut fetched = Fetched::default();
        let trees = self.fetch(unknown_artifacts(store, pairs)?, Fetched::trees).await?;
        for one in trees {
            fetched.add(one);
        }
        if shows_texts {
            let unknown = unknown_files(ComparedObjects { store, fetched: &fetched }, pairs)?;
            let texts = self.fetch(unknown, Fetched::texts).await?;
            for one in texts {
                fetched.add(one);
            }
        }
        let objects = ComparedObjects { store, fetched: &fetched };
        pairs.iter().map(|pair| compare(objects, pair.old, pair.new)).collect()
    }

    async fn fetch<W: Send + Sync + 'static>(
        &mut self,
        wanted: BTreeMap<HostName, W>,
        read: fn(&mut dyn Depot, &W) -> Result<Fetched, batou_store::Error>,
    ) -> Result<Vec<Fetched>, CommandError> {
        let fetched = self.fleet.read(wanted, read).await;
        let fetched = fetched.map_err(|failures| failed("cannot send what the plan compares", &failures))?;
        Ok(fetched.into_values().collect())
    }
}

/// The artifacts that only hosts have, each with one host to ask for it.
fn unknown_artifacts(
    store: &Store,
    pairs: &[HostPair<'_>],
) -> Result<BTreeMap<HostName, BTreeSet<ArtifactId>>, CommandError> {
    let mut unknown: BTreeMap<HostName, BTreeSet<_>> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for (pair, old) in pairs.iter().filter_map(|pair| Some((pair, pair.old?))) {
        for id in old.manifest().artifacts() {
            if asked.insert(id) && !store.contains(&ObjectId::Artifact(id))? {
                unknown.entry(pair.host.clone()).or_default().insert(id);
            }
        }
    }
    Ok(unknown)
}

/// The files that only hosts have and whose changes are shown, each with one host to ask for it.
fn unknown_files(
    objects: ComparedObjects<'_>,
    pairs: &[HostPair<'_>],
) -> Result<BTreeMap<HostName, BTreeSet<ObjectId>>, CommandError> {
    let mut unknown: BTreeMap<HostName, BTreeSet<_>> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for (pair, old) in pairs.iter().filter_map(|pair| Some((pair, pair.old?))) {
        for file in unknown_texts(objects, old, pair.new)? {
            if asked.insert(file) {
                unknown.entry(pair.host.clone()).or_default().insert(file);
            }
        }
    }
    Ok(unknown)
}
