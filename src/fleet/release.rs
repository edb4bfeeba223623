//! A release over the fleet: everything is staged everywhere before the first host is switched, every host is
//! switched before the first component is activated, and if anything fails every switched host goes back.
//!
//! The agents do their part: one that loses its controller before the commit goes back by itself. So after a
//! lost connection the host is asked over new connections until it has gone back.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use batou_store::{ArtifactId, Name, Store};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::activation::Schedule;
use super::aftermath::AskedFor;
use super::order::{Event, Failed, HostEnding, ReleaseOrder, ReleasePhase, Subject, Watcher, of_hosts};
use super::{Failures, Fleet, Member, all, sort};
use crate::interrupt::Interrupts;
use crate::remote::RemoteError;
use batou_agent::protocol::question::{self, Switched};
use batou_agent::protocol::{ErrorKind, State, Switch, UnitDecision};
use batou_release::{Component, HostName, HostRelease, Instance};

/// Everything that carrying out a release needs to know.
#[derive(Clone, Copy)]
pub struct Rollout<'r> {
    /// What was ordered.
    pub order: &'r ReleaseOrder,
    /// The states of the hosts when they were locked.
    pub states: &'r BTreeMap<HostName, State>,
    /// The store from which the hosts were staged.
    pub store: &'r Arc<Store>,
    /// Rebuilds those of these artifacts that are damaged in the store; tells whether there were any.
    pub remake: &'r dyn Fn(&[ArtifactId]) -> bool,
    /// Is told what happens.
    pub watcher: &'r Watcher<'r>,
}

impl Rollout<'_> {
    pub(super) fn tell(&self, event: Event<'_>) {
        (self.watcher)(event);
    }

    /// The hosts that do not have all of the release yet.
    fn changing(&self) -> BTreeSet<&HostName> {
        let settled =
            |host: &HostName| !self.order.recheck && self.states.get(host).is_some_and(|state| state.settled);
        self.order.hosts.keys().filter(|host| !settled(host)).collect()
    }
}

