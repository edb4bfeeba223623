//! Objects between the controller's store and the hosts': what is lacking, sending it, and fetching what is there.
//!
//! Copying reads and writes files, so each host has a thread for it, `jobs` of them at a time; the links' own threads keep
//! the agents informed meanwhile. Nothing visible changes on a host.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_store::{Copied, Depot, Monitor, ObjectId, Silent, Store};

use super::{ByHost, Failures, Fleet, Member, all};
use crate::remote::{RemoteError, RemoteStore};
use batou_release::{HostName, Manifest};

/// What each host is to have.
pub type Manifests<'m> = BTreeMap<&'m HostName, &'m Manifest>;

impl Fleet {
    /// Sends every host what it lacks of its manifest.
    pub async fn stage(
        &mut self,
        manifests: &Manifests<'_>,
        store: &Arc<Store>,
        monitor: &Arc<impl Monitor + Send + 'static>,
    ) -> Result<Copied, Failures> {
        let copied = self.copy(manifests, |manifest| {
            let (store, monitor, artifacts) = (Arc::clone(store), Arc::clone(monitor), manifest.artifacts());
            move |host| host.receive_from(&store, &artifacts, &*monitor)
        });
        let add = |sum: Copied, one: &Copied| Copied {
            objects: sum.objects + one.objects,
            bytes: sum.bytes + one.bytes,
        };
        Ok(all(copied.await)?.values().fold(Copied::default(), add))
    }

    /// What staging would send to each host.
    pub async fn lacking(
        &mut self,
        manifests: &Manifests<'_>,
        store: &Arc<Store>,
    ) -> Result<BTreeMap<HostName, Copied>, Failures> {
        let lacking = self.copy(manifests, |manifest| {
            let (store, artifacts) = (Arc::clone(store), manifest.artifacts());
            move |host| {
                let objects = host.lacking_of(&store, &artifacts)?;
                let bytes = objects.iter().map(ObjectId::size).sum();
                Ok(Copied { objects: objects.len() as u64, bytes })
            }
        });
        all(lacking.await)
    }

    /// Reads from the stores of hosts what is wanted of each.
    pub async fn read<W: Send + Sync + 'static, T: Send + 'static>(
        &mut self,
        wanted: BTreeMap<HostName, W>,
        read: fn(&mut dyn Depot, &W) -> Result<T, batou_store::Error>,
    ) -> Result<BTreeMap<HostName, T>, Failures> {
        let wanted: BTreeMap<_, _> =
            wanted.into_iter().map(|(host, wanted)| (host, Arc::new(wanted))).collect();
        let copy = async |member: &mut Member| {
            let wanted = Arc::clone(wanted.get(&member.route.host).ok_or(RemoteError::Protocol)?);
            member.copy(move |host| host.read(|depot| read(depot, &wanted))).await
        };
        all(self.some(|host| wanted.contains_key(host), copy).await)
    }

    /// Does what `work` makes of a manifest with every host that has one here.
    async fn copy<T, W>(&mut self, manifests: &Manifests<'_>, work: impl Fn(&Manifest) -> W) -> ByHost<T>
    where
        T: Send + 'static,
        W: FnOnce(RemoteStore<'_>) -> Result<T, RemoteError> + Send + 'static,
    {
        let copy = async |member: &mut Member| {
            let manifest = manifests.get(&member.route.host).ok_or(RemoteError::Protocol)?;
            member.copy(work(manifest)).await
        };
        self.some(|host| manifests.contains_key(host), copy).await
    }
}

impl Member {
    /// Sends again what the agent has found damaged.
    pub(super) async fn mend(
        &mut self,
        manifest: &Manifest,
        store: &Arc<Store>,
    ) -> Result<Copied, RemoteError> {
        let (store, artifacts) = (Arc::clone(store), manifest.artifacts());
        self.copy(move |host| host.receive_from(&store, &artifacts, &Silent)).await
    }
}
