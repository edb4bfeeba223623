//! Objects between the controller's store and the hosts': what is lacking, sending it, and fetching what is there.
//!
//! All of it blocks, and is done by `jobs` threads; the links' own threads keep the other agents informed meanwhile.
//! Nothing visible changes on a host.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use batou_store::{ArtifactId, Copied, Monitor, ObjectId, Silent, Store};

use super::{Answers, Failures, Fleet, Member, sort};
use crate::remote::{RemoteError, RemoteStore};
use batou_release::{HostName, Manifest, Participant};

/// What each host is to have.
pub type Manifests<'m> = BTreeMap<&'m HostName, &'m Manifest>;

impl Fleet {
    /// Sends every host what it lacks of its manifest.
    pub fn stage(
        &mut self,
        manifests: &Manifests<'_>,
        store: &Store,
        monitor: &dyn Monitor,
    ) -> Result<Copied, Failures> {
        let answers = self.in_threads(manifests, |member, manifest| {
            member.store()?.receive_from(store, &manifest.artifacts(), monitor)
        });
        let (copied, failures) = sort(answers);
        if !failures.is_empty() {
            return Err(failures);
        }
        let add = |sum: Copied, one: &Copied| Copied {
            objects: sum.objects + one.objects,
            bytes: sum.bytes + one.bytes,
        };
        Ok(copied.values().fold(Copied::default(), add))
    }

    /// What staging would send to each host.
    pub fn lacking(
        &mut self,
        manifests: &Manifests<'_>,
        store: &Store,
    ) -> Result<BTreeMap<HostName, Copied>, Failures> {
        let answers = self.in_threads(manifests, |member, manifest| {
            let objects = member.store()?.lacking_of(store, &manifest.artifacts())?;
            let bytes = objects.iter().map(ObjectId::size).sum();
            Ok(Copied { objects: objects.len() as u64, bytes })
        });
        all(answers)
    }

    /// Brings artifacts that hosts have into the controller's store, so that they can be compared.
    pub fn fetch(
        &mut self,
        manifests: &Manifests<'_>,
        wanted: impl Fn(&str, &Manifest) -> Vec<ArtifactId> + Sync,
        store: &Store,
    ) -> Result<(), Failures> {
        let answers = self.in_threads(manifests, |member, manifest| {
            let artifacts = wanted(&member.route.host, manifest);
            if !artifacts.is_empty() {
                member.store()?.send_to(store, &artifacts, &Silent)?;
            }
            Ok(())
        });
        all(answers).map(drop)
    }

    /// Does work that blocks with every host that has a manifest here.
    fn in_threads<T: Send>(
        &mut self,
        manifests: &Manifests<'_>,
        work: impl Fn(&mut Member, &Manifest) -> Result<T, RemoteError> + Sync,
    ) -> Answers<T> {
        let jobs = self.jobs.available_permits().clamp(1, self.members.len().max(1));
        let queue = Mutex::new(self.members.iter_mut());
        let answers = Mutex::new(BTreeMap::new());
        let serve = || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((Participant { host, .. }, member)) = next else { return };
                let Some(manifest) = manifests.get(host) else { continue };
                let answer = work(member, manifest);
                let answer = member.keep_unless_lost(answer);
                answers.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), answer);
            }
        };
        std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(serve))));
        answers.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Sends again what the agent has found damaged. Blocks.
    pub(super) fn mend(&mut self, manifest: &Manifest, store: &Store) -> Result<Copied, RemoteError> {
        // A link is waited for on a thread of its own, since this one may be driving the other hosts.
        let work = || self.store()?.receive_from(store, &manifest.artifacts(), &Silent);
        let sent = std::thread::scope(|scope| scope.spawn(work).join());
        sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn store(&mut self) -> Result<RemoteStore<'_>, RemoteError> {
        Ok(RemoteStore::new(self.connected()?))
    }
}

fn all<T>(answers: Answers<T>) -> Result<BTreeMap<HostName, T>, Failures> {
    let (good, failures) = sort(answers);
    if failures.is_empty() { Ok(good) } else { Err(failures) }
}
