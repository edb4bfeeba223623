//! What the hosts are to have.

use std::collections::BTreeMap;

use batou_agent::protocol::WantedRelease;
use batou_release::{HostName, HostRelease};
use batou_store::Digest;

use super::Deployment;
use crate::build::Built;
use crate::error::CommandError;

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
