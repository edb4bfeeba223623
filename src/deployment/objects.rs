//! Objects between the controller's store and the hosts. What turns out to be damaged here is rebuilt, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_release::{HostName, HostRelease};
use batou_store::{ArtifactId, Copied, Monitor};

use super::Deployment;
use super::failure::chain;
use crate::context::Context;
use crate::error::CommandError;
use crate::fleet::{Failures, Fleet};
use crate::mending::Needed;
use crate::remote::RemoteError;

/// Rebuilds the damaged ones among some artifacts. A failure is only reported; whoever needs the artifact then
/// fails.
pub(super) fn remake(context: &Context, environment: &str) -> impl Fn(&[ArtifactId]) -> bool {
    move |artifacts| {
        let artifacts = artifacts.iter().copied().collect();
        let needed = Needed { environments: [environment.to_owned()].into(), artifacts, ..Needed::default() };
        context.mend(&needed).unwrap_or_else(|error| {
            context.ui.warn(&chain(&error));
            false
        })
    }
}

impl Deployment<'_> {
    /// Sends every host the parts of its release that it lacks. `what` is used in the error about hosts where
    /// that fails.
    pub async fn stage<'r>(
        &mut self,
        releases: impl IntoIterator<Item = (&'r HostName, &'r HostRelease)>,
        monitor: &Arc<impl Monitor + Send + 'static>,
        what: &str,
    ) -> Result<Copied, CommandError> {
        let releases: Vec<_> = releases.into_iter().collect();
        let store = self.context.store()?;
        let needed = Needed::of(&self.policy.name, releases.iter().map(|(_, release)| *release));
        let manifests = releases.into_iter().map(|(host, release)| (host, release.manifest())).collect();
        let stage = async |fleet: &mut Fleet| fleet.stage(&manifests, store, monitor).await;
        self.mending(&needed, what, stage).await
    }

    /// What staging would send to each host. Everything needed is rebuilt if part of it is damaged.
    pub async fn lacking(
        &mut self,
        releases: &BTreeMap<HostName, HostRelease>,
        needed: &Needed,
    ) -> Result<BTreeMap<HostName, Copied>, CommandError> {
        let store = self.context.store()?;
        let manifests = releases.iter().map(|(host, release)| (host, release.manifest())).collect();
        let lacking = async |fleet: &mut Fleet| fleet.lacking(&manifests, store).await;
        self.mending(needed, "cannot tell what is lacking", lacking).await
    }

    /// Does something with objects of the controller's store, and once more if some of them had to be rebuilt.
    async fn mending<T>(
        &mut self,
        needed: &Needed,
        what: &str,
        work: impl AsyncFn(&mut Fleet) -> Result<T, Failures>,
    ) -> Result<T, CommandError> {
        let failures = match work(&mut self.fleet).await {
            Ok(done) => return Ok(done),
            Err(failures) => failures,
        };
        let ours = failures.values().any(|error| matches!(error, RemoteError::Store(_)));
        if ours && self.context.mend(needed)? {
            return work(&mut self.fleet).await.map_err(|failures| self.failed(what, &failures));
        }
        Err(self.failed(what, &failures))
    }
}
