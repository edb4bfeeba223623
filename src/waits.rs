//! Whom a command waits for, and since when: a host that lives and does not answer is to be named before it is given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batou_release::HostName;

/// All that is waited for now. Shared by all that ask hosts.
#[derive(Debug, Default)]
pub struct Waits(Mutex<BegunWaits>);

#[derive(Debug, Default)]
struct BegunWaits {
    next: u64,
    begun: BTreeMap<u64, Wait>,
}

/// A host that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which.
    pub host: HostName,
    /// What it was asked, for people.
    pub verb: &'static str,
    /// Whether its answer is overdue when it takes longer than other things do: no unit is run for it, and no person waits
    /// for what it prints.
    pub is_short: bool,
    since: Instant,
}

impl Wait {
    /// For how long.
    pub fn lasts(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Ends what is waited for when it is dropped.
#[derive(Debug)]
pub struct WaitGuard {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    /// A host is asked something from now on.
    pub fn begin(self: &Arc<Self>, host: &HostName, verb: &'static str, is_short: bool) -> WaitGuard {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.begun.insert(number, Wait { host: host.clone(), verb, is_short, since: Instant::now() });
        drop(waiting);
        WaitGuard { waits: Arc::clone(self), number }
    }

    /// Whoever has been waited for at least so long, the longest first.
    pub fn longer_than(&self, time: Duration) -> Vec<Wait> {
        let mut long: Vec<_> =
            self.waiting().begun.values().filter(|wait| wait.lasts() >= time).cloned().collect();
        long.sort_by_key(|wait| wait.since);
        long
    }

    fn waiting(&self) -> MutexGuard<'_, BegunWaits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.waits.waiting().begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_is_waited_for_is_known_until_he_answers() {
        let waits = Arc::new(Waits::default());
        let names = |time| waits.longer_than(time).into_iter().map(|wait| wait.verb).collect::<Vec<_>>();
        let first = waits.begin(&"hb".parse().unwrap(), "hello", true);
        let second = waits.begin(&"ha".parse().unwrap(), "lock", true);
        assert_eq!(names(Duration::ZERO), ["hello", "lock"]);
        assert_eq!(names(Duration::from_hours(1)), [""; 0]);
        drop(first);
        assert_eq!(names(Duration::ZERO), ["lock"]);
        drop(second);
        assert_eq!(names(Duration::ZERO), [""; 0]);
    }
}
