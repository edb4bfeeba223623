//! What has become of hosts whose connections were lost: asked over new ones, all at once.
//!
//! An agent that loses its controller goes back by itself. After a killed agent, the host goes back only with the next
//! agent that gets the lock. So the release is over once we hold the lock, or somebody else has taken it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use batou_system::clock;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::order::{HostEnding, ReleaseOrder, ReleasePhase};
use super::{Fleet, Member};
use crate::remote::RemoteError;
use batou_agent::protocol::question::{self, LockAnswer};
use batou_agent::protocol::{Holder, JournalEntry, JournaledRelease, Outcome, SILENCE};
use batou_release::HostName;

/// How long we keep asking a host: longer than its agent waits for a silent controller.
const PATIENCE: Duration = Duration::from_secs(SILENCE + 15);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);

impl Fleet {
    /// Finds out what has become of these hosts after a failure in this phase. At most `jobs` of them are
    /// called at a time, and all are waited for together.
    pub(super) async fn ask_again(
        &mut self,
        hosts: &BTreeSet<HostName>,
        order: &ReleaseOrder,
        phase: ReleasePhase,
    ) -> BTreeMap<HostName, HostEnding> {
        let jobs = &self.jobs;
        let lost = self.members.iter_mut().filter(|(participant, _)| hosts.contains(&participant.host));
        let asked = lost.map(|(participant, member)| async {
            let answer = member.ask_again(order, jobs).await;
            (participant.host.clone(), answer.unwrap_or_else(|why| HostEnding::without_word(phase, why)))
        });
        join_all(asked).await.into_iter().collect()
    }
}

impl Member {
    /// What has become of the host, once its agent has finished what it was doing, or why that cannot be found
    /// out.
    async fn ask_again(&mut self, order: &ReleaseOrder, jobs: &Semaphore) -> Result<HostEnding, String> {
        let mut deadline = None;
        loop {
            let asked = {
                let _permit = jobs.acquire().await;
                self.hang_up();
                self.ending(order).await
            };
            let why = match asked {
                Ok(Some(ending)) => return Ok(ending),
                Ok(None) => "it has not gone back yet".to_owned(),
                Err(error) => error.to_string(),
            };
            if clock::now() > *deadline.get_or_insert_with(|| clock::now() + PATIENCE) {
                return Err(why);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What the host's journal says of the release; `None` while our agent still works on it.
    async fn ending(&mut self, order: &ReleaseOrder) -> Result<Option<HostEnding>, RemoteError> {
        if !self.is_settled(&order.holder).await? {
            return Ok(None);
        }
        let entries = self.ask(&question::journal(false)).await?;
        Ok(Some(ending(&entries, &order.record)))
    }

    /// Whether no release of ours is under way on the host.
    async fn is_settled(&mut self, ours: &Holder) -> Result<bool, RemoteError> {
        let state = self.state().await?;
        match self.lock(ours).await {
            Ok(LockAnswer::Locked(_)) => self.ask(&question::unlock()).await.map(|()| true),
            Ok(LockAnswer::Held(holder)) => Ok(holder.is_some_and(|holder| holder != *ours)),
            // If the host cannot lock any more, for example because its disk has become read-only, nothing is
            // under way.
            Err(RemoteError::Agent(_)) if !state.unfinished => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// What a journal says of a release afterwards. Another release may have followed, so the newest line is not
/// enough.
fn ending(entries: &[JournalEntry], record: &JournaledRelease) -> HostEnding {
    match entries.iter().rfind(|entry| entry.record == *record) {
        Some(entry) if entry.result == Outcome::Committed => HostEnding::Released { generation: entry.to },
        Some(entry) => HostEnding::WentBack {
            problems: Vec::new(),
            unreverted: entry.unreverted.clone(),
            had_release: entry.from.is_some(),
        },
        // The journal has no line about it, so the host was never switched.
        None => {
            let had_release = entries.iter().any(|entry| entry.result == Outcome::Committed);
            HostEnding::WentBack { problems: Vec::new(), unreverted: Vec::new(), had_release }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::entry;
    use super::*;

    #[test]
    fn the_line_about_a_release_says_what_became_of_it_and_no_other_line() {
        let ours = entry(2, "ours", None, Outcome::Committed);
        let released = HostEnding::Released { generation: Some(2) };
        let back =
            |had_release| HostEnding::WentBack { problems: Vec::new(), unreverted: Vec::new(), had_release };
        let went_back = back(true);
        let first = entry(1, "first", None, Outcome::Committed);
        let another = entry(2, "another", None, Outcome::Committed);
        let next = entry(3, "next", None, Outcome::Committed);
        let failed = JournalEntry { from: Some(1), ..entry(2, "ours", None, Outcome::WentBack) };
        assert_eq!(ending(&[first.clone(), ours.clone()], &ours.record), released);
        assert_eq!(ending(&[first.clone(), ours.clone(), next], &ours.record), released);
        assert_eq!(ending(&[first.clone(), another], &ours.record), went_back);
        assert_eq!(ending(&[first.clone(), failed], &ours.record), went_back);
        assert_eq!(ending(&[first], &ours.record), went_back);
        assert_eq!(ending(&[], &ours.record), back(false));
        let of_first = entry(1, "ours", None, Outcome::WentBack);
        assert_eq!(ending(std::slice::from_ref(&of_first), &of_first.record), back(false));
    }
}
