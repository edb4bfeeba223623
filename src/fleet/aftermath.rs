//! What has become of hosts whose connections were lost: asked over new ones, all at once.
//!
//! An agent that loses its controller goes back by itself, and nobody takes back what a killed agent left but the next
//! one that has the lock. So whoever has the lock, or finds that somebody else took it since, knows that it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::order::{Ending, Order};
use super::{Fleet, Member};
use crate::protocol::{Holder, Reply, Request, SILENCE, State};
use crate::remote::RemoteError;

/// How long a host is asked for: longer than its agent waits for a controller that fell silent.
const PATIENCE: Duration = Duration::from_secs(SILENCE + 15);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

impl Fleet {
    /// What has become of these hosts. `jobs` of them are called at a time, and all are waited for together.
    pub(super) async fn ask_again(
        &mut self,
        hosts: &BTreeSet<String>,
        order: &Order,
    ) -> BTreeMap<String, Ending> {
        let jobs = &self.jobs;
        let lost = self.members.iter_mut().filter(|(host, _)| hosts.contains(*host));
        let asked = lost.map(|(host, member)| async { (host.clone(), member.ask_again(order, jobs).await) });
        join_all(asked).await.into_iter().collect()
    }
}

impl Member {
    /// What has become of the host, once its agent has ended what it was at.
    async fn ask_again(&mut self, order: &Order, jobs: &Semaphore) -> Ending {
        let mut deadline = None;
        loop {
            let asked = {
                let _permit = jobs.acquire().await;
                self.hang_up();
                self.settled(&order.holder).await
            };
            let why = match asked {
                Ok(Some(state)) => return ending(&state, order),
                Ok(None) => "it has not gone back yet".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + PATIENCE) {
                return Ending::Unknown { why };
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The host's state, once no release of ours is under way there; `None` while our agent still works at one.
    async fn settled(&mut self, ours: &Holder) -> Result<Option<State>, RemoteError> {
        let state = self.state().await?;
        match self.ask(&Request::Lock { holder: ours.clone() }, &[]).await {
            Ok((Reply::Locked(state), _)) => self.tell(&Request::Unlock).await.map(|()| Some(*state)),
            Ok((Reply::Held { holder: Some(holder) }, _)) if holder != *ours => self.state().await.map(Some),
            Ok((Reply::Held { .. }, _)) => Ok(None),
            Ok(_) => Err(RemoteError::Protocol),
            // Where nothing can be locked any more, as on a disk that has become read-only, nothing is under way.
            Err(RemoteError::Agent(_)) if !state.unfinished => Ok(Some(state)),
            Err(error) => Err(error),
        }
    }
}

/// What a state that is asked for after the fact says of a release.
fn ending(state: &State, order: &Order) -> Ending {
    let confirmed = state.confirmed.as_ref();
    if confirmed == Some(&order.record) {
        return Ending::Released { generation: state.current.as_ref().map(|current| current.generation) };
    }
    Ending::WentBack { problems: Vec::new() }
}
