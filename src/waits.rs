//! The hosts that a command waits for, and since when: a host that is alive but does not answer is named before
//! it is given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batou_release::HostName;
use batou_system::clock;

/// Everything that is being waited for. Shared by all that ask hosts.
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
    /// Which host.
    pub host: HostName,
    /// What it was asked, as shown to people.
    pub verb: &'static str,
    /// Whether its answer should come soon, and is overdue if it does not: no unit is run for it, and nobody is
    /// waiting for its output.
    pub is_short: bool,
    since: Instant,
}

impl Wait {
    /// How long it has been waited for.
    pub fn lasts(&self) -> Duration {
        clock::now().duration_since(self.since)
    }
}

/// Ends the wait when it is dropped.
#[derive(Debug)]
pub struct WaitGuard {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    /// Notes that a host is asked something from now on.
    pub fn begin(self: &Arc<Self>, host: &HostName, verb: &'static str, is_short: bool) -> WaitGuard {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.begun.insert(number, Wait { host: host.clone(), verb, is_short, since: clock::now() });
        drop(waiting);
        WaitGuard { waits: Arc::clone(self), number }
    }

    /// The waits that have lasted at least this long, the longest first.
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
