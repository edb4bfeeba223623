//! Hosts that do not have the newest release: some hosts have committed it and others went back, or it was made
//! without them.

use std::collections::BTreeMap;

use batou_agent::protocol::{JournaledRelease, State};
use batou_release::HostName;

use super::Deployment;
use super::faults::has_lost_journal;
use super::number::newest_records;
use crate::ui::some_of;

/// The newest release, and the hosts that do not have it.
pub struct Laggards<'s> {
    /// Among those with the highest number, if there are several.
    pub newest: &'s JournaledRelease,
    /// What each of the others has instead.
    pub hosts: BTreeMap<&'s HostName, Lag>,
    /// Those that have it.
    holders: Vec<&'s HostName>,
}

/// What a host has that does not have the newest release, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Nothing, although the release was made for it, too: its target directory was emptied.
    Emptied,
    /// What it had before, although it took part: its target directory was put back from a copy.
    PutBack,
    /// What it had before: it went back.
    WentBack,
    /// What it had before, or nothing: it took part, and was interrupted. It goes back with the next contact.
    Interrupted,
    /// What it was given back by a rollback that gave others the newest one.
    GivenBack,
    /// What it had before, or nothing: the release was made without it.
    LeftOut,
    /// A release that was made without those that have the newest one, which was made without it. Which one is the newer is
    /// not known.
    Apart,
}

impl<'s> Laggards<'s> {
    /// Which hosts do not have the newest release; `None` if there is no release. A host that has no release and that the
    /// newest one does not name is new. Nor is one among them of which it is not known what it has.
    pub fn of(states: &'s BTreeMap<HostName, State>) -> Option<Self> {
        let (_, newest) = newest_records(states).pop()?;
        let lag = |(host, state)| Some((host, Lag::of(host, state, newest)?));
        let holds = |(host, state): &(&HostName, &State)| {
            let has_its_id = state.committed.as_ref().is_some_and(|it| it.release == newest.release);
            has(state) > 0 && has_its_id && !is_given_back(host, state) && !has_lost_journal(state)
        };
        let holders = states.iter().filter(holds).map(|(host, _)| host).collect();
        Some(Laggards { newest, hosts: states.iter().filter_map(lag).collect(), holders })
    }

    /// The hosts that lag in this way.
    fn names(&self, lag: Lag) -> Vec<&str> {
        let hosts = self.hosts.iter().filter(|(_, found)| **found == lag);
        hosts.map(|(host, _)| host.as_str()).collect()
    }

    /// What hosts have the newest release, and what the others have.
    fn told(&self) -> String {
        let holders: Vec<_> = self.holders.iter().map(|host| host.as_str()).collect();
        let (number, release) = (self.newest.sequence, self.newest.release.short());
        let mut text = match &holders[..] {
            [] => format!("release {number} ({release}) is the newest"),
            holders => format!("release {number} ({release}) is in force on {}", some_of(holders)),
        };
        let mut add = |lag, one: &str, several: &str| match &self.names(lag)[..] {
            [] => {}
            [name] => text.push_str(&format!(", and {}", one.replace("{}", name))),
            names => text.push_str(&format!(", and {}", several.replace("{}", &some_of(names)))),
        };
        // First those of which the release is the subject.
        add(Lag::LeftOut, "was made without {}", "was made without {}");
        add(Lag::Interrupted, "was interrupted on {}", "was interrupted on {}");
        add(Lag::WentBack, "{} went back", "{} went back");
        add(Lag::Emptied, "nothing of it is left on {}", "nothing of it is left on {}");
        let gone = "it is gone from {}, where what was there before was put back";
        add(Lag::PutBack, gone, gone);
        add(
            Lag::GivenBack,
            "{} was given back another one with it",
            "{} were given back another one with it",
        );
        let apart = "another one, and each was made without the hosts of the other";
        add(Lag::Apart, &format!("{{}} has {apart}"), &format!("{{}} have {apart}"));
        text
    }
}

impl Lag {
    fn of(host: &HostName, state: &State, newest: &JournaledRelease) -> Option<Self> {
        if has_lost_journal(state) {
            return None;
        }
        let took_part = newest.hosts.contains(host) && !newest.without.contains(host);
        let (has, seen) = (has(state), state.newest_sequence);
        let Some(committed) = state.committed.as_ref().filter(|_| has > 0) else {
            return match seen {
                0 if !newest.hosts.contains(host) => None,
                _ if seen >= newest.sequence && state.committed.is_none() => Some(Lag::WentBack),
                _ if took_part && state.unfinished => Some(Lag::Interrupted),
                0 if took_part && state.generation.is_none() => Some(Lag::Emptied),
                _ => Some(Lag::LeftOut),
            };
        };
        if is_given_back(host, state) {
            return Some(Lag::GivenBack);
        }
        // A release that was made once more, as after a mend, is on those that have it with another number, too.
        if committed.release == newest.release {
            return None;
        }
        if is_apart(committed, newest) {
            return Some(Lag::Apart);
        }
        match has < newest.sequence {
            false => None,
            true if seen >= newest.sequence => Some(Lag::WentBack),
            true if took_part && state.unfinished => Some(Lag::Interrupted),
            true if took_part => Some(Lag::PutBack),
            true => Some(Lag::LeftOut),
        }
    }
}

