//! What the hosts are to have.

use std::collections::BTreeMap;

use batou_agent::protocol::{State, WantedRelease};
use batou_release::{HostName, HostRelease};
use batou_store::Digest;

use super::Deployment;
use crate::build::Built;
use crate::error::CommandError;
use crate::ui::Ui;
use crate::ui::line::Line;

impl Deployment<'_> {
    /// Evaluates the environment, builds it into the controller's store and records the result there.
    pub fn build(&self) -> Result<Built, CommandError> {
        Ok(self.context.build(&self.policy.name)?.1)
    }

    /// Tells the hosts which release they will be asked about.
    pub fn want(&mut self, hosts: &BTreeMap<HostName, HostRelease>, release: Digest) {
        for (host, wanted) in hosts {
            let artifacts = wanted.manifest().artifacts();
            self.fleet.want(host, WantedRelease { release, manifest: wanted.digest(), artifacts });
        }
    }
}

/// Whether every host has the wanted release and nothing left to do.
pub fn is_settled(states: &BTreeMap<HostName, State>) -> bool {
    !states.is_empty() && states.values().all(|state| state.settled)
}

/// Says that a release is in force without having to be made.
pub fn tell_in_force(ui: &Ui, environment: &str, release: Digest) {
    ui.json(&Line::Released {
        environment,
        release: release.into(),
        changed: false,
        sequence: None,
        restores: None,
        again: None,
    });
    ui.line(&format!("{environment}: nothing to do, release {} is in force", release.short()));
}
