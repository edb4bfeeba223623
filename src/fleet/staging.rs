//! Objects between the controller's store and the hosts': what is lacking, sending it, and fetching what is there.
//!
//! Copying reads and writes files, so each host has a thread for it, `jobs` of them at a time; the links' own threads keep
//! the agents informed meanwhile. Nothing visible changes on a host.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_store::{Copied, Monitor, ObjectId, Silent, Store};

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

    /// Brings the artifacts that hosts have and the controller's store has not into it, so that they can be compared.
    pub async fn fetch(&mut self, manifests: &Manifests<'_>, store: &Arc<Store>) -> Result<(), Failures> {
        let fetched = self.copy(manifests, |manifest| {
            let (store, mut artifacts) = (Arc::clone(store), manifest.artifacts());
            move |host| {
                artifacts.retain(|id| !store.contains(&ObjectId::Artifact(*id)).unwrap_or(false));
                if !artifacts.is_empty() {
                    host.send_to(&store, &artifacts, &Silent)?;
                }
                Ok(())
            }
        });
        all(fetched.await).map(drop)
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
