//! Hosts of which the files are lost or damaged in which they keep what they know about their releases: what is told about that,
//! and what does not go without them.

use std::collections::BTreeMap;

use batou_agent::protocol::{RecordFault, State};
use batou_release::HostName;

use super::Deployment;
use crate::error::CommandError;
use crate::ui::fault::problem;
use crate::ui::some_of;

impl Deployment<'_> {
    /// Names these hosts, and says what puts them right.
    pub fn name_faults(&self, states: &BTreeMap<HostName, State>) {
        let environment = &self.policy.name;
        for (host, state) in states {
            for fault in &state.faults {
                let remedy = match fault {
                    RecordFault::Manifest => format!("`batou switch {environment}` makes another generation"),
                    RecordFault::Activated => format!(
                        "remove that file, and `batou switch {environment}` converges every step once more"
                    ),
                    RecordFault::Running => format!(
                        "`batou switch {environment}` removes it, and then a step that is still running is not ended"
                    ),
                    _ => format!("`batou switch {environment}` puts that right, in a release of its own"),
                };
                self.context.ui.warn(&format!("{host}: {}: {remedy}", problem(*fault, state.generation)));
            }
        }
    }

    /// Refuses to restore anything where it is not known what a host has had: the others would be restored without it.
    pub fn refuse_lost_journals(&self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let lost: Vec<_> =
            states.iter().filter(|(_, state)| has_lost_journal(state)).map(|(host, _)| &**host).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let environment = &self.policy.name;
        let message =
            format!("the journal does not say what was in force on {}; {}", some_of(&lost), self.unchanged());
        let error = CommandError::failed(message).hint(format!(
            "`batou switch {environment}` journals what it releases, and a rollback works from there on; to restore something \
             older now, check out the commit that it was made from first"
        ));
        if lost.len() == states.len() {
            return Err(error);
        }
        let skips: Vec<_> = lost.iter().map(|host| format!("--skip {host}")).collect();
        Err(error.hint(format!("restore the other hosts alone with {}", skips.join(" "))))
    }

    /// What to do where the manifest in force is needed, and is damaged or missing on a host.
    pub fn advise_on_manifests(&self, states: &BTreeMap<HostName, State>) -> Option<String> {
        let is_damaged = |state: &State| state.faults.contains(&RecordFault::Manifest);
        states.values().any(is_damaged).then(|| {
            format!(
                "check out the commit that is in force and `batou switch {}`, which makes the damaged generation anew; \
                 then roll back",
                self.policy.name
            )
        })
    }
}

/// Whether it is not known what a host has had.
pub fn has_lost_journal(state: &State) -> bool {
    state.faults.iter().copied().any(RecordFault::is_of_journal)
}
