//! A release over the fleet: everything is staged everywhere before the first host is switched, every host is switched
//! before the first component is activated, and if anything fails every switched host goes back.
//!
//! The agents' side of the bargain: one that loses its controller before the commit goes back by itself. So after a lost
//! connection the host is asked again, over a new one, until it has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use batou_store::Store;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::activation::Schedule;
use super::order::{Ending, Event, Failed, Order, Phase, Watcher};
use super::{Answers, Failures, Fleet, Member, sort};
use crate::protocol::{ErrorKind, Holder, Reply, Request, SILENCE, State, Switch};
use crate::release::Instance;
use crate::remote::RemoteError;

impl Fleet {
    /// Switches, activates and commits what has been staged from `store`, on locked hosts with these states.
    pub async fn release(
        &mut self,
        order: &Order,
        states: &BTreeMap<String, State>,
        store: &Store,
        watcher: &Watcher<'_>,
    ) -> Result<BTreeMap<String, Ending>, Failed> {
        let (unchanged, changing): (BTreeSet<_>, BTreeSet<_>) = {
            let settled =
                |host: &&String| !order.recheck && states.get(*host).is_some_and(|state| state.settled);
            order.hosts.keys().cloned().partition(|host| settled(&host))
        };
        watcher(Event::Begins(Phase::Switch, changing.len()));
        let switching = self.some(
            |host| changing.contains(host),
            async |member: &mut Member| member.switch_or_mend(order, states, store).await,
        );
        let (switches, failures) = sort(switching.await);
        if !failures.is_empty() {
            return Err(self.back(order, Phase::Switch, failures, watcher).await);
        }
        let failures = self.activate(order, &switches, watcher).await;
        if !failures.is_empty() {
            return Err(self.back(order, Phase::Activate, failures, watcher).await);
        }
        watcher(Event::Begins(Phase::Commit, order.hosts.len()));
        self.commit(order, &unchanged, &switches, watcher).await
    }

