//! What has become of hosts whose connections were lost: asked over new ones, all at once.
//!
//! An agent that loses its controller goes back by itself. After a killed agent, the host goes back only with the next
//! agent that gets the lock. So the release is over once we hold the lock, or somebody else has taken it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use batou_system::clock;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::order::{HostEnding, ReleaseOrder, ReleasePhase};
use super::{Fleet, Member};
use crate::remote::RemoteError;
use batou_agent::protocol::question::{self, LockAnswer};
use batou_agent::protocol::{Holder, JournalEntry, JournaledRelease, Outcome, SILENCE};
use batou_release::HostName;

/// How long we keep asking a host: longer than its agent waits for a silent controller.
const PATIENCE: Duration = Duration::from_secs(SILENCE + 15);
/// How long a host has for an answer if somebody who has pressed Ctrl-C waits for it.
const PROMPTLY: Duration = Duration::from_secs(5);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// For whom the hosts are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedFor {
    /// Whoever wants to know what has become of each host.
    Certainty,
    /// Somebody who has interrupted the release: a host that does not answer is not asked again.
    Interruption,
}

/// Who has a host's lock.
enum LockState {
    /// Nobody: no release is under way.
    Free,
    /// An agent of ours, which is still at work.
    Ours,
    /// Somebody else; whether a release is under way, which may still be ours.
    Others(Option<Holder>, bool),
    /// There is none: the target directory is gone, with all releases that were there.
    Gone,
}

impl Fleet {
    /// Finds out what has become of these hosts after a failure in this phase. At most `jobs` of them are
    /// called at a time, and all are waited for together.
    pub(super) async fn ask_again(
        &mut self,
        hosts: &BTreeSet<HostName>,
        order: &ReleaseOrder,
        phase: ReleasePhase,
        asked_for: AskedFor,
    ) -> BTreeMap<HostName, HostEnding> {
        let jobs = &self.jobs;
        let lost = self.members.iter_mut().filter(|(participant, _)| hosts.contains(&participant.host));
        let asked = lost.map(|(participant, member)| async {
            let answer = member.ask_again(order, jobs, asked_for).await;
            (participant.host.clone(), answer.unwrap_or_else(|why| HostEnding::without_word(phase, why)))
        });
        join_all(asked).await.into_iter().collect()
    }
}

