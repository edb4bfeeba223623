//! The journals of all hosts, read together: which releases an environment has had, and which one a rollback means.

use std::collections::BTreeMap;

use batou_release::HostName;
use batou_store::Digest;
use jiff::Timestamp;

use batou_agent::protocol::{JournalEntry, JournaledRelease, Outcome};

mod undo;

pub use undo::Restored;

/// How many digits of a release's id name it at least.
const SHORTEST: usize = 4;

/// One release of an environment, as the hosts remember it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The release.
    pub record: JournaledRelease,
    /// When it ended on the first host to end it.
    pub when: Timestamp,
    /// How it ended on each host that took part. After a retry, the last outcome counts.
    pub hosts: BTreeMap<HostName, JournalEntry>,
}

impl Past {
    /// Whether it was in force on any host.
    pub fn is_committed(&self) -> bool {
        self.hosts.values().any(|entry| entry.result == Outcome::Committed)
    }
}

/// All releases that any host remembers, oldest first.
///
/// A release's number is one more than the newest on the hosts that take part. Two releases that left each
/// other's hosts out can therefore share a number; the rest of their records tells them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    releases: Vec<Past>,
}

/// Why it is not known which release a rollback is to restore.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Nothing was ever released.
    #[error("nothing has been released here yet")]
    Empty,
    /// There is no release before the current one.
    #[error("no release was in force before the current one ({current})")]
    Oldest {
        /// The current release, as shown to people.
        current: String,
    },
    /// Hosts have releases of which nobody had a part in both.
    #[error(
        "hosts have releases that were made without each other: {releases}; so it is not clear which one is to be taken back"
    )]
    Forked {
        /// Which are where.
        releases: String,
    },
    /// No release matches.
    #[error("no release that was in force is called {wanted:?}; see `batou history`")]
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// More than one release matches.
    #[error("{wanted:?} names {count} releases: give more digits, or the release's number")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many match.
        count: usize,
    },
    /// The number was given twice, to releases that left each other's hosts out.
    #[error(
        "{wanted} is the number of {count} releases, each on other hosts: give the release's id, or --host"
    )]
    SameNumber {
        /// What was asked for.
        wanted: String,
        /// How many releases have it.
        count: usize,
    },
}

impl History {
    /// Reads the journals together. Releases with numbers above `newest` are ignored: nobody has given such
    /// numbers. So are those that a later release in the same journal disregards.
    pub fn read(journals: BTreeMap<HostName, Vec<JournalEntry>>, newest: u64) -> Self {
        let mut releases: BTreeMap<(u64, String), Past> = BTreeMap::new();
        for (host, entry) in journals
            .into_iter()
            .flat_map(|(host, entries)| valid(entries).into_iter().map(move |entry| (host.clone(), entry)))
            .filter(|(_, entry)| entry.record.sequence <= newest)
        {
            let past = releases.entry(identity(&entry.record)).or_insert_with(|| Past {
                record: entry.record.clone(),
                when: entry.when,
                hosts: BTreeMap::new(),
            });
            past.when = past.when.min(entry.when);
            past.hosts.insert(host, entry);
        }
        let mut releases: Vec<_> = releases.into_values().collect();
        releases.sort_by_key(|past| (past.record.sequence, past.when));
        History { releases }
    }

    /// All releases, oldest first.
    pub fn releases(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.releases.iter()
    }

    /// The newest release in force.
    pub fn current(&self) -> Option<&Past> {
        self.committed().next_back()
    }

    /// Whether a release is in force: it is the newest, or one of several with the newest number that left each
    /// other's hosts out.
    pub fn is_in_force(&self, past: &Past) -> bool {
        let number = self.current().map(|current| current.record.sequence);
        past.is_committed() && number == Some(past.record.sequence)
    }

    /// The number of the release before this one, if it is the same: this one only put files back, or finished what
    /// had been left undone.
    pub fn repeats(&self, past: &Past) -> Option<u64> {
        let before = self.committed().rev().find(|other| other.record.sequence < past.record.sequence)?;
        let is_same = past.record.restores.is_none() && before.record.release == past.record.release;
        is_same.then_some(before.record.sequence)
    }

    /// How many releases a host has committed since this one, which it had committed, too.
    pub fn count_since(&self, sequence: u64, host: &str) -> usize {
        let later = self.releases.iter().filter(|past| past.record.sequence > sequence);
        let entries = later.filter_map(|past| past.hosts.get(host));
        entries.filter(|entry| entry.result == Outcome::Committed).count()
    }

