//! All hosts or none.
//!
//! The first host by name is locked before the others. Two deployers that want the same hosts meet there, and
//! the one that has to wait holds no lock meanwhile. A deployer that is refused on any host releases all its
//! locks and tries again after a random pause, so that two deployers that share only some hosts do not keep
//! each other out.

use std::collections::BTreeMap;
use std::time::Duration;

use batou_system::{clock, random};

use super::{Failures, Fleet, Member, sort};
use crate::remote::RemoteError;
use batou_agent::protocol::question::{self, LockAnswer};
use batou_agent::protocol::{Holder, State};
use batou_release::HostName;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why the locks could not be had.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else holds one.
    Held {
        /// On which host.
        host: HostName,
        /// Who.
        holder: Option<Holder>,
    },
    /// Hosts failed.
    Failed(Failures),
}

impl Fleet {
    /// Locks every host, or none. Waits at most `patience` for other deployers; `told` is called once for each
    /// of them.
    pub async fn lock(
        &mut self,
        holder: &Holder,
        patience: Duration,
        told: &dyn Fn(&str, Option<&Holder>),
    ) -> Result<BTreeMap<HostName, State>, LockError> {
        let started = clock::now();
        let mut pause = Duration::from_millis(50);
        let mut last = None;
        loop {
            let (host, found) = match self.try_lock(holder).await? {
                Ok(states) => return Ok(states),
                Err(held) => held,
            };
            // Nothing may stay locked during the pause, or two deployers could wait for each other.
            self.unlock().await;
            if clock::now().duration_since(started) >= patience {
                return Err(LockError::Held { host, holder: found });
            }
            if last.as_ref() != Some(&(host.clone(), found.clone())) {
                told(&host, found.as_ref());
                last = Some((host, found));
            }
            tokio::time::sleep(jitter(pause).min(patience)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Releases all locks. Hosts that cannot be told notice when the connection ends.
    pub async fn unlock(&mut self) {
        let told =
            self.some_connected(async |member: &mut Member| member.ask(&question::unlock()).await).await;
        for host in sort(told).1.into_keys() {
            if let Some(member) = self.member(&host) {
                member.hang_up();
            }
        }
    }

    async fn try_lock(
        &mut self,
        holder: &Holder,
    ) -> Result<Result<BTreeMap<HostName, State>, (HostName, Option<Holder>)>, LockError> {
        let first = self.members.keys().next().map(|participant| participant.host.clone());
        let ask = async |member: &mut Member| member.lock(holder).await;
        let mut states = BTreeMap::new();
        // The first host comes alone: it decides which of several deployers goes on to the others.
        for others in [false, true] {
            let answers = self.some(|host| (Some(host) == first.as_ref()) != others, ask).await;
            let (answers, failures) = sort(answers);
            if !failures.is_empty() {
                self.unlock().await;
                return Err(LockError::Failed(failures));
            }
            for (host, answer) in answers {
                match answer {
                    LockAnswer::Locked(state) => drop(states.insert(host, *state)),
                    LockAnswer::Held(holder) => return Ok(Err((host, holder))),
                }
            }
        }
        Ok(Ok(states))
    }

    async fn some_connected(
        &mut self,
        work: impl AsyncFn(&mut Member) -> Result<(), RemoteError>,
    ) -> super::ByHost<()> {
        let connected: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_connected())
            .map(|(participant, _)| participant.host.clone())
            .collect();
        self.some(|host| connected.contains(host), work).await
    }
}

/// A random pause between half and one and a half times `pause`.
fn jitter(pause: Duration) -> Duration {
    let random = random::number() % 1000;
    pause / 2 + pause.mul_f64(f64::from(u32::try_from(random).unwrap_or(0)) / 1000.0)
}
