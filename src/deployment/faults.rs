//! Hosts of which the files are lost or damaged in which they keep what they know about their releases: what is told about that,
//! and what does not go without them.

use std::collections::BTreeMap;

use batou_agent::protocol::{JournaledRelease, RecordFault, State};
use batou_release::HostName;

use super::Deployment;
use super::number::believed_records;
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
                    RecordFault::Intent => {
                        "make sure that `current` points to the generation that is to be in force, then \
                                            remove that file; nothing is released there before"
                            .to_owned()
                    }
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
            "`batou switch {environment}` journals what it releases, which a rollback can restore from then on; to restore \
             something older, check out the commit that it was made from first"
        ));
        if lost.len() == states.len() {
            return Err(error);
        }
        let skips: Vec<_> = lost.iter().map(|host| format!("--skip {host}")).collect();
        Err(error.hint(format!("restore the other hosts alone with {}", skips.join(" "))))
    }

    /// Refuses to release where the host cannot tell which steps have run: it would find that out only once the others have
    /// switched, and all would go back.
    pub fn refuse_damaged_activations(&self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let is_damaged = |state: &State| state.faults.contains(&RecordFault::Activated);
        let damaged: Vec<_> =
            states.iter().filter(|(_, state)| is_damaged(state)).map(|(host, _)| &**host).collect();
        if damaged.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the file activated.json, which says which steps have run, is damaged on {}; {}",
            some_of(&damaged),
            self.unchanged()
        );
        Err(CommandError::failed(message).hint(
            "remove that file from the target directory there; the next release then converges every step once more",
        ))
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

/// What is wrong with a host that has nothing, where others have a release that was made for it, too: its target directory
/// was emptied, or it has been left out until now.
pub fn nothing_in_force(host: &HostName, states: &BTreeMap<HostName, State>) -> Option<String> {
    let state = states.get(host)?;
    if state.committed.is_some() || state.generation.is_some() || has_lost_journal(state) {
        return None;
    }
    let is_named = |(_, record): &&(&HostName, &JournaledRelease)| {
        record.hosts.contains(host) && !record.without.contains(host)
    };
    let records = believed_records(states);
    let (other, record) = records.iter().filter(is_named).max_by_key(|(_, record)| record.sequence)?;
    Some(format!(
        "no release is in force, although release {}, which is in force on {other}, names this host, too",
        record.sequence
    ))
}

/// Whether it is not known what a host has had.
pub fn has_lost_journal(state: &State) -> bool {
    state.faults.iter().copied().any(RecordFault::is_of_journal)
}
