//! Hosts: how their names are normalised and what is known about each.

use std::collections::BTreeMap;

use batou_release::HostName;
use serde::{Deserialize, Serialize};

use crate::project::facts::HostFacts;

/// One host of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// As in `[hosts]`: lower case, without a trailing dot, without the environment's `host_domain`.
    pub name: HostName,
    /// The name with the environment's `host_domain`, unless it has a dot of its own.
    pub fqdn: String,
    /// Where ssh connects: `address` of `[host.X]`, else the FQDN.
    pub address: String,
    /// Its platform, else the environment's.
    pub platform: Option<String>,
    /// The user that components are deployed as, if it is known before the host is asked.
    pub service_user: Option<String>,
    /// What `~` in `target_directory` was taken for; `None` where there is no `~`, so that it does not matter.
    pub home: Option<String>,
    /// Absolute path of everything that batou keeps on the host.
    pub target_directory: String,
    /// Overrides the detection of whether sudo is needed.
    pub require_sudo: Option<bool>,
    /// Evaluated, as others may depend on it, but not deployed.
    pub ignored: bool,
    /// `data-NAME` of `[host.X]`, by NAME.
    pub data: BTreeMap<String, String>,
    /// What facts.lock says about it; only an evaluation reads this.
    #[serde(skip)]
    pub facts: HostFacts,
}

/// Lower case, without trailing dot and without the environment's domain.
pub(crate) fn normalise(name: &str, domain: Option<&str>) -> String {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let short = domain.and_then(|domain| name.strip_suffix(domain)?.strip_suffix('.'));
    // A short name with a dot would not get the domain back, so `a.b.example.net` stays as it is.
    short.filter(|short| !short.is_empty() && !short.contains(['.', ':'])).unwrap_or(name).to_owned()
}

/// The domain as written in `host_domain`, in the form that [`normalise`] and [`fqdn`] use.
pub(crate) fn normalise_domain(domain: &str) -> String {
    domain.trim_matches('.').to_ascii_lowercase()
}

/// `web01` -> `web01.example.net`; a name with a dot or an IPv6 address is already complete.
pub(crate) fn fqdn(name: &str, domain: Option<&str>) -> String {
    match domain {
        Some(domain) if !name.contains(['.', ':']) && !domain.is_empty() => format!("{name}.{domain}"),
        _ => name.to_owned(),
    }
}

/// The home of a user, unless the environment says otherwise.
pub(crate) fn home_of(user: &str) -> String {
    if user == "root" { "/root".to_owned() } else { format!("/home/{user}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_name() {
        let domain = Some("example.net");
        for written in ["web01", "WEB01", "web01.", "Web01.Example.NET", "web01.example.net."] {
            assert_eq!(normalise(written, domain), "web01");
            assert_eq!(fqdn(&normalise(written, domain), domain), "web01.example.net");
        }
        assert_eq!(normalise("a.b.example.net", domain), "a.b.example.net");
        assert_eq!(fqdn("db.other.org", domain), "db.other.org");
        assert_eq!(normalise("example.net", domain), "example.net");
        assert_eq!(normalise("web01.example.net", None), "web01.example.net");
        assert_eq!(fqdn("2001:db8::1", domain), "2001:db8::1");
    }

    #[test]
    fn homes() {
        assert_eq!(home_of("root"), "/root");
        assert_eq!(home_of("shop"), "/home/shop");
    }
}
