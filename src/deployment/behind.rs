//! Hosts that do not have the newest release: some hosts have committed it and others went back, or it was made
//! without them.

use std::collections::BTreeMap;

use batou_agent::protocol::{JournaledRelease, State};
use batou_release::HostName;

use super::Deployment;
use super::faults::has_lost_journal;
use super::number::newest_records;
use crate::ui::some_of;

impl Deployment<'_> {
    /// Names the hosts that do not have the newest release, and says how they get it.
    pub fn name_behind(&self, states: &BTreeMap<HostName, State>) {
        let environment = &self.policy.name;
        if let Some((record, behind)) = behind(states) {
            let (lost, behind): (Vec<_>, Vec<_>) =
                behind.into_iter().partition(|(host, state)| has_lost(host, state, record));
            let (older, behind): (Vec<_>, Vec<_>) =
                behind.into_iter().partition(|(host, state)| is_without(host, state));
            let (back, without): (Vec<_>, Vec<_>) = behind
                .into_iter()
                .partition(|(_, state)| has(state) > 0 && state.newest_sequence >= record.sequence);
            let names = |hosts: Vec<(&HostName, &State)>| {
                some_of(&hosts.into_iter().map(|(host, _)| &**host).collect::<Vec<_>>())
            };
            let has_it = |(host, state): &(&HostName, &State)| {
                state.committed.as_ref() == Some(record) && !is_without(host, state)
            };
            let has_it = states.iter().filter(has_it).collect();
            let mut text = format!(
                "release {} ({}) is in force on {}",
                record.sequence,
                record.release.short(),
                names(has_it)
            );
            if !back.is_empty() {
                text.push_str(&format!(", and {} went back", names(back)));
            }
            if !lost.is_empty() {
                text.push_str(&format!(", and nothing of it is left on {}", names(lost)));
            }
            if !older.is_empty() {
                text.push_str(&format!(", and {} was given back an older one with it", names(older)));
            }
            if !without.is_empty() {
                text.push_str(&format!(", and was made without {}", names(without)));
            }
            self.context
                .ui
                .warn(&format!("{text}: `batou switch {environment}` gives all hosts one release"));
        }
    }
}

/// The newest release and the hosts that have an older one, or none. A host that has no release and that the newest one does
/// not name is new, not behind. Nor is one behind of which it is not known what it has.
pub fn behind(states: &BTreeMap<HostName, State>) -> Option<(&JournaledRelease, Vec<(&HostName, &State)>)> {
    let (_, record) = newest_records(states).pop()?;
    // A release that was made once more, as after a mend, is on those that have it with another number, too.
    let has_it = |host: &HostName, state: &State| {
        has(state) > 0
            && state.committed.as_ref().is_some_and(|it| it.release == record.release)
            && !is_without(host, state)
    };
    let is_behind = |(host, state): &(&HostName, &State)| {
        (has(state) < record.sequence || is_without(host, state))
            && (state.newest_sequence > 0 || record.hosts.contains(host))
            && !has_it(host, state)
            && !has_lost_journal(state)
    };
    let behind: Vec<_> = states.iter().filter(is_behind).collect();
    (!behind.is_empty()).then_some((record, behind))
}

/// Whether a host has nothing, although this release was made for it, too: its target directory was emptied.
pub fn has_lost(host: &HostName, state: &State, record: &JournaledRelease) -> bool {
    let has_nothing = state.newest_sequence == 0 && state.generation.is_none() && !has_lost_journal(state);
    has_nothing && record.hosts.contains(host) && !record.without.contains(host)
}

/// Whether what a host committed last was a rollback that gave it an older release than the others.
pub fn is_without(host: &HostName, state: &State) -> bool {
    state.committed.as_ref().is_some_and(|committed| committed.without.contains(host))
}

/// The number of the release that a host has; 0 for none, and where a later line of its journal disregards that number.
fn has(state: &State) -> u64 {
    let committed = state.committed.as_ref().map_or(0, |committed| committed.sequence);
    if committed <= state.newest_sequence { committed } else { 0 }
}
