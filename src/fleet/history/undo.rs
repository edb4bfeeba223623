//! What a rollback restores that names no release: what each host had before the newest one.
//!
//! Each host's own journal tells what that is, so that it holds also where releases left hosts out, whose numbers then say
//! nothing about which one is newer.

use std::collections::{BTreeMap, BTreeSet};

use batou_release::HostName;
use batou_store::Digest;

use super::{History, HistoryError, Past};
use batou_agent::protocol::Outcome;

/// What hosts are to get back.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored<'h> {
    /// The newest release among what they get.
    pub release: &'h Past,
    /// What each gets. A host that had nothing then is left out.
    pub manifests: BTreeMap<HostName, Digest>,
    /// Those that get something else than that release.
    pub others: Vec<HostName>,
}

/// The releases that a host has committed, by their places in the history, oldest first.
struct Commits {
    /// Never empty.
    all: Vec<usize>,
    /// Which of them is in force: the last, or what that restored.
    in_force: usize,
}

impl Commits {
    fn last(&self) -> usize {
        self.all[self.all.len() - 1]
    }

    fn in_force(&self) -> usize {
        self.all[self.in_force]
    }
}

impl History {
    /// What hosts had before the newest release. Those that had no part in it stay as they are. A rollback counts as what it
    /// restored, so each further one goes further back. It is refused where it is not clear which release is the newest.
    pub fn before_the_newest(&self) -> Result<Restored<'_>, HistoryError> {
        let hosts: BTreeSet<_> = self.releases.iter().flat_map(|past| past.hosts.keys()).collect();
        let commits = hosts.into_iter().filter_map(|host| Some((host, self.commits(host)?)));
        let commits: BTreeMap<_, _> = commits.collect();
        let newest = commits.values().map(Commits::in_force).max().ok_or(HistoryError::Empty)?;
        self.refuse_forked(&commits, Commits::last)?;
        let id = |place: usize| self.releases[place].record.release;
        // Those that had no part in the newest have what somebody had before who had one.
        let is_behind = |commits_of: &Commits| {
            commits_of.in_force() != newest
                && commits
                    .values()
                    .any(|other| other.in_force() == newest && other.all.contains(&commits_of.in_force()))
        };
        if commits.values().any(|it| !is_behind(it) && id(it.in_force()) != id(newest)) {
            return Err(self.forked(&commits, Commits::in_force));
        }
        let mut places = BTreeMap::new();
        for (host, it) in &commits {
            if is_behind(it) {
                places.insert((*host).clone(), (it.in_force(), false));
                continue;
            }
            // What only put files back, or finished what had been left undone, is the same release.
            let earlier = it.all[..it.in_force].iter().rev().find(|place| id(**place) != id(newest));
            places.extend(earlier.map(|place| ((*host).clone(), (*place, true))));
        }
        let goes_back = places.values().filter(|(_, goes_back)| *goes_back).map(|(place, _)| *place).max();
        let target = goes_back.ok_or_else(|| {
            let current = &self.releases[newest].record;
            HistoryError::Oldest { current: format!("{}, {}", current.sequence, current.release.short()) }
        })?;
        let places = places.into_iter().map(|(host, (place, _))| (host, place)).collect();
        Ok(self.restored(&self.releases[target], &places))
    }

    /// What hosts had when this release was in force.
    pub fn when_in_force<'h>(&'h self, past: &'h Past) -> Restored<'h> {
        let mut places = BTreeMap::new();
        for (place, earlier) in self.releases.iter().enumerate() {
            if earlier.record.sequence <= past.record.sequence {
                places.extend(earlier.committed_on().map(|host| (host.clone(), place)));
            }
        }
        // Of two releases with its number, it is this one that is meant.
        let own = self.releases.iter().position(|it| it == past);
        places
            .extend(own.into_iter().flat_map(|own| past.committed_on().map(move |host| (host.clone(), own))));
        self.restored(past, &places)
    }

    fn restored<'h>(&'h self, release: &'h Past, places: &BTreeMap<HostName, usize>) -> Restored<'h> {
        let (mut manifests, mut others) = (BTreeMap::new(), Vec::new());
        for (host, place) in places {
            let past = &self.releases[*place];
            manifests.extend(past.hosts.get(host).map(|entry| (host.clone(), entry.manifest)));
            // The same configuration is the same release for each host, but for those that were given something else with it.
            if past.record.release != release.record.release || past.record.without.contains(host) {
                others.push(host.clone());
            }
        }
        Restored { release, manifests, others }
    }

    fn commits(&self, host: &HostName) -> Option<Commits> {
        let of_host = |past: &Past| past.committed_on().any(|it| it == host);
        let all: Vec<_> = (0..self.releases.len()).filter(|place| of_host(&self.releases[*place])).collect();
        let mut in_force = all.len().checked_sub(1)?;
        loop {
            let record = &self.releases[all[in_force]].record;
            let earlier = match record.restores {
                Some(restored) if restored < record.sequence => {
                    self.restored_on(host, &all[..=in_force], restored)
                }
                None if record.forgets.is_some() => in_force.checked_sub(1),
                // Nothing restores itself or what comes after it.
                Some(_) | None => None,
            };
            match earlier {
                Some(earlier) => in_force = earlier,
                None => return Some(Commits { all, in_force }),
            }
        }
    }

    /// Which of a host's commits the last of these restored, with which others were given what they had at this number. A host
    /// that had no part in that has kept what it had.
    fn restored_on(&self, host: &HostName, commits: &[usize], number: u64) -> Option<usize> {
        let manifest = |place: usize| self.releases[place].hosts.get(host).map(|entry| entry.manifest);
        let (last, earlier) = commits.split_last()?;
        let is_it = |place: &usize| manifest(*place) == manifest(*last);
        let then = |place: &usize| self.releases[*place].record.sequence <= number && is_it(place);
        earlier.iter().rposition(then).or_else(|| earlier.iter().rposition(is_it))
    }

    /// Refuses hosts that have different releases of which nobody had a part in both.
    fn refuse_forked(
        &self,
        commits: &BTreeMap<&HostName, Commits>,
        of: fn(&Commits) -> usize,
    ) -> Result<(), HistoryError> {
        let ids: BTreeSet<_> = commits.values().map(|it| self.releases[of(it)].record.release).collect();
        let places: BTreeSet<_> = commits.values().map(of).collect();
        let met = |one: usize, other: usize| {
            commits.values().any(|it| it.all.contains(&one) && it.all.contains(&other))
        };
        let is_forked = places.iter().any(|one| places.range(..one).any(|other| !met(*one, *other)));
        if ids.len() > 1 && is_forked { Err(self.forked(commits, of)) } else { Ok(()) }
    }

    fn forked(&self, commits: &BTreeMap<&HostName, Commits>, of: fn(&Commits) -> usize) -> HistoryError {
        let mut groups: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (host, it) in commits {
            groups.entry(of(it)).or_default().push(host);
        }
        let told = groups.into_iter().map(|(place, hosts)| {
            let record = &self.releases[place].record;
            format!("release {} ({}) on {}", record.sequence, record.release.short(), hosts.join(", "))
        });
        HistoryError::Forked { releases: told.collect::<Vec<_>>().join("; ") }
    }
}

