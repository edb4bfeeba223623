//! The names of hosts, and who takes part in a release there.

use std::borrow::Borrow;
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The most bytes that a name may have (RFC 1035, 2.3.4).
const LONGEST: usize = 253;

/// A host's name in an environment: `[A-Za-z0-9._-]+` without a leading dash and with something between its dots, or an
/// IPv6 address. So it never passes for an option, a path or a control sequence, wherever it comes from.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// A text is not a host's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host's name")]
pub struct HostNameError(String);

/// The user as whom an agent takes part in a release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The service user, who owns the target directory.
    Service,
}

/// An agent that takes part in a release: its host, and the user as whom it runs there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Participant {
    /// On which host.
    pub host: HostName,
    /// As whom.
    pub role: Role,
}

impl HostName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, HostNameError> {
        let name = name.into();
        if is_name(&name) { Ok(Self(name)) } else { Err(HostNameError(name)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Anything else with a colon is a name with a port, and nothing can connect to a host of that name.
fn is_name(name: &str) -> bool {
    if name.contains(':') {
        return name.parse::<Ipv6Addr>().is_ok();
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let has_form = name.len() <= LONGEST && !name.starts_with('-') && name.bytes().all(allowed);
    has_form && name.strip_suffix('.').unwrap_or(name).split('.').all(|part| !part.is_empty())
}

impl Participant {
    /// The agent of a host's service user.
    pub fn service(host: HostName) -> Self {
        Participant { host, role: Role::Service }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl Deref for HostName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for HostName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for HostName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for HostName {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(name: String) -> Result<Self, HostNameError> {
        Self::new(name)
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> String {
        name.0
    }
}

impl std::str::FromStr for HostName {
    type Err = HostNameError;

    fn from_str(name: &str) -> Result<Self, HostNameError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_an_option_or_a_path_is_a_name() {
        let long = "a".repeat(254);
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a/b",
            "a\x1b[0m",
            "ä",
            "a$(id)",
            "a\n",
            "web01:22",
            "10.0.0.1:22",
            "[::1]",
            "::1:99999",
            "a..b",
            ".a",
            ".",
            "a..",
            &long,
        ] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
            assert!(serde_json::from_value::<HostName>(bad.into()).is_err(), "{bad:?}");
        }
        for good in ["web01.example.net.", "2001:db8::1", "10.0.0.1", "localhost", "a_b-c"] {
            assert_eq!(HostName::new(good).map(String::from), Ok(good.to_owned()));
        }
    }
}