impl Member {
    /// What has become of the host, once its agent has finished what it was doing, or why that cannot be found
    /// out.
    async fn ask_again(
        &mut self,
        order: &ReleaseOrder,
        jobs: &Semaphore,
        asked_for: AskedFor,
    ) -> Result<HostEnding, String> {
        let mut first = None;
        loop {
            let asked = {
                let _permit = jobs.acquire().await;
                if asked_for == AskedFor::Interruption {
                    first.get_or_insert_with(clock::now);
                }
                self.hang_up();
                self.answer_in_time(order, asked_for).await
            };
            let (why, patience) = match asked {
                Ok(Some(ending)) => return Ok(ending),
                Ok(None) => ("it has not gone back yet".to_owned(), PATIENCE),
                Err(why) if asked_for == AskedFor::Interruption => (why, PROMPTLY),
                Err(why) => (why, PATIENCE),
            };
            if clock::now().duration_since(*first.get_or_insert_with(clock::now)) >= patience {
                self.hang_up();
                return Err(why);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// [`Self::ending`], within the time that there is for it.
    async fn answer_in_time(
        &mut self,
        order: &ReleaseOrder,
        asked_for: AskedFor,
    ) -> Result<Option<HostEnding>, String> {
        let answer = match asked_for {
            AskedFor::Certainty => self.ending(order).await,
            AskedFor::Interruption => timeout(PROMPTLY, self.ending(order))
                .await
                .map_err(|_| format!("it did not answer within {} s", PROMPTLY.as_secs()))?,
        };
        answer.map_err(|error| error.to_string())
    }

    /// What the host's journal says of the release; `None` while our agent still works on it.
    async fn ending(&mut self, order: &ReleaseOrder) -> Result<Option<HostEnding>, RemoteError> {
        let lock = self.lock_state(&order.holder).await?;
        match lock {
            LockState::Ours => return Ok(None),
            LockState::Gone => {
                let why =
                    "its target directory was moved away or removed, so it does once that is back".to_owned();
                return Ok(Some(HostEnding::GoesBack { why }));
            }
            LockState::Free | LockState::Others(..) => {}
        }
        let entries = self.ask(&question::journal(false)).await?;
        let before = order.before.get(&self.route.host).and_then(Option::as_ref);
        let ending = ending(&entries, before, &order.record);
        let is_journaled = entries.iter().any(|entry| entry.record == order.record);
        Ok(Some(match (lock, ending) {
            // Whoever has taken the lock, because its file was removed, may still wait for our agent to end.
            (LockState::Others(_, true), HostEnding::WentBack { .. }) if !is_journaled => return Ok(None),
            (LockState::Others(holder, _), HostEnding::WentBack { .. }) => {
                let who = holder.map_or("somebody".to_owned(), |it| format!("{}@{}", it.user, it.machine));
                HostEnding::Overtaken { by: format!("{who} holds the lock there") }
            }
            (_, ending) => ending,
        }))
    }

    /// Whether a release is under way on the host, and whose.
    async fn lock_state(&mut self, ours: &Holder) -> Result<LockState, RemoteError> {
        let had_releases = self.newest_sequence > 0;
        let state = self.state().await?;
        if had_releases && state.newest_sequence == 0 && !state.unfinished {
            // Taking the lock would make the directory anew.
            return Ok(LockState::Gone);
        }
        match self.lock(ours).await {
            Ok(LockAnswer::Locked(_)) => self.ask(&question::unlock()).await.map(|()| LockState::Free),
            Ok(LockAnswer::Held(Some(holder))) if holder != *ours => {
                Ok(LockState::Others(Some(holder), state.unfinished))
            }
            Ok(LockAnswer::Held(_)) => Ok(LockState::Ours),
            // If the host cannot lock any more, for example because its disk has become read-only, nothing is
            // under way, unless our agent has begun since the host was first asked.
            Err(error @ RemoteError::Agent(_)) => {
                if self.state().await?.unfinished {
                    Err(error)
                } else {
                    Ok(LockState::Free)
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// What a journal says of a release afterwards, on a host that had committed the one `before` when it was locked. Another release
/// may have followed, so the newest line is not enough.
fn ending(
    entries: &[JournalEntry],
    before: Option<&JournaledRelease>,
    record: &JournaledRelease,
) -> HostEnding {
    let committed = |entry: &&JournalEntry| entry.result == Outcome::Committed;
    let of = |record: &JournaledRelease| entries.iter().rposition(|entry| entry.record == *record);
    let of_ours = of(record);
    let ours = of_ours.and_then(|at| entries.get(at));
    if let Some(ours) = ours.filter(committed) {
        return HostEnding::Released { generation: ours.to };
    }
    // Without a line of its own, what came later is what follows the release of before. Numbers tell only where somebody has
    // shortened the journal: this release may have been given one below a number that is not believed.
    let last = of_ours.or_else(|| before.and_then(of));
    let is_cut = last.is_none() && before.is_some();
    let is_later = |entry: &&JournalEntry| {
        !is_cut || entry.record.sequence >= record.sequence && !record.makes_void(&entry.record)
    };
    let later = entries.get(last.map_or(0, |at| at + 1)..).unwrap_or_default();
    if let Some(later) = later.iter().filter(is_later).rfind(committed) {
        let JournaledRelease { sequence, who, .. } = &later.record;
        return HostEnding::Overtaken {
            by: format!("release {sequence} by {who} has been made there since"),
        };
    }
    if let Some(JournalEntry { problems, unreverted, from, .. }) = ours.cloned() {
        return HostEnding::WentBack { problems, unreverted, had_release: from.is_some() };
    }
    // The journal has no line about it, so the host was never switched.
    HostEnding::WentBack { problems: Vec::new(), unreverted: Vec::new(), had_release: before.is_some() }
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
        let before = Some(&first.record);
        let told = JournalEntry { problems: vec!["update failed".into()], ..failed.clone() };
        let HostEnding::WentBack { problems, .. } = ending(&[first.clone(), told], before, &ours.record)
        else {
            panic!("it went back")
        };
        assert_eq!(problems, ["update failed"], "the host told nobody else of it");
        assert_eq!(ending(&[first.clone(), ours.clone()], before, &ours.record), released);
        assert_eq!(ending(&[first.clone(), ours.clone(), next.clone()], before, &ours.record), released);
        let overtaken = |number: u64| HostEnding::Overtaken {
            by: format!("release {number} by a@b has been made there since"),
        };
        assert_eq!(ending(&[first.clone(), another.clone()], before, &ours.record), overtaken(2));
        assert_eq!(ending(std::slice::from_ref(&another), None, &ours.record), overtaken(2));
        assert_eq!(ending(&[another], before, &ours.record), overtaken(2), "what was before was cut off");
        assert_eq!(ending(&[first.clone(), failed.clone()], before, &ours.record), went_back);
        assert_eq!(ending(&[first.clone(), failed, next], before, &ours.record), overtaken(3));
        assert_eq!(ending(std::slice::from_ref(&first), before, &ours.record), went_back);
        assert_eq!(
            ending(&[], before, &ours.record),
            went_back,
            "of a journal that was emptied nothing is known"
        );
        assert_eq!(ending(&[], None, &ours.record), back(false));
        let of_first = entry(1, "ours", None, Outcome::WentBack);
        assert_eq!(ending(std::slice::from_ref(&of_first), None, &of_first.record), back(false));
    }

    #[test]
    fn what_a_host_had_before_did_not_come_later_whatever_its_number() {
        let (near, far) =
            (entry(5, "near", None, Outcome::Committed), entry(27, "far", None, Outcome::Committed));
        let ours = entry(6, "ours", None, Outcome::Committed);
        let back = HostEnding::WentBack { problems: Vec::new(), unreverted: Vec::new(), had_release: true };
        assert_eq!(ending(&[near, far.clone()], Some(&far.record), &ours.record), back);
    }

    #[test]
    fn two_attempts_of_one_person_in_one_second_are_two() {
        let first = entry(1, "first", None, Outcome::Committed);
        let theirs = entry(2, "the same", None, Outcome::Committed);
        let ours = JournaledRelease { attempt: theirs.record.attempt + 1, ..theirs.record.clone() };
        let by = "release 2 by a@b has been made there since".to_owned();
        let ending = ending(&[first.clone(), theirs], Some(&first.record), &ours);
        assert_eq!(ending, HostEnding::Overtaken { by });
    }
}
