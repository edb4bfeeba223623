//! Names to addresses, in pure Rust, since a static binary has no name service: /etc/hosts first, then the
//! servers of /etc/resolv.conf. Made when the first name is looked up, so that most commands never read either
//! file.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use batou_environments::{Dns, DnsError, Family};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::runtime::Runtime;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The system's resolver. Several threads may look up names at once, but async code must not.
#[derive(Default)]
pub struct SystemDns {
    client: OnceLock<Result<Client, Failure>>,
}

struct Client {
    runtime: Runtime,
    v4: TokioResolver,
    v6: TokioResolver,
}

impl Client {
    fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let resolver = |strategy| {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().ip_strategy = strategy;
            builder.options_mut().timeout = TIMEOUT / 2;
            builder.build()
        };
        let inside = runtime.enter();
        let v4 = resolver(LookupIpStrategy::Ipv4Only)?;
        let v6 = resolver(LookupIpStrategy::Ipv6Only)?;
        drop(inside);
        Ok(Self { runtime, v4, v6 })
    }

    fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, Failure> {
        let resolver = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let answer = async { tokio::time::timeout(TIMEOUT, resolver.lookup_ip(name)).await };
        match self.runtime.block_on(answer) {
            Err(_) => Err(Failure::TimedOut),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(found)) => Ok(found.iter().collect()),
        }
    }
}

impl Dns for SystemDns {
    fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, DnsError> {
        let failed = |failure: &Failure| DnsError::Failed(failure.to_string());
        let client = self.client.get_or_init(Client::new).as_ref().map_err(failed)?;
        let mut found = client.lookup(name, family).map_err(|failure| failed(&failure))?;
        // Answers arrive in any order, but the same configuration must give the same release.
        found.sort();
        found.dedup();
        if found.is_empty() { Err(DnsError::NoAddress) } else { Ok(found) }
    }
}

/// Why a name could not be looked up.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the resolver cannot be started: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Net(#[from] hickory_resolver::net::NetError),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_hosts_file_is_honoured() {
        let found = SystemDns::default().lookup("localhost", Family::V4).unwrap();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
    }
}
