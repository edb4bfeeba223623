//! The number of the next release: one more than the newest on any host.
//!
//! A host whose number is far above those of the others is not believed. Its number would stay in every journal
//! for good, and leave no numbers for later releases.

use std::collections::BTreeMap;

use batou_agent::protocol::State;
use batou_agent::protocol::bounded::LAST_NUMBER;
use batou_release::HostName;

use crate::error::CommandError;

/// How far a host's newest number may be above the next-highest one. A host that has been left out of this many
/// releases is not one to measure the others by.
const JUMP: u64 = 1000;

/// The newest number that the hosts have given, or 0 if there is none. A number far above all others is an
/// error; with `yes` it is ignored instead.
pub fn newest_number(states: &BTreeMap<HostName, State>, yes: bool) -> Result<u64, CommandError> {
    // A host without a release says nothing about numbers.
    let mut numbers: Vec<_> = states.iter().map(|(host, state)| (state.newest_sequence, host)).collect();
    numbers.retain(|(number, _)| *number > 0);
    numbers.sort_unstable();
    while let Some((number, host)) = numbers.pop() {
        let Some((next, other)) = numbers.last() else { return Ok(number) };
        if number - next <= JUMP {
            return Ok(number);
        }
        if !yes {
            let message = format!(
                "{host} says that its newest release has number {number}, which is far beyond that of {other}, {next}; nothing \
                 was changed"
            );
            return Err(CommandError::failed(message).hint(format!(
                "find out what happened on {host}; leave it out with --skip {host}, or go on from the other hosts' numbers with --yes"
            )));
        }
    }
    Ok(0)
}

/// The number after the newest one.
pub fn next_number(states: &BTreeMap<HostName, State>, yes: bool) -> Result<u64, CommandError> {
    let newest = newest_number(states, yes)?;
    newest.checked_add(1).filter(|next| *next <= LAST_NUMBER).ok_or_else(|| {
        CommandError::failed(format!(
            "the newest release has the highest number there is, {newest}; nothing was changed"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_agent::protocol::{Drift, TargetCondition};
    use proptest::prelude::*;

    use super::*;

    fn states(numbers: &[u64]) -> BTreeMap<HostName, State> {
        let state = |newest_sequence| State {
            user: "shop".into(),
            current: None,
            committed: None,
            newest_sequence,
            settled: false,
            drift: Drift::default(),
            unfinished: false,
            missing: Vec::new(),
            target: TargetCondition::Ready,
            place: None,
            free: 0,
            recovered: Vec::new(),
        };
        let host = |(index, number): (usize, &u64)| (format!("h{index}").parse().unwrap(), state(*number));
        numbers.iter().enumerate().map(host).collect()
    }

    fn next(numbers: &[u64], yes: bool) -> Result<u64, String> {
        next_number(&states(numbers), yes).map_err(|error| error.to_string())
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
        assert!(next(&[LAST_NUMBER], false).unwrap_err().contains("the highest number there is"));
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