    /// Runs what is pending along the dependencies. After a failure what runs may end; nothing new is begun.
    async fn activate(
        &mut self,
        order: &Order,
        switches: &BTreeMap<String, Switched>,
        watcher: &Watcher<'_>,
    ) -> Failures {
        let pending = pending(switches);
        watcher(Event::Begins(Phase::Activate, pending.len()));
        let mut schedule = Schedule::new(order.hosts.values().map(|host| &host.manifest), &pending);
        let mut idle: BTreeMap<&String, &mut Member> = self.members.iter_mut().collect();
        let (mut busy, mut failures, mut running) =
            (BTreeSet::new(), Failures::new(), FuturesUnordered::new());
        loop {
            if failures.is_empty() {
                for (host, instance) in schedule.ready(&busy) {
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
                Ok(ran) => watcher(Event::Activated(&instance, &ran)),
                Err(error) => drop(failures.insert(instance.to_string(), error)),
            }
            schedule.finish(&instance);
        }
        failures
    }

    async fn commit(
        &mut self,
        order: &Order,
        unchanged: &BTreeSet<String>,
        switches: &BTreeMap<String, Switched>,
        watcher: &Watcher<'_>,
    ) -> Result<BTreeMap<String, Ending>, Failed> {
        let keep = order.keep;
        let answers: Answers<()> = self
            .each(async |member: &mut Member| {
                let record = order.record.clone();
                if unchanged.contains(&member.route.host) {
                    return member.tell(&Request::Confirm { record, keep }).await;
                }
                member.tell(&Request::Commit { keep }).await
            })
            .await;
        let (committed, failures) = sort(answers);
        let released = |host: &String| {
            let generation = switches.get(host).map(|switched| switched.generation);
            (host.clone(), Ending::Released { generation })
        };
        let mut endings: BTreeMap<String, Ending> = committed.keys().map(released).collect();
        if failures.is_empty() {
            return Ok(endings);
        }
        if committed.is_empty() {
            // A host may have committed, and its answer have been lost.
            let failed = self.back(order, Phase::Commit, failures, watcher).await;
            return if all_released(&failed.endings) { Ok(failed.endings) } else { Err(failed) };
        }
        // Some hosts have it for good: what matters is what the others say now.
        for host in failures.keys() {
            let ending = self.ask_again(host, order).await;
            endings.insert(host.clone(), ending);
        }
        if all_released(&endings) {
            return Ok(endings);
        }
        Err(Failed { phase: Phase::Commit, failures: failures.into_iter().collect(), endings })
    }

    /// Takes the release back on every host that may have been switched.
    async fn back(
        &mut self,
        order: &Order,
        phase: Phase,
        failures: Failures,
        watcher: &Watcher<'_>,
    ) -> Failed {
        let reason =
            failures.iter().map(|(subject, error)| format!("{subject}: {error}")).collect::<Vec<_>>();
        let reason = reason.join("; ");
        watcher(Event::GoingBack);
        let request = Request::GoBack { reason };
        let answers = self.each(async |member: &mut Member| {
            if !member.is_connected() {
                return Ok(None);
            }
            match member.ask(&request, &[]).await?.0 {
                Reply::WentBack { problems, .. } => Ok(Some(Ending::WentBack { problems })),
                Reply::Done => Ok(Some(Ending::Untouched)),
                _ => Err(RemoteError::Protocol),
            }
        });
        let mut endings = BTreeMap::new();
        for (host, answer) in answers.await {
            let ending = match answer {
                Ok(Some(ending)) => ending,
                _ => self.ask_again(&host, order).await,
            };
            endings.insert(host, ending);
        }
        Failed { phase, failures: failures.into_iter().collect(), endings }
    }

    /// What has become of a host whose connection was lost: asked over a new one, until its agent has gone back.
    async fn ask_again(&mut self, host: &str, order: &Order) -> Ending {
        let deadline = Instant::now() + Duration::from_secs(SILENCE + 15);
        let Some(member) = self.member(host) else {
            return Ending::Unknown { why: "it takes no part".into() };
        };
        loop {
            member.hang_up();
            let why = match member.settled(&order.holder).await {
                Ok(Some(state)) => return ending(&state, order),
                Ok(None) => "it has not gone back yet".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Ending::Unknown { why };
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn all_released(endings: &BTreeMap<String, Ending>) -> bool {
    endings.values().all(|ending| matches!(ending, Ending::Released { .. }))
}

/// A host's answer to the order to switch.
#[derive(Clone, Debug)]
struct Switched {
    generation: u64,
    pending: Vec<String>,
}

fn pending(switches: &BTreeMap<String, Switched>) -> BTreeSet<Instance> {
    let of_host = |(host, switched): (&String, &Switched)| {
        let host = host.clone();
        let instance =
            move |component: &String| Instance { host: host.clone(), component: component.clone() };
        switched.pending.iter().map(instance).collect::<Vec<_>>()
    };
    switches.iter().flat_map(of_host).collect()
}

/// What a state that is asked for after the fact says of a release.
fn ending(state: &State, order: &Order) -> Ending {
    let confirmed = state.confirmed.as_ref();
    if confirmed.is_some_and(|record| record.sequence == order.record.sequence) {
        return Ending::Released { generation: state.current.as_ref().map(|current| current.generation) };
    }
    Ending::WentBack { problems: Vec::new() }
}

impl Member {
    /// Switches the host. Files that turn out to be damaged there are sent anew, once.
    async fn switch_or_mend(
        &mut self,
        order: &Order,
        states: &BTreeMap<String, State>,
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
        states: &BTreeMap<String, State>,
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

    /// The host's state, once no release is under way there; `None` while an agent still works at one. Nobody takes
    /// back what a killed agent left: the next one to have the lock does, so that is taken for a moment.
    async fn settled(&mut self, holder: &Holder) -> Result<Option<State>, RemoteError> {
        let state = self.state().await?;
        if !state.unfinished {
            return Ok(Some(state));
        }
        match self.ask(&Request::Lock { holder: holder.clone() }, &[]).await?.0 {
            Reply::Locked(state) => self.tell(&Request::Unlock).await.map(|()| Some(*state)),
            Reply::Held { .. } => Ok(None),
            _ => Err(RemoteError::Protocol),
        }
    }

    async fn activate(
        &mut self,
        instance: &Instance,
        recheck: bool,
        watcher: &Watcher<'_>,
    ) -> Result<Vec<String>, RemoteError> {
        let request = Request::Activate { component: instance.component.clone(), recheck };
        let mut answer = self.ask(&request, &[]).await?;
        loop {
            match answer {
                (Reply::Output { .. }, bytes) => watcher(Event::Output(instance, &bytes)),
                (Reply::Activated { ran }, _) => return Ok(ran),
                _ => return Err(RemoteError::Protocol),
            }
            answer = self.receive().await?;
        }
    }
}