impl Past {
    /// The hosts that have committed it.
    fn committed_on(&self) -> impl Iterator<Item = &HostName> {
        let committed = self.hosts.iter().filter(|(_, entry)| entry.result == Outcome::Committed);
        committed.map(|(host, _)| host)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_agent::protocol::{HostNames, JournalEntry, JournaledRelease};
    use proptest::prelude::*;

    use super::super::tests::entry;
    use super::*;

    const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

    /// What is done with some of the hosts.
    #[derive(Clone, Debug)]
    enum Move {
        /// Releases something that no host has had.
        Switch(Vec<usize>),
        Rollback(Vec<usize>),
    }

    fn any_move() -> impl Strategy<Value = Move> {
        let some = || proptest::sample::subsequence(vec![0, 1, 2], 1..=3);
        prop_oneof![some().prop_map(Move::Switch), some().prop_map(Move::Rollback)]
    }

    fn name(host: usize) -> HostName {
        HOSTS[host].parse().unwrap()
    }

    /// Those of the hosts, and in which order contents came.
    #[derive(Default)]
    struct Journals {
        lines: [Vec<JournalEntry>; 3],
        contents: Vec<Digest>,
    }

    impl Journals {
        fn history(&self, hosts: &[usize]) -> History {
            let journals = hosts.iter().map(|host| (name(*host), self.lines[*host].clone()));
            History::read(journals.collect(), 1000)
        }

        /// What a host has: how many contents had come with it, or 0.
        fn has(&self, host: usize) -> usize {
            let last = self.lines[host].last().map(|line| line.manifest);
            self.contents.iter().position(|content| Some(*content) == last).map_or(0, |place| place + 1)
        }

        fn release(&mut self, record: &JournaledRelease, manifests: &BTreeMap<usize, Digest>) {
            let hosts = |found: Vec<HostName>| HostNames::new(found).unwrap();
            let newest = manifests.keys().filter_map(|host| self.lines[*host].last());
            let sequence = newest.map(|line| line.record.sequence).max().unwrap_or(0) + 1;
            let absent = (0..3).filter(|host| !manifests.contains_key(host)).map(name);
            let without = absent.chain(record.without.iter().cloned()).collect();
            let (hosts, without) = (hosts((0..3).map(name).collect()), hosts(without));
            for (host, manifest) in manifests {
                let record = JournaledRelease {
                    sequence,
                    hosts: hosts.clone(),
                    without: without.clone(),
                    ..record.clone()
                };
                let line = entry(sequence, "", None, Outcome::Committed);
                self.lines[*host].push(JournalEntry { record, manifest: *manifest, ..line });
            }
        }

        fn switch(&mut self, hosts: &[usize]) {
            let content = Digest::of(format!("content {}", self.contents.len()).as_bytes());
            self.contents.push(content);
            let record = entry(1, "", None, Outcome::Committed).record;
            let record = JournaledRelease { release: content, attempt: self.contents.len() as u64, ..record };
            self.release(&record, &hosts.iter().map(|host| (*host, content)).collect());
        }

        /// Returns whether hosts went back.
        fn roll_back(&mut self, hosts: &[usize]) -> bool {
            let history = self.history(hosts);
            let Ok(restored) = history.before_the_newest() else { return false };
            let manifest = |host: &usize| Some((*host, *restored.manifests.get(&name(*host))?));
            let manifests: BTreeMap<_, _> = hosts.iter().filter_map(manifest).collect();
            let record = JournaledRelease {
                restores: Some(restored.release.record.sequence),
                without: HostNames::new(restored.others.clone()).unwrap(),
                ..restored.release.record.clone()
            };
            self.release(&record, &manifests);
            true
        }
    }

    proptest! {
        /// Whatever releases left out: no host is given what it never had, none goes forward, and one at least goes back.
        #[test]
        fn each_rollback_goes_back(moves in proptest::collection::vec(any_move(), 0..14), all in any::<bool>()) {
            let mut journals = Journals::default();
            let mut moves = moves;
            let hosts = if all { vec![0, 1, 2] } else { vec![0, 2] };
            moves.extend(std::iter::repeat_n(Move::Rollback(hosts), 6));
            for next in moves {
                let had: Vec<_> = (0..3).map(|host| journals.has(host)).collect();
                match next {
                    Move::Switch(hosts) => journals.switch(&hosts),
                    Move::Rollback(hosts) => {
                        let knew: Vec<BTreeSet<_>> =
                            journals.lines.iter().map(|lines| lines.iter().map(|line| line.manifest).collect()).collect();
                        let went = journals.roll_back(&hosts);
                        let has: Vec<_> = (0..3).map(|host| journals.has(host)).collect();
                        prop_assert!(has.iter().zip(&had).all(|(has, had)| has <= had), "{had:?} {has:?}");
                        prop_assert_eq!(went, has != had);
                        for (lines, knew) in journals.lines.iter().zip(&knew) {
                            prop_assert!(lines.last().is_none_or(|line| knew.contains(&line.manifest)));
                        }
                    }
                }
            }
        }
    }
}
