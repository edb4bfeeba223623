//! DNS, asked only where `.listen` of an address is used and `[resolver]` has no entry for its name.
//!
//! Templates cannot wait for an answer. So a name that is not known yet is noted, and the evaluation goes on to its
//! end and fails there. Then all noted names are looked up in parallel, and the evaluation is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 (A).
    V4,
    /// IPv6 (AAAA).
    V6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// DNS was deliberately not asked.
    #[error("not asked")]
    NotAsked,
    /// The name has no address of this family.
    #[error("there is no such address")]
    NoAddress,
    /// The lookup failed.
    #[error("{0}")]
    Failed(String),
}

/// Looks names up.
pub trait Dns: Sync {
    /// The addresses of a name.
    fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, DnsError>;
}

/// Asks no server: every answer is an address reserved for documentation, and the evaluation lists the names.
#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Dns for Offline {
    fn lookup(&self, _name: &str, _family: Family) -> Result<Vec<IpAddr>, DnsError> {
        Err(DnsError::NotAsked)
    }
}

/// What templates can be told about a name at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DnsAnswer {
    Address(IpAddr),
    /// The name has none of this family.
    None,
    Failed(String),
    /// Noted, to be asked at the end of this evaluation.
    Pending,
}

type DnsQuestion = (String, Family);

/// What is known about names: `[resolver]` first, then what was asked.
#[derive(Debug, Default)]
pub(crate) struct DnsAnswers {
    resolver: BTreeMap<String, Vec<IpAddr>>,
    state: Mutex<DnsState>,
}

#[derive(Debug, Default)]
struct DnsState {
    known: BTreeMap<DnsQuestion, DnsAnswer>,
    wanted: BTreeSet<DnsQuestion>,
    unresolved: BTreeSet<String>,
}

impl DnsAnswers {
    pub(crate) fn new(resolver: BTreeMap<String, Vec<IpAddr>>) -> DnsAnswers {
        DnsAnswers { resolver, state: Mutex::default() }
    }

    /// The address of a name, if it is known.
    pub(crate) fn get(&self, name: &str, family: Family) -> DnsAnswer {
        let of_family = |address: &&IpAddr| address.is_ipv4() == (family == Family::V4);
        if let Ok(address) = name.parse::<IpAddr>() {
            return Some(&address)
                .filter(of_family)
                .map_or(DnsAnswer::None, |address| DnsAnswer::Address(*address));
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(addresses) = self.resolver.get(&name) {
            return addresses
                .iter()
                .find(of_family)
                .map_or(DnsAnswer::None, |address| DnsAnswer::Address(*address));
        }
        let mut state = self.state();
        let question = (name, family);
        if let Some(answer) = state.known.get(&question) {
            return answer.clone();
        }
        state.wanted.insert(question);
        DnsAnswer::Pending
    }

    /// Looks up everything that was noted. Returns whether there was anything.
    pub(crate) fn ask(&self, dns: &dyn Dns) -> bool {
        let wanted: Vec<DnsQuestion> = std::mem::take(&mut self.state().wanted).into_iter().collect();
        let answers: Vec<_> =
            wanted.into_par_iter().map(|(name, family)| (dns.lookup(&name, family), name, family)).collect();
        let asked = !answers.is_empty();
        let mut state = self.state();
        for (result, name, family) in answers {
            let answer = match result {
                // Name servers rotate their answers: taking the lowest address keeps the configuration the same.
                Ok(addresses) => addresses
                    .into_iter()
                    .filter(|address| address.is_ipv4() == (family == Family::V4))
                    .min()
                    .map_or(DnsAnswer::None, DnsAnswer::Address),
                Err(DnsError::NoAddress) => DnsAnswer::None,
                Err(DnsError::Failed(reason)) => DnsAnswer::Failed(reason),
                Err(DnsError::NotAsked) => {
                    state.unresolved.insert(name.clone());
                    DnsAnswer::Address(documentation(family))
                }
            };
            state.known.insert((name, family), answer);
        }
        asked
    }

    /// The names that were not looked up.
    pub(crate) fn unresolved(&self) -> Vec<String> {
        self.state().unresolved.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, DnsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address reserved for documentation (RFC 5737 and RFC 3849).
pub(crate) fn documentation(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}