impl Fleet {
    /// Switches, activates and commits what has been staged, on locked hosts. An interrupt before the commit
    /// has every host go back. After that, only a second interrupt ends batou before all hosts have answered.
    pub async fn release(
        &mut self,
        rollout: Rollout<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<BTreeMap<HostName, HostEnding>, Failed> {
        let phase = Cell::new(ReleasePhase::Switch);
        let put_in_force = self.put_in_force(rollout, &phase);
        let switches = match interrupts.unless(put_in_force).await {
            Some(Ok(switches)) => switches,
            Some(Err(failures)) => return Err(self.back(rollout, phase.get(), failures, interrupts).await),
            None => return Err(self.interrupted(rollout, phase.get(), interrupts).await),
        };
        self.commit(rollout, &switches, interrupts).await
    }

    /// Switches and activates.
    async fn put_in_force(
        &mut self,
        rollout: Rollout<'_>,
        phase: &Cell<ReleasePhase>,
    ) -> Result<BTreeMap<HostName, Switched>, Failures<Subject>> {
        let changing = rollout.changing();
        rollout.tell(Event::Begins(ReleasePhase::Switch, changing.len()));
        let switching = self.some(
            |host| changing.contains(host),
            async |member: &mut Member| member.switch_or_mend(rollout).await,
        );
        let switches = all(switching.await).map_err(of_hosts)?;
        let mended: Vec<_> = switches
            .iter()
            .filter(|(_, switched)| !switched.mended.is_none())
            .map(|(host, switched)| (host, &switched.mended))
            .collect();
        if !mended.is_empty() {
            rollout.tell(Event::Mended(&mended));
        }
        phase.set(ReleasePhase::Activate);
        let failures = self.activate(rollout, &switches).await;
        if !failures.is_empty() {
            return Err(failures);
        }
        phase.set(ReleasePhase::Prepare);
        self.prepare(rollout).await.map_err(of_hosts)?;
        Ok(switches)
    }

    /// Asks every host whether it could commit before any of them does: once one has, the others cannot go
    /// back.
    async fn prepare(&mut self, rollout: Rollout<'_>) -> Result<(), Failures> {
        let hosts = rollout.order.hosts.len();
        // A single host either commits or does not, so there is nothing to ask beforehand.
        if hosts < 2 {
            return Ok(());
        }
        rollout.tell(Event::Begins(ReleasePhase::Prepare, hosts));
        all(self.each(async |member: &mut Member| member.ask(&question::prepare()).await).await)?;
        // A host that answered early may have been lost while the others were waited for.
        match first_lost(&mut self.by_host()).now_or_never() {
            Some((host, error)) => Err(Failures::from([(host, error)])),
            None => Ok(()),
        }
    }

    fn by_host(&mut self) -> BTreeMap<&HostName, &mut Member> {
        self.members.iter_mut().map(|(participant, member)| (&participant.host, member)).collect()
    }

    /// Runs what is pending along the dependencies. After a failure, running components may finish, but no new
    /// ones are started. A lost host is a failure at once, even if it has nothing to run.
    async fn activate(
        &mut self,
        rollout: Rollout<'_>,
        switches: &BTreeMap<HostName, Switched>,
    ) -> Failures<Subject> {
        let pending = pending(switches);
        rollout.tell(Event::Begins(ReleasePhase::Activate, pending.len()));
        let mut schedule = Schedule::new(rollout.order.hosts.values().map(HostRelease::manifest), &pending);
        let jobs = self.jobs.available_permits();
        let mut idle = self.by_host();
        let (mut busy, mut failures, mut running) =
            (BTreeSet::new(), Failures::new(), FuturesUnordered::new());
        loop {
            if failures.is_empty() {
                let free = jobs.saturating_sub(running.len());
                for (host, instance) in schedule.ready(&busy).into_iter().take(free) {
                    let Some((name, member)) = idle.remove_entry(&host) else { continue };
                    busy.insert(host);
                    running.push(async move {
                        let answer = member.activate(&instance, rollout).await;
                        (name, member, instance, answer)
                    });
                }
            }
            if running.is_empty() {
                break;
            }
            let ended = tokio::select! {
                biased;
                ended = running.next() => ended,
                (host, error) = first_lost(&mut idle) => {
                    idle.remove(&host);
                    failures.insert(Subject::Host(host), error);
                    None
                }
            };
            let Some((name, member, instance, answer)) = ended else { continue };
            idle.insert(name, member);
            busy.remove(name);
            match answer {
                Ok(units) => rollout.tell(Event::Activated(&instance, &units)),
                Err(error) => drop(failures.insert(Subject::Component(instance.clone()), error)),
            }
            schedule.finish(&instance);
        }
        if failures.is_empty() {
            let stuck =
                schedule.rest().into_iter().map(|rest| (Subject::Component(rest), RemoteError::Stuck));
            failures.extend(stuck);
        }
        failures
    }

    async fn commit(
        &mut self,
        rollout: Rollout<'_>,
        switches: &BTreeMap<HostName, Switched>,
        interrupts: &mut Interrupts,
    ) -> Result<BTreeMap<HostName, HostEnding>, Failed> {
        let order = rollout.order;
        rollout.tell(Event::Begins(ReleasePhase::Commit, order.hosts.len()));
        #[cfg(test)]
        batou_system::simulation::mark(&format!("tells {}", order.record.who));
        let commit = async |member: &mut Member| {
            if switches.contains_key(&member.route.host) {
                return member.ask(&question::commit(order.keep)).await;
            }
            // This host already had all of the release and was not switched, so it only records it.
            member.ask(&question::commit_unchanged(order.record.clone(), order.keep)).await
        };
        let warn = || rollout.tell(Event::Interrupted(ReleasePhase::Commit));
        let Some(answers) = interrupts.insistent(self.each(commit), warn).await else {
            return Err(self.leave(order, ReleasePhase::Commit, Failures::new()));
        };
        let (committed, failures) = sort(answers);
        let released = |host: &HostName| {
            let generation = switches.get(host).map(|switched| switched.generation);
            (host.clone(), HostEnding::Released { generation })
        };
        let mut endings: BTreeMap<HostName, HostEnding> = committed.keys().map(released).collect();
        if failures.is_empty() {
            return Ok(endings);
        }
        if committed.is_empty() {
            // A host may have committed although its answer was lost.
            let failed = self.back(rollout, ReleasePhase::Commit, of_hosts(failures), interrupts).await;
            return if all_released(&failed.endings) { Ok(failed.endings) } else { Err(failed) };
        }
        // Some hosts have committed for good, so it is too late to go back: ask what became of the release on
        // the others.
        let lost = failures.keys().cloned().collect();
        let Some(asked) = interrupts
            .insistent(self.ask_again(&lost, order, ReleasePhase::Commit, AskedFor::Certainty), warn)
            .await
        else {
            let left = self.leave(order, ReleasePhase::Commit, of_hosts(failures));
            let endings = left.endings.into_iter().chain(endings).collect();
            return Err(Failed { endings, ..left });
        };
        endings.extend(asked);
        if all_released(&endings) {
            return Ok(endings);
        }
        Err(Failed { phase: ReleasePhase::Commit, failures: of_hosts(failures), endings })
    }
}

/// The first of these hosts whose conversation ends, and why.
async fn first_lost(hosts: &mut BTreeMap<&HostName, &mut Member>) -> (HostName, RemoteError) {
    let ends = hosts.iter_mut().map(|(host, member)| async move { ((*host).clone(), member.lost().await) });
    match ends.collect::<FuturesUnordered<_>>().next().await {
        Some(lost) => lost,
        None => std::future::pending().await,
    }
}

fn all_released(endings: &BTreeMap<HostName, HostEnding>) -> bool {
    endings.values().all(|ending| matches!(ending, HostEnding::Released { .. }))
}

fn pending(switches: &BTreeMap<HostName, Switched>) -> BTreeSet<Instance> {
    let of_host = |(host, switched): (&HostName, &Switched)| {
        let host = host.clone();
        let instance = move |component: &Name| Instance { host: host.clone(), component: component.clone() };
        switched.pending.iter().map(instance).collect::<Vec<_>>()
    };
    switches.iter().flat_map(of_host).collect()
}

impl Member {
    /// Switches the host. Files that turn out to be damaged there are sent again, once.
    async fn switch_or_mend(&mut self, rollout: Rollout<'_>) -> Result<Switched, RemoteError> {
        match self.switch(rollout).await {
            Err(RemoteError::Agent(damaged)) if damaged.kind == ErrorKind::Damaged => {
                let release = rollout.order.hosts.get(&self.route.host).ok_or(RemoteError::Protocol)?;
                // If the controller does not have the files either, they cannot be sent again, and the damage
                // is the error to report.
                let mended = match self.mend(release.manifest(), rollout.store).await {
                    Err(RemoteError::Store(_)) if (rollout.remake)(&release.manifest().artifacts()) => {
                        self.mend(release.manifest(), rollout.store).await
                    }
                    mended => mended,
                };
                mended.map_err(|_| RemoteError::Agent(damaged))?;
                self.switch(rollout).await
            }
            answer => answer,
        }
    }

