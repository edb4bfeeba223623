//! Bounds of what the other side says, checked where it is read: whoever gets a message may rely on them. A host that lies
//! can say what is untrue, but nothing that another host, a journal or a terminal could not take.

use std::fmt;
use std::ops::Deref;

use batou_release::HostName;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The last number of a release, of a generation, and of whatever else is counted: every reader of JSON has it exactly.
pub const LAST_NUMBER: u64 = (1 << 53) - 1;
/// The most bytes that a label may have.
pub const LONGEST_LABEL: usize = 1 << 10;
/// The most bytes that a path may have, as Linux counts them.
pub const LONGEST_PATH: usize = 4096;
/// The most bytes that a list of hosts may have, in JSON: an intent and a line of the journal have room for it.
pub const LONGEST_HOSTS: usize = 256 << 10;

/// Hosts by name, not more than a journal can take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HostNames(Vec<HostName>);

/// A list of hosts is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the names of {0} hosts are more than a journal takes")]
pub struct HostNamesError(usize);

/// How much of a list of hosts is used up.
#[derive(Default)]
struct HostRoom(usize);

impl HostRoom {
    /// Whether there was room for one more name.
    fn takes(&mut self, name: &HostName) -> bool {
        // With its quotes and a comma.
        self.0 += name.len() + 3;
        self.0 <= LONGEST_HOSTS
    }
}

impl HostNames {
    /// All of these, or an error.
    pub fn new(names: Vec<HostName>) -> Result<Self, HostNamesError> {
        let mut room = HostRoom::default();
        if names.iter().all(|name| room.takes(name)) {
            Ok(Self(names))
        } else {
            Err(HostNamesError(names.len()))
        }
    }

    /// As many of these as there is room for, from the first on, and how many are left out.
    pub fn first_of(names: Vec<HostName>) -> (Self, usize) {
        let (mut room, count) = (HostRoom::default(), names.len());
        let taken: Vec<_> = names.into_iter().take_while(|name| room.takes(name)).collect();
        let left_out = count - taken.len();
        (Self(taken), left_out)
    }
}

impl Deref for HostNames {
    type Target = [HostName];

    fn deref(&self) -> &[HostName] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for HostNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(HostNamesVisitor)
    }
}

/// Whether there are none.
pub(super) fn no_hosts(hosts: &HostNames) -> bool {
    hosts.is_empty()
}

struct HostNamesVisitor;

impl<'de> Visitor<'de> for HostNamesVisitor {
    type Value = HostNames;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "names of hosts, of at most {LONGEST_HOSTS} bytes together")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<HostNames, A::Error> {
        let (mut room, mut taken) = (HostRoom::default(), Vec::new());
        while let Some(name) = names.next_element::<HostName>()? {
            if !room.takes(&name) {
                return Err(A::Error::custom(HostNamesError(taken.len() + 1)));
            }
            taken.push(name);
        }
        Ok(HostNames(taken))
    }
}

/// A number that can be counted on from.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number <= LAST_NUMBER { Ok(number) } else { Err(too_large(number)) }
}

/// The same, where there may be none.
pub(super) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<u64>::deserialize(deserializer)? {
        Some(number) if number > LAST_NUMBER => Err(too_large(number)),
        other => Ok(other),
    }
}

fn too_large<E: Error>(number: u64) -> E {
    E::custom(format_args!("{number} is larger than {LAST_NUMBER}"))
}

/// A short text on one line: the name of a user, a machine, a project.
pub(super) fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > LONGEST_LABEL {
        return Err(D::Error::custom(format_args!("a name has {} bytes", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(D::Error::custom(format_args!("{text:?} has control characters")));
    }
    Ok(text)
}

/// A list of at most so many.
pub(super) fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.len() <= MOST {
        Ok(list)
    } else {
        Err(D::Error::custom(format_args!("a list has {} items", list.len())))
    }
}

/// A path of a length that a host can have. It may have any characters.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.len() <= LONGEST_PATH {
        Ok(path)
    } else {
        Err(D::Error::custom(format_args!("a path has {} bytes", path.len())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(count: usize, length: usize) -> Vec<HostName> {
        (0..count)
            .map(|number| HostName::new(format!("h{number:0>width$}", width = length - 1)).unwrap())
            .collect()
    }

    #[test]
    fn a_list_of_hosts_has_room_for_a_thousand_and_not_for_more_than_a_journal_takes() {
        let long = names(1000, 253);
        assert_eq!(HostNames::new(long.clone()).unwrap().len(), 1000);
        let longer = names(2000, 253);
        assert_eq!(HostNames::new(longer.clone()), Err(HostNamesError(2000)));
        let text = serde_json::to_string(&longer).unwrap();
        assert!(serde_json::from_str::<HostNames>(&text).is_err());
        let (first, left_out) = HostNames::first_of(longer);
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(first.len() + left_out, 2000);
        assert!(text.len() <= LONGEST_HOSTS + 1 && text.len() > LONGEST_HOSTS - 300, "{}", text.len());
        assert_eq!(serde_json::from_str::<HostNames>(&text).unwrap(), first, "it can be read again");
    }
}
