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
            let number = |place: &usize| self.releases[*place].record.sequence;
            let earlier = match record.restores {
                Some(restored) if restored < record.sequence => {
                    all[..in_force].iter().rposition(|place| number(place) <= restored)
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
