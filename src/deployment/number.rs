//! The number of the next release: one more than the newest on any host.
//!
//! A host whose number is far above those of the others is not believed. Its number would stay in every journal
//! for good, and leave no numbers for later releases. Whoever goes on nevertheless has the release say so in each
//! journal, so that the number counts no more, for this host and for all that read its journal.

use std::collections::BTreeMap;

use batou_agent::protocol::bounded::LAST_NUMBER;
use batou_agent::protocol::{JournaledRelease, State};
use batou_release::HostName;

use super::Deployment;
use crate::error::CommandError;

/// How far a host's newest number may be above the next-highest one. A host that has been left out of this many
/// releases is not one to measure the others by.
const JUMP: u64 = 1000;

/// What the hosts' numbers come to.
struct Numbers<'s> {
    /// The newest that is believed, or 0.
    newest: u64,
    /// Those that are not, the highest first.
    far: Vec<FarNumber<'s>>,
}

/// A number that is far beyond the next-highest one.
struct FarNumber<'s> {
    host: &'s HostName,
    number: u64,
    /// The host with the next-highest number.
    other: &'s HostName,
    next: u64,
}

impl<'s> Numbers<'s> {
    fn of(states: &'s BTreeMap<HostName, State>) -> Self {
        // A host without a release says nothing about numbers.
        let mut numbers: Vec<_> = states.iter().map(|(host, state)| (state.newest_sequence, host)).collect();
        numbers.retain(|(number, _)| *number > 0);
        numbers.sort_unstable();
        let mut far = Vec::new();
        while let Some((number, host)) = numbers.pop() {
            let Some(&(next, other)) = numbers.last().filter(|(next, _)| number - next > JUMP) else {
                return Numbers { newest: number, far };
            };
            far.push(FarNumber { host, number, other, next });
        }
        Numbers { newest: 0, far }
    }
}

impl std::fmt::Display for FarNumber<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, number, other, next } = self;
        write!(
            out,
            "{host} says that its newest release has number {number}, which is far beyond that of {other}, {next}"
        )
    }
}

/// The number of a release that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextNumber {
    /// One more than the newest that is believed.
    pub sequence: u64,
    /// Its own number, where hosts have numbers that are not believed: such a host has all of them above the ones that are,
    /// and may have this one.
    pub disregards: Option<u64>,
}

/// The newest number that the hosts have given, or 0 if there is none. A number far above all others is an
/// error, which ends in `unchanged`; with `yes` it is ignored instead.
pub fn newest_number(
    states: &BTreeMap<HostName, State>,
    yes: bool,
    unchanged: &str,
) -> Result<u64, CommandError> {
    let Numbers { newest, far } = Numbers::of(states);
    match far.first().filter(|_| !yes) {
        None => Ok(newest),
        Some(far) => {
            let host = far.host;
            Err(CommandError::failed(format!("{far}; {unchanged}")).hint(format!(
                "find out what happened on {host}; leave it out with --skip {host}, or go on from the other hosts' numbers with \
                 --yes, once: what it has above number {newest} counts no more then"
            )))
        }
    }
}

/// The newest of the releases that the hosts have committed last, if their numbers are believed: all that have this
/// number, each with its host.
pub fn newest_records(states: &BTreeMap<HostName, State>) -> Vec<(&HostName, &JournaledRelease)> {
    let records = believed_records(states);
    let newest = records.iter().map(|(_, record)| record.sequence).max();
    records.into_iter().filter(|(_, record)| Some(record.sequence) == newest).collect()
}

/// What each host has committed last, if its number is believed.
pub fn believed_records(states: &BTreeMap<HostName, State>) -> Vec<(&HostName, &JournaledRelease)> {
    let newest = Numbers::of(states).newest;
    let records = states.iter().filter_map(|(host, state)| Some((host, state.committed.as_ref()?)));
    records.filter(|(_, record)| record.sequence <= newest).collect()
}