    async fn switch(&mut self, rollout: Rollout<'_>) -> Result<Switched, RemoteError> {
        let Rollout { order, states, .. } = rollout;
        let release = order.hosts.get(&self.route.host).ok_or(RemoteError::Protocol)?;
        let state = states.get(&self.route.host).ok_or(RemoteError::Protocol)?;
        let switch = Switch {
            record: order.record.clone(),
            expected: state.current.as_ref().map(|current| current.manifest),
            manifest: release.digest(),
            manifest_size: u32::try_from(release.bytes().len()).map_err(|_| RemoteError::Protocol)?,
            recheck: order.recheck,
        };
        let raw = [release.bytes(), &release.encode_causes()].concat();
        // The output of a rollback's reverts is not shown.
        let switched = self.ask(&question::switch(switch, raw)).await?;
        let is_known = |name: &Name| release.manifest().component(name.as_str()).is_some();
        if switched.pending.iter().all(is_known) { Ok(switched) } else { Err(RemoteError::Protocol) }
    }

    async fn activate(
        &mut self,
        instance: &Instance,
        rollout: Rollout<'_>,
    ) -> Result<Vec<UnitDecision>, RemoteError> {
        let question = question::activate(instance.component.clone(), rollout.order.recheck);
        let decided = self.listen(&question, |_, bytes| rollout.tell(Event::Output(instance, bytes))).await?;
        let release = rollout.order.hosts.get(&self.route.host).ok_or(RemoteError::Protocol)?;
        let component = release.manifest().component(instance.component.as_str());
        let is_known = |one: &UnitDecision| {
            let has = |component: &Component| {
                component.units.iter().any(|unit| component.unit_id(unit) == one.unit)
            };
            component.is_some_and(has)
        };
        if decided.iter().all(is_known) { Ok(decided) } else { Err(RemoteError::Protocol) }
    }
}
