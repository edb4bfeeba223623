//! Hosts that had a release and are no longer in the environment: the newest release remembers them.

use std::collections::BTreeMap;

use batou_agent::protocol::{JournaledRelease, State};
use batou_environments::Host;
use batou_release::HostName;

use super::Deployment;
use crate::ui::plural;

/// How many hosts are named.
const NAMED: usize = 10;

impl Deployment<'_> {
    /// Names hosts that had a release and are no longer in the environment.
    pub fn name_retirable(&self, states: &BTreeMap<HostName, State>, hosts: &[Host]) {
        let environment = &self.policy.name;
        let gone = retirable(states, hosts);
        for host in gone.iter().take(NAMED) {
            self.context.ui.warn(&format!(
                "{host} is no longer in {environment} and keeps its last release: `batou retire {environment} {host}` removes it"
            ));
        }
        if gone.len() > NAMED {
            let more = plural(gone.len() - NAMED, "more host");
            self.context.ui.warn(&format!("and {more} that had the last release"));
        }
    }
}

/// The hosts of the newest release that are no longer in the environment.
fn retirable(states: &BTreeMap<HostName, State>, hosts: &[Host]) -> Vec<HostName> {
    let then = newest(states).map(|record| record.hosts.to_vec()).unwrap_or_default();
    then.into_iter().filter(|name| hosts.iter().all(|host| host.name != *name || host.ignored)).collect()
}

/// The newest release that is committed on any of the hosts.
pub fn newest(states: &BTreeMap<HostName, State>) -> Option<&JournaledRelease> {
    states.values().filter_map(|state| state.committed.as_ref()).max_by_key(|record| record.sequence)
}