/// The number after the newest one. An error ends in `unchanged`.
pub fn next_number(
    states: &BTreeMap<HostName, State>,
    yes: bool,
    unchanged: &str,
) -> Result<NextNumber, CommandError> {
    let newest = newest_number(states, yes, unchanged)?;
    let sequence = newest.checked_add(1).filter(|next| *next <= LAST_NUMBER).ok_or_else(|| {
        let hosts = states.iter().filter(|(_, state)| state.newest_sequence == newest);
        let hosts = hosts.map(|(host, _)| host.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("the newest release has the highest number there is, {newest}; {unchanged}");
        CommandError::failed(message).hint(format!(
            "nobody has made so many releases: remove the line with that number from the file `journal` on {hosts}"
        ))
    })?;
    let is_far = !Numbers::of(states).far.is_empty();
    Ok(NextNumber { sequence, disregards: is_far.then_some(sequence) })
}

impl Deployment<'_> {
    /// Names the hosts whose numbers are disregarded, because --yes was given.
    pub fn name_disregarded(&self, states: &BTreeMap<HostName, State>) {
        for far in Numbers::of(states).far {
            self.context
                .ui
                .warn(&format!("{far}: with --yes it is disregarded, and counts no more from now on"));
        }
    }

    /// Names the hosts whose numbers are not believed.
    pub fn name_far(&self, states: &BTreeMap<HostName, State>) {
        let environment = &self.policy.name;
        for far in Numbers::of(states).far {
            self.context.ui.warn(&format!(
                "{far}: it does not count, and the next `batou switch {environment}` needs --yes, once"
            ));
        }
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_agent::protocol::{Drift, TargetCondition};
    use proptest::prelude::*;

    use super::super::UNCHANGED;
    use super::*;

    /// The state of a host with this newest number, and nothing else.
    pub(in crate::deployment) fn state(newest_sequence: u64) -> State {
        State {
            user: "shop".into(),
            current: None,
            committed: None,
            newest_sequence,
            settled: false,
            generation: None,
            faults: Vec::new(),
            drift: Drift::default(),
            unfinished: false,
            missing: Vec::new(),
            target: TargetCondition::Ready,
            place: None,
            free: 0,
            recovered: Vec::new(),
        }
    }

    fn states(numbers: &[u64]) -> BTreeMap<HostName, State> {
        let host = |(index, number): (usize, &u64)| (format!("h{index}").parse().unwrap(), state(*number));
        numbers.iter().enumerate().map(host).collect()
    }

    fn next(numbers: &[u64], yes: bool) -> Result<u64, String> {
        next_number(&states(numbers), yes, UNCHANGED)
            .map(|next| next.sequence)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_gone_on_without_is_named_in_the_release() {
        let next = |numbers: &[u64]| next_number(&states(numbers), true, UNCHANGED).unwrap();
        assert_eq!(next(&[5, 7, 1008, 4000]), NextNumber { sequence: 8, disregards: Some(8) });
        assert_eq!(next(&[5, 7]), NextNumber { sequence: 8, disregards: None });
    }

    #[test]
    fn a_number_far_beyond_the_others_is_refused_with_its_hosts_name() {
        assert_eq!(next(&[], false), Ok(1));
        assert_eq!(next(&[0, 0], false), Ok(1));
        assert_eq!(next(&[5, 7, 0], false), Ok(8));
        assert_eq!(next(&[5, 1005], false), Ok(1006));
        assert_eq!(next(&[1500, 0], false), Ok(1501), "a new host is no measure");
        let far = next(&[5, 7, 1008], false).unwrap_err();
        assert!(
            far.starts_with("h2 says that its newest release has number 1008") && far.contains("h1, 7;"),
            "{far}"
        );
        assert_eq!(next(&[5, 7, 1008], true), Ok(8));
        assert_eq!(next(&[5, LAST_NUMBER, LAST_NUMBER - 2000], true), Ok(6));
        let stuck = next_number(&states(&[LAST_NUMBER]), false, UNCHANGED).unwrap_err();
        assert!(stuck.to_string().contains("the highest number there is"));
        assert!(stuck.hints()[0].contains("remove the line with that number from the file `journal` on h0"));
        assert!(next(&[LAST_NUMBER - 1, LAST_NUMBER], true).is_err());
    }

    proptest! {
        #[test]
        fn whatever_hosts_say_the_next_number_can_be_journaled(
            numbers in proptest::collection::vec(0..=LAST_NUMBER, 0..6),
            yes in any::<bool>(),
        ) {
            if let Ok(next) = next(&numbers, yes) {
                prop_assert!((1..=LAST_NUMBER).contains(&next));
                prop_assert!(next == 1 || numbers.contains(&(next - 1)));
            }
        }
    }
}