    /// The committed release with this number, or whose id begins with `wanted`.
    pub fn find(&self, wanted: &str) -> Result<&Past, HistoryError> {
        let numbered = |sequence: u64| self.committed().filter(move |past| past.record.sequence == sequence);
        let by_number: Vec<_> = wanted.parse().into_iter().flat_map(numbered).collect();
        match by_number[..] {
            [] => {}
            [past] => return Ok(past),
            _ => {
                return Err(HistoryError::SameNumber { wanted: wanted.into(), count: by_number.len() });
            }
        }
        let fits = |past: &&Past| past.record.release.to_string().starts_with(wanted);
        let mut found: BTreeMap<Digest, &Past> = BTreeMap::new();
        for past in self.committed().filter(|past| past.record.restores.is_none()).filter(fits) {
            found.insert(past.record.release, past);
        }
        match (found.len(), found.into_values().next()) {
            (1, Some(past)) if wanted.len() >= SHORTEST => Ok(past),
            (count, _) if count < 2 || wanted.len() < SHORTEST => {
                Err(HistoryError::NotFound { wanted: wanted.into() })
            }
            (count, _) => Err(HistoryError::Ambiguous { wanted: wanted.into(), count }),
        }
    }

    /// Whether a host took part in a release of which its journal says nothing, although it was not retired since.
    pub fn is_silent(&self, past: &Past, host: &HostName) -> bool {
        let later = self.releases.iter().filter(|other| other.record.sequence > past.record.sequence);
        past.record.hosts.contains(host)
            && !past.record.without.contains(host)
            && !past.hosts.contains_key(host)
            && !later.into_iter().any(|other| other.record.forgets.as_ref() == Some(host))
    }

    /// The manifests that a host has had after the release of this number, oldest first.
    pub fn since(&self, sequence: u64, host: &str) -> Vec<Digest> {
        let later = self.releases.iter().filter(|past| past.record.sequence > sequence);
        let entries = later.filter_map(|past| past.hosts.get(host));
        entries.filter(|entry| entry.result == Outcome::Committed).map(|entry| entry.manifest).collect()
    }

    fn committed(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.releases.iter().filter(|past| past.is_committed())
    }
}

/// A journal's lines, in their order, without those that a later one disregards.
fn valid(entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
    let mut valid: Vec<JournalEntry> = Vec::new();
    for entry in entries {
        if entry.record.disregards.is_some() {
            valid.retain(|earlier| !entry.record.makes_void(&earlier.record));
        }
        valid.push(entry);
    }
    valid
}