/// Whether neither of two releases was made by somebody who could see the other: they have the same number, or no host took
/// part in both.
fn is_apart(one: &JournaledRelease, other: &JournaledRelease) -> bool {
    let took_part = |release: &JournaledRelease, host: &HostName| {
        release.hosts.contains(host) && !release.without.contains(host)
    };
    let has_both = one.hosts.iter().any(|host| took_part(one, host) && took_part(other, host));
    one != other && (one.sequence == other.sequence || !has_both)
}

impl Deployment<'_> {
    /// Names the hosts that do not have the newest release, and says how they get it.
    pub fn name_behind(&self, states: &BTreeMap<HostName, State>) {
        let environment = &self.policy.name;
        if let Some(laggards) = Laggards::of(states).filter(|laggards| !laggards.hosts.is_empty()) {
            let told = laggards.told();
            self.context
                .ui
                .warn(&format!("{told}: `batou switch {environment}` gives all hosts one release"));
        }
    }
}

/// Whether what a host committed last was a rollback that gave it another release than the others.
pub fn is_given_back(host: &HostName, state: &State) -> bool {
    state.committed.as_ref().is_some_and(|committed| committed.without.contains(host))
}

/// The number of the release that a host has; 0 for none, and where a later line of its journal disregards that number.
fn has(state: &State) -> u64 {
    let committed = state.committed.as_ref().map_or(0, |committed| committed.sequence);
    if committed <= state.newest_sequence { committed } else { 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_agent::protocol::HostNames;
    use batou_store::Digest;

    use super::super::number::tests::state;
    use super::*;

    /// A release of this number and configuration, of all hosts but some.
    fn release(sequence: u64, id: &str, without: &str) -> JournaledRelease {
        let names =
            |text: &str| HostNames::new(text.split_whitespace().map(|it| it.parse().unwrap()).collect());
        JournaledRelease {
            release: Digest::of(id.as_bytes()),
            sequence,
            restores: None,
            forgets: None,
            disregards: None,
            who: "a@b".into(),
            attempt: sequence,
            hosts: names("a b c").unwrap(),
            without: names(without).unwrap(),
        }
    }

    /// How the hosts lag that have committed these releases.
    fn lags(releases: [Option<JournaledRelease>; 3]) -> [Option<Lag>; 3] {
        let hosts = ["a", "b", "c"].map(|name| name.parse::<HostName>().unwrap());
        let states = hosts.iter().cloned().zip(releases).map(|(host, committed)| {
            let newest = committed.as_ref().map_or(0, |it| it.sequence);
            (host, State { committed, ..state(newest) })
        });
        let states = states.collect();
        let laggards = Laggards::of(&states).unwrap();
        hosts.map(|host| laggards.hosts.get(&host).copied())
    }

    #[test]
    fn a_release_that_some_were_left_out_of_comes_after_one_that_both_had_a_part_in() {
        let [first, second] = [release(1, "1", ""), release(2, "2", "b")];
        let of = |a: &JournaledRelease, b: Option<&JournaledRelease>, c: Option<&JournaledRelease>| {
            lags([Some(a.clone()), b.cloned(), c.cloned()])
        };
        assert_eq!(of(&second, Some(&first), Some(&second)), [None, Some(Lag::LeftOut), None]);
        // First without `a`, then without `b`: `c` had a part in both.
        let before = release(1, "1", "a");
        assert_eq!(of(&second, Some(&before), Some(&second)), [None, Some(Lag::LeftOut), None]);
        assert_eq!(of(&second, None, None), [None, Some(Lag::LeftOut), Some(Lag::Emptied)]);
        let all = release(2, "2", "");
        assert_eq!(of(&first, Some(&all), Some(&all)), [Some(Lag::PutBack), None, None]);
        assert_eq!(of(&second, Some(&second), Some(&second)), [None, Some(Lag::GivenBack), None]);
    }

    #[test]
    fn releases_that_nobody_had_a_part_in_both_of_are_apart_whatever_their_numbers_are() {
        let (three, two) = (release(3, "x", "b c"), release(2, "y", "a"));
        let apart = Some(Lag::Apart);
        assert_eq!(lags([Some(three.clone()), Some(two.clone()), Some(two)]), [None, apart, apart]);
        let same_number = release(3, "y", "a");
        let found = lags([Some(three.clone()), Some(same_number.clone()), Some(same_number)]);
        assert_eq!(found, [apart, None, None]);
        // The same configuration is no difference, whoever released it.
        let same = release(2, "x", "a");
        assert_eq!(lags([Some(three), Some(same.clone()), Some(same)]), [None, None, None]);
    }

    #[test]
    fn a_host_that_is_no_part_of_the_newest_release_is_new() {
        let mut newest = release(1, "1", "");
        newest.hosts = HostNames::new(vec!["a".parse().unwrap()]).unwrap();
        assert_eq!(lags([Some(newest), None, None]), [None, None, None]);
    }
}
