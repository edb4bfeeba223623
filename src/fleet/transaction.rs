//! A release over the fleet: everything is staged everywhere before the first host is switched, every host is switched
//! before the first component is activated, and if anything fails every switched host goes back.
//!
//! The agents' side of the bargain: one that loses its controller before the commit goes back by itself. So after a lost
//! connection the host is asked again, over a new one, until it has.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use batou_store::{Name, Store};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::activation::Schedule;
use super::order::{Ending, Event, Failed, Order, Phase, Subject, Watcher, Why, of_hosts};
use super::{Failures, Fleet, Member, sort};
use crate::interrupt::Interrupts;
use crate::remote::RemoteError;
use batou_agent::protocol::{ErrorKind, Reply, Request, State, Switch};
use batou_release::{HostName, Instance, UnitId};

impl Fleet {
    /// Switches, activates and commits what has been staged from `store`, on locked hosts with these states. An interrupt
    /// before the commit takes the release back; one after it has to be repeated to end batou before all have answered.
    pub async fn release(
        &mut self,
        order: &Order,
        (states, store): (&BTreeMap<HostName, State>, &Store),
        watcher: &Watcher<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<BTreeMap<HostName, Ending>, Failed> {
        let phase = Cell::new(Phase::Switch);
        let put_in_force = self.put_in_force(order, (states, store), watcher, &phase);
        let switches = match interrupts.unless(put_in_force).await {
            Some(Ok(switches)) => switches,
            Some(Err(failures)) => {
                return Err(self.back(order, phase.get(), failures, (watcher, interrupts)).await);
            }
            None => return Err(self.interrupted(order, phase.get(), (watcher, interrupts)).await),
        };
        self.commit(order, &switches, (watcher, interrupts)).await
    }

    /// Switches and activates.
    async fn put_in_force(
        &mut self,
        order: &Order,
        (states, store): (&BTreeMap<HostName, State>, &Store),
        watcher: &Watcher<'_>,
        phase: &Cell<Phase>,
    ) -> Result<BTreeMap<HostName, Switched>, Failures<Subject>> {
        let settled = |host: &HostName| !order.recheck && states.get(host).is_some_and(|state| state.settled);
        let changing: BTreeSet<_> = order.hosts.keys().filter(|host| !settled(host)).collect();
        watcher(Event::Begins(Phase::Switch, changing.len()));
        let switching = self.some(
            |host| changing.contains(host),
            async |member: &mut Member| member.switch_or_mend(order, states, store).await,
        );
        let (switches, failures) = sort(switching.await);
        if !failures.is_empty() {
            return Err(of_hosts(failures));
        }
        phase.set(Phase::Activate);
        let failures = self.activate(order, &switches, watcher).await;
        if failures.is_empty() { Ok(switches) } else { Err(failures) }
    }

    /// Runs what is pending along the dependencies. After a failure what runs may end; nothing new is begun.
    async fn activate(
        &mut self,
        order: &Order,
        switches: &BTreeMap<HostName, Switched>,
        watcher: &Watcher<'_>,
    ) -> Failures<Subject> {
        let pending = pending(switches);
        watcher(Event::Begins(Phase::Activate, pending.len()));
        let mut schedule = Schedule::new(order.hosts.values().map(|host| &host.manifest), &pending);
        let jobs = self.jobs.available_permits();
        let members = self.members.iter_mut().map(|(participant, member)| (&participant.host, member));
        let mut idle: BTreeMap<&HostName, &mut Member> = members.collect();
        let (mut busy, mut failures, mut running) =
            (BTreeSet::new(), Failures::new(), FuturesUnordered::new());
        loop {
            if failures.is_empty() {
                let free = jobs.saturating_sub(running.len());
                for (host, instance) in schedule.ready(&busy).into_iter().take(free) {
                    let Some((name, member)) = idle.remove_entry(&host) else { continue };
                    busy.insert(host);
                    running.push(async move {
                        let answer = member.activate(&instance, order.recheck, watcher).await;
                        (name, member, instance, answer)
                    });
                }
            }
            let Some((name, member, instance, answer)) = running.next().await else { break };
            idle.insert(name, member);
            busy.remove(name);
            match answer {
                Ok(changed) => watcher(Event::Activated(&instance, &changed)),
                Err(error) => drop(failures.insert(Subject::Component(instance.clone()), error)),
            }
            schedule.finish(&instance);
        }
        failures
    }

    async fn commit(
        &mut self,
        order: &Order,
        switches: &BTreeMap<HostName, Switched>,
        (watcher, interrupts): (&Watcher<'_>, &mut Interrupts),
    ) -> Result<BTreeMap<HostName, Ending>, Failed> {
        watcher(Event::Begins(Phase::Commit, order.hosts.len()));
        let keep = order.keep;
        let commit = async |member: &mut Member| {
            let record = order.record.clone();
            if switches.contains_key(&member.route.host) {
                return member.tell(&Request::Commit { keep }).await;
            }
            member.tell(&Request::Confirm { record, keep }).await
        };
        let warn = || watcher(Event::Interrupted(Phase::Commit));
        let Some(answers) = interrupts.insistent(self.each(commit), warn).await else {
            return Err(self.leave(order, Phase::Commit, Failures::new()));
        };
        let (committed, failures) = sort(answers);
        let released = |host: &HostName| {
            let generation = switches.get(host).map(|switched| switched.generation);
            (host.clone(), Ending::Released { generation })
        };
        let mut endings: BTreeMap<HostName, Ending> = committed.keys().map(released).collect();
        if failures.is_empty() {
            return Ok(endings);
        }
        if committed.is_empty() {
            // A host may have committed, and its answer have been lost.
            let failed = self.back(order, Phase::Commit, of_hosts(failures), (watcher, interrupts)).await;
            return if all_released(&failed.endings) { Ok(failed.endings) } else { Err(failed) };
        }
        // Some hosts have it for good: what matters is what the others say now.
        let lost = failures.keys().cloned().collect();
        let Some(asked) = interrupts.insistent(self.ask_again(&lost, order), warn).await else {
            let left = self.leave(order, Phase::Commit, of_hosts(failures));
            let endings = left.endings.into_iter().chain(endings).collect();
            return Err(Failed { endings, ..left });
        };
        endings.extend(asked);
        if all_released(&endings) {
            return Ok(endings);
        }
        Err(Failed { phase: Phase::Commit, failures: of_hosts(failures), endings })
    }

    /// Takes the release back on every host that may have been switched.
    async fn back(
        &mut self,
        order: &Order,
        phase: Phase,
        failures: Failures<Subject>,
        (watcher, interrupts): (&Watcher<'_>, &mut Interrupts),
    ) -> Failed {
        watcher(Event::GoingBack(Why::Failure));
        let reason: Vec<_> = failures.iter().map(|(subject, error)| format!("{subject}: {error}")).collect();
        let back = self.take_back(order, reason.join("; "));
        match interrupts.insistent(back, || watcher(Event::Interrupted(phase))).await {
            Some(endings) => Failed { phase, failures, endings },
            None => self.leave(order, phase, failures),
        }
    }

    /// Takes back what was interrupted: agents that lose their controller end what they run, and go back.
    async fn interrupted(
        &mut self,
        order: &Order,
        phase: Phase,
        (watcher, interrupts): (&Watcher<'_>, &mut Interrupts),
    ) -> Failed {
        watcher(Event::GoingBack(Why::Interrupt));
        let hosts = order.hosts.keys().cloned().collect();
        let failures = Failures::new();
        match interrupts.unless(self.ask_again(&hosts, order)).await {
            Some(endings) => Failed { phase, failures, endings },
            None => self.leave(order, phase, failures),
        }
    }

    /// Waits for nobody any more.
    fn leave(&mut self, order: &Order, phase: Phase, failures: Failures<Subject>) -> Failed {
        self.cut_off();
        let why = "batou was interrupted before it could ask".to_owned();
        let unknown = |host: &HostName| (host.clone(), Ending::Unknown { why: why.clone() });
        Failed { phase, failures, endings: order.hosts.keys().map(unknown).collect() }
    }

    async fn take_back(&mut self, order: &Order, reason: String) -> BTreeMap<HostName, Ending> {
        let request = Request::GoBack { reason };
        let answers = self.each(async |member: &mut Member| {
            if !member.is_connected() {
                return Ok(None);
            }
            match member.ask(&request, &[]).await?.0 {
                Reply::WentBack { problems, .. } => Ok(Some(Ending::WentBack { problems })),
                _ => Err(RemoteError::Protocol),
            }
        });
        let (mut endings, mut lost) = (BTreeMap::new(), BTreeSet::new());
        for (host, answer) in answers.await {
            match answer {
                Ok(Some(ending)) => drop(endings.insert(host, ending)),
                _ => drop(lost.insert(host)),
            }
        }
        endings.extend(self.ask_again(&lost, order).await);
        endings
    }
}

fn all_released(endings: &BTreeMap<HostName, Ending>) -> bool {
    endings.values().all(|ending| matches!(ending, Ending::Released { .. }))
}

/// A host's answer to the order to switch.
#[derive(Clone, Debug)]
struct Switched {
    generation: u64,
    pending: Vec<Name>,
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
    /// Switches the host. Files that turn out to be damaged there are sent anew, once.
    async fn switch_or_mend(
        &mut self,
        order: &Order,
        states: &BTreeMap<HostName, State>,
        store: &Store,
    ) -> Result<Switched, RemoteError> {
        match self.switch(order, states).await {
            Err(RemoteError::Agent(damaged)) if damaged.kind == ErrorKind::Damaged => {
                let manifest = order.hosts.get(&self.route.host).map(|wanted| &wanted.manifest);
                let mended = manifest.map(|manifest| self.mend(manifest, store));
                // Where it cannot be mended, because the controller has not got it either, the damage is what counts.
                mended.and_then(Result::ok).ok_or(RemoteError::Agent(damaged))?;
                self.switch(order, states).await
            }
            answer => answer,
        }
    }

    async fn switch(
        &mut self,
        order: &Order,
        states: &BTreeMap<HostName, State>,
    ) -> Result<Switched, RemoteError> {
        let wanted = order.hosts.get(&self.route.host).ok_or(RemoteError::Protocol)?;
        let state = states.get(&self.route.host).ok_or(RemoteError::Protocol)?;
        let switch = Switch {
            record: order.record.clone(),
            expected: state.current.as_ref().map(|current| current.manifest),
            manifest: wanted.digest,
            manifest_size: u32::try_from(wanted.bytes.len()).map_err(|_| RemoteError::Protocol)?,
            recheck: order.recheck,
        };
        let raw = [wanted.bytes.as_slice(), wanted.causes.as_slice()].concat();
        let mut answer = self.ask(&Request::Switch(switch), &raw).await?.0;
        loop {
            match answer {
                // What the reverts of a rollback print.
                Reply::Output { .. } => {}
                Reply::Switched { generation, pending } => return Ok(Switched { generation, pending }),
                _ => return Err(RemoteError::Protocol),
            }
            answer = self.receive().await?.0;
        }
    }

    async fn activate(
        &mut self,
        instance: &Instance,
        recheck: bool,
        watcher: &Watcher<'_>,
    ) -> Result<Vec<UnitId>, RemoteError> {
        let request = Request::Activate { component: instance.component.clone(), recheck };
        let mut answer = self.ask(&request, &[]).await?;
        loop {
            match answer {
                (Reply::Output { .. }, bytes) => watcher(Event::Output(instance, &bytes)),
                (Reply::Activated { changed }, _) => return Ok(changed),
                _ => return Err(RemoteError::Protocol),
            }
            answer = self.receive().await?;
        }
    }
}