/// What all hosts' lines about one release have in common; sorts by number.
fn identity(record: &JournaledRelease) -> (u64, String) {
    (record.sequence, serde_json::to_string(record).expect("a record is plain data"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use batou_agent::protocol::HostNames;

    use super::*;

    /// A journal's line about a release of `h1`.
    pub(in crate::fleet) fn entry(
        sequence: u64,
        release: &str,
        restores: Option<u64>,
        result: Outcome,
    ) -> JournalEntry {
        JournalEntry {
            record: JournaledRelease {
                release: Digest::of(release.as_bytes()),
                sequence,
                restores,
                forgets: None,
                disregards: None,
                who: "a@b".into(),
                attempt: 1,
                hosts: HostNames::new(vec!["h1".parse().unwrap()]).unwrap(),
                without: HostNames::default(),
            },
            when: format!("2026-01-{sequence:02}T00:00:00Z").parse().unwrap(),
            from: None,
            to: Some(sequence),
            manifest: Digest::of(release.as_bytes()),
            result,
            reason: None,
            runs: Vec::new(),
            unreverted: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn history(entries: &[(u64, &str, Option<u64>)]) -> History {
        let entries = entries
            .iter()
            .map(|(sequence, release, restores)| entry(*sequence, release, *restores, Outcome::Committed));
        History::read(BTreeMap::from([("h1".parse().unwrap(), entries.collect())]), 1000)
    }

    fn previous(entries: &[(u64, &str, Option<u64>)]) -> Option<u64> {
        history(entries).before_the_newest().ok().map(|restored| restored.release.record.sequence)
    }

    #[test]
    fn one_rollback_after_another_goes_further_back() {
        let mut entries = vec![(1, "a", None), (2, "b", None), (3, "c", None)];
        assert_eq!(previous(&entries), Some(2));
        entries.push((4, "b", Some(2)));
        assert_eq!(previous(&entries), Some(1));
        entries.push((5, "a", Some(1)));
        assert_eq!(previous(&entries), None);
    }

    #[test]
    fn a_release_after_a_rollback_goes_back_to_the_rollback() {
        let mut entries = vec![(1, "a", None), (2, "b", None), (3, "a", Some(1)), (4, "c", None)];
        assert_eq!(previous(&entries), Some(3));
        entries.push((5, "a", Some(3)));
        assert_eq!(previous(&entries), None, "a further one goes further back than what that had restored");
        let mut entries =
            vec![(1, "x", None), (2, "a", None), (3, "b", None), (4, "a", Some(2)), (5, "c", None)];
        entries.push((6, "a", Some(4)));
        assert_eq!(previous(&entries), Some(1));
        entries.push((7, "x", Some(7)));
        assert_eq!(previous(&entries), Some(6), "nothing restores itself");
    }

    #[test]
    fn a_release_that_only_has_a_host_forgotten_is_that_of_before() {
        let forgotten = [(1, "a", None), (2, "b", None), (3, "b", None)];
        assert_eq!(previous(&forgotten), Some(1));
        let after_a_rollback = [(1, "a", None), (2, "b", None), (3, "a", Some(1)), (4, "a", Some(1))];
        assert_eq!(previous(&after_a_rollback), None, "a further rollback goes further back");
    }

    #[test]
    fn what_a_later_release_disregards_is_no_release() {
        let line = |sequence, disregards| {
            let mut line = entry(sequence, "a", None, Outcome::Committed);
            line.record.disregards = disregards;
            line
        };
        let lines = |sequences: &[(u64, Option<u64>)]| {
            let lines = sequences.iter().map(|(sequence, disregards)| line(*sequence, *disregards));
            let history = History::read(BTreeMap::from([("h1".parse().unwrap(), lines.collect())]), 31);
            history.releases().map(|past| past.record.sequence).collect::<Vec<_>>()
        };
        assert_eq!(lines(&[(1, None), (20, None), (2, Some(20))]), [1, 2]);
        assert_eq!(lines(&[(1, None), (20, None), (2, Some(20)), (20, None)]), [1, 2, 20]);
    }

    #[test]
    fn failed_releases_do_not_count() {
        let (first, third) =
            (entry(1, "a", None, Outcome::Committed), entry(3, "c", None, Outcome::Committed));
        let failed = entry(2, "b", None, Outcome::WentBack);
        let history =
            History::read(BTreeMap::from([("h1".parse().unwrap(), vec![first, failed, third])]), 1000);
        assert_eq!(history.before_the_newest().unwrap().release.record.sequence, 1);
        assert!(matches!(history.find("2"), Err(HistoryError::NotFound { .. })));
    }

    #[test]
    fn a_host_that_took_no_part_keeps_what_it_had() {
        let first = entry(1, "a", None, Outcome::Committed);
        let second = entry(2, "b", None, Outcome::Committed);
        let journals = BTreeMap::from([
            ("h1".parse().unwrap(), vec![first.clone(), second.clone()]),
            ("h2".parse().unwrap(), vec![first.clone()]),
            ("h3".parse().unwrap(), vec![second.clone()]),
        ]);
        let history = History::read(journals, 1000);
        let then = history.when_in_force(history.find("1").unwrap()).manifests;
        assert_eq!(then.get("h1"), Some(&first.manifest));
        assert_eq!(then.get("h2"), Some(&first.manifest));
        assert_eq!(then.get("h3"), None);
        assert_eq!(history.since(1, "h1"), [second.manifest]);
    }

    #[test]
    fn releases_that_left_out_each_others_hosts_and_have_one_number_are_two() {
        let first = entry(1, "a", None, Outcome::Committed);
        let (mut one, other) =
            (entry(2, "b", None, Outcome::Committed), entry(2, "c", None, Outcome::Committed));
        one.when = "2026-02-01T00:00:00Z".parse().unwrap();
        let history = History::read(
            BTreeMap::from([
                ("h1".parse().unwrap(), vec![first.clone(), one.clone()]),
                ("h2".parse().unwrap(), vec![first, other.clone()]),
            ]),
            1000,
        );
        let hosts: Vec<_> = history
            .releases()
            .map(|past| past.hosts.keys().map(HostName::as_str).collect::<String>())
            .collect();
        assert_eq!(hosts, ["h1h2", "h2", "h1"]);
        assert_eq!(history.current().unwrap().record, one.record);
        let in_force: Vec<_> = history.releases().map(|past| history.is_in_force(past)).collect();
        assert_eq!(in_force, [false, true, true]);
        assert!(matches!(history.before_the_newest(), Err(HistoryError::Forked { .. })));
        assert_eq!(history.find("2"), Err(HistoryError::SameNumber { wanted: "2".into(), count: 2 }));
        assert_eq!(history.find(&other.record.release.to_string()).unwrap().record, other.record);
        let restored = history.when_in_force(history.find(&other.record.release.to_string()).unwrap());
        assert_eq!(restored.others, ["h1".parse::<HostName>().unwrap()]);
        let then = restored.manifests;
        assert_eq!((then.get("h1"), then.get("h2")), (Some(&one.manifest), Some(&other.manifest)));
    }

    #[test]
    fn a_release_is_found_by_number_and_by_the_start_of_its_id() {
        let history = history(&[(1, "a", None), (2, "b", None), (3, "a", Some(1))]);
        let id = Digest::of(b"b").to_string();
        assert_eq!(history.find(&id[..8]).unwrap().record.sequence, 2);
        assert_eq!(history.find("3").unwrap().record.sequence, 3);
        assert_eq!(history.find(&id[..2]), Err(HistoryError::NotFound { wanted: id[..2].into() }));
        assert_eq!(History::default().before_the_newest(), Err(HistoryError::Empty));
    }
}
