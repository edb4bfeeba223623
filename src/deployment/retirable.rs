//! Hosts that had a release and are no longer in the environment: the newest release remembers them.
//!
//! A host can invent names, and the next release would write them into the journals of all others. So a name that
//! the project does not have is believed if a second host remembers it, too, or if there is no second one.

use std::collections::BTreeMap;

use batou_agent::protocol::State;
use batou_release::HostName;

use super::Deployment;
use super::number::{believed_records, newest_records};
use crate::ui::{plural, some_of};

/// How many hosts are named.
const NAMED: usize = 10;

/// The hosts that the newest release had and the environment does not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GoneHosts {
    /// Those that are remembered by two hosts, or by the only one that has a release.
    pub known: Vec<HostName>,
    /// Those that only one of several hosts remembers, by that host.
    pub doubtful: BTreeMap<HostName, Vec<HostName>>,
}

impl GoneHosts {
    /// What the hosts remember, apart from those of which `is_member` knows.
    pub fn of(states: &BTreeMap<HostName, State>, is_member: impl Fn(&HostName) -> bool) -> Self {
        let records = believed_records(states);
        let mut witnesses: BTreeMap<&HostName, Vec<&HostName>> = BTreeMap::new();
        for (witness, record) in &records {
            for name in record.hosts.iter().filter(|name| !is_member(name)) {
                witnesses.entry(name).or_default().push(witness);
            }
        }
        let mut gone = GoneHosts::default();
        // A host that was left out when another one was retired still remembers it.
        for (witness, record) in newest_records(states) {
            for name in &*record.hosts {
                match witnesses.remove(name).as_deref() {
                    None => {}
                    Some([_]) if records.len() > 1 => {
                        gone.doubtful.entry(witness.clone()).or_default().push(name.clone());
                    }
                    Some(_) => gone.known.push(name.clone()),
                }
            }
        }
        gone.known.sort();
        gone
    }
}

impl Deployment<'_> {
    /// Names hosts that had a release and are no longer in the environment.
    pub fn name_retirable(&self, states: &BTreeMap<HostName, State>, is_member: impl Fn(&HostName) -> bool) {
        let environment = &self.policy.name;
        let gone = GoneHosts::of(states, is_member);
        for host in gone.known.iter().take(NAMED) {
            self.context.ui.warn(&format!(
                "{host} is no longer in {environment} and keeps its last release: `batou retire {environment} {host}` removes it"
            ));
        }
        if gone.known.len() > NAMED {
            let more = plural(gone.known.len() - NAMED, "more host");
            self.context.ui.warn(&format!("and {more} that had the last release"));
        }
        self.name_doubtful(&gone);
    }

    /// Names the hosts of which only one host knows: the next release forgets them. Their names are not given in a
    /// command to paste: they may be invented.
    pub fn name_doubtful(&self, gone: &GoneHosts) {
        let environment = &self.policy.name;
        for (witness, names) in &gone.doubtful {
            let names: Vec<_> = names.iter().map(|name| &**name).collect();
            let count = plural(names.len(), "host");
            self.context.ui.warn(&format!(
                "{witness} alone remembers {count} that {environment} does not have: {}; this is not passed on to other hosts. \
                 If batou released there, `batou retire {environment} HOST` removes it",
                some_of(&names)
            ));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_agent::protocol::{HostNames, JournaledRelease};
    use batou_store::Digest;

    use super::super::number::tests::state;
    use super::*;

    /// What is gone, if each host has committed a release of this number with these hosts.
    fn gone(said: &[(&str, u64, &str)]) -> (String, String) {
        let states = said.iter().map(|(host, sequence, names)| {
            let names = names.split_whitespace().map(|name| name.parse().unwrap()).collect();
            let record = JournaledRelease {
                release: Digest::of(b"x"),
                sequence: *sequence,
                restores: None,
                forgets: None,
                disregards: None,
                who: "a@b".into(),
                attempt: 1,
                hosts: HostNames::new(names).unwrap(),
                without: HostNames::default(),
            };
            (host.parse().unwrap(), State { committed: Some(record), ..state(*sequence) })
        });
        let members = ["a", "b", "c"];
        let gone = GoneHosts::of(&states.collect(), |name| members.contains(&&**name));
        let doubtful = gone.doubtful.iter().map(|(host, names)| format!("{host}: {}", names.join(" ")));
        (gone.known.join(" "), doubtful.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn a_name_that_one_of_several_hosts_invents_is_not_believed() {
        let expected = |known: &str, doubtful: &str| (known.to_owned(), doubtful.to_owned());
        assert_eq!(gone(&[("a", 3, "a b x"), ("b", 3, "a b x")]), expected("x", ""));
        assert_eq!(gone(&[("a", 3, "a b x"), ("b", 3, "a b x y")]), expected("x", "b: y"));
        assert_eq!(gone(&[("a", 3, "a b x"), ("b", 9, "y z")]), expected("", "b: y z"));
        assert_eq!(gone(&[("a", 3, "a x")]), expected("x", ""), "there is nobody else to ask");
        assert_eq!(gone(&[("a", 3, "a b x"), ("b", 2, "a b x y")]), expected("x", ""), "y is retired");
        let far = [("a", 3, "a b x"), ("b", 3, "a b x"), ("c", 9000, "a y")];
        assert_eq!(gone(&far), expected("x", ""), "whose number is not believed, is not");
    }
}
