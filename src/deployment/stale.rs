//! What is refused once the hosts are locked, since others have released meanwhile.

use std::collections::BTreeMap;

use batou_agent::protocol::State;
use batou_release::HostName;
use batou_store::Digest;

use crate::error::CommandError;

/// Refuses to go back if there has been a release since the hosts were first asked: the user has not seen it.
pub(super) fn unreleased(
    before: &BTreeMap<HostName, State>,
    states: &BTreeMap<HostName, State>,
) -> Result<(), CommandError> {
    let committed = |state: Option<&State>| state.and_then(|state| state.committed.clone());
    let changed = |host: &&HostName| committed(before.get(*host)) != committed(states.get(*host));
    let hosts: Vec<_> = states.keys().filter(changed).cloned().collect();
    if hosts.is_empty() {
        return Ok(());
    }
    let hosts = hosts.join(", ");
    let message = format!("another release has just been made on {hosts}; nothing was restored");
    Err(CommandError::failed(message)
        .hint("see `batou history ENV`, and `batou rollback` again to restore the one before it"))
}

/// Refuses the plan if a host has another release than when the plan was made. Hosts that are left out do not
/// count.
pub fn unmoved(
    expected: &BTreeMap<HostName, Option<Digest>>,
    states: &BTreeMap<HostName, State>,
) -> Result<(), CommandError> {
    let current = |state: &State| state.current.as_ref().map(|current| current.manifest);
    let has_moved =
        |(host, state): &(&HostName, &State)| expected.get(*host).is_some_and(|then| current(state) != *then);
    let moved: Vec<_> = states.iter().filter(has_moved).map(|(host, _)| host.as_str()).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let hosts = moved.join(", ");
    let message =
        format!("the plan is stale: another release has been made since on {hosts}; nothing was changed");
    Err(CommandError::failed(message).hint("make a new one with `batou plan ENV -o FILE`"))
}
