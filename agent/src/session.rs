//! The state of one connection: what it is about, and what it holds.

use std::collections::HashSet;

use batou_store::{Generations, Lease, Lock, ObjectId, Store};
use batou_system::fs;

use crate::connection::Connection;
use crate::error::Error;
use crate::journal::Journal;
use crate::pointer::InForce;
use crate::protocol::{DriftedFile, Hello, PROTOCOL};
use crate::release::{self, Installed, Underway};
use crate::target::TargetDirectory;
use crate::turn::check_lock;
use crate::user::User;

/// What the connection is about; known once the controller has said hello.
pub(crate) struct About {
    /// What the controller said.
    pub(crate) hello: Hello,
    /// Where everything is.
    pub(crate) target: TargetDirectory,
    /// The user that the agent runs as.
    pub(crate) user: User,
}

impl About {
    /// Checks what must be right before anything else is done.
    pub(crate) fn new(hello: Hello) -> Result<Self, Error> {
        if hello.protocol != PROTOCOL {
            let theirs = hello.protocol;
            return Err(Error::Protocol(format!(
                "the controller speaks version {theirs} of the protocol, and this agent version {PROTOCOL}"
            )));
        }
        let user = User::current();
        let target = target(&hello.target_directory, &user)?;
        target.check_place()?;
        if let Some(wanted) = hello.home.as_ref().filter(|home| !user.lives_in(home)) {
            return Err(Error::Home { user: user.name, wanted: wanted.clone(), found: user.home });
        }
        Ok(Self { hello, target, user })
    }

    pub(crate) fn generations(&self) -> Result<Generations, Error> {
        Ok(Generations::open(self.target.directory())?)
    }

    /// The current generation. It is an error if it cannot be read, or if the target directory is another environment's.
    pub(crate) fn current(&self, generations: &Generations) -> Result<Option<Installed>, Error> {
        let InForce { installed, broken, .. } = self.in_force(generations)?;
        broken.map_or(Ok(installed), Err)
    }

    /// What is in force. It is an error if the target directory is another environment's.
    pub(crate) fn in_force(&self, generations: &Generations) -> Result<InForce, Error> {
        let in_force = InForce::of(&self.target, generations)?;
        match &in_force.installed {
            Some(installed) => self.check_owner(installed)?,
            None => self
                .newest_but(generations, in_force.number)?
                .as_ref()
                .map_or(Ok(()), |it| self.check_owner(it))?,
        }
        Ok(in_force)
    }

    /// The newest generation but this one that is as it was written, as far as the journal knows: where the current one
    /// cannot be read, or was changed, it tells whose they are.
    fn newest_but(&self, generations: &Generations, but: Option<u64>) -> Result<Option<Installed>, Error> {
        let written = Journal::of(&self.target).manifests()?;
        let is_written =
            |found: &Installed| written.get(&found.number).is_none_or(|made| *made == found.digest);
        let others = generations.list()?.into_iter().rev().filter(|number| Some(*number) != but);
        Ok(others.filter_map(|number| release::read(generations, number).ok()).find(is_written))
    }

    fn check_owner(&self, held: &Installed) -> Result<(), Error> {
        let (ours, theirs) = (&self.hello, &held.manifest);
        if (&ours.project, &ours.environment, &ours.host)
            == (&theirs.project, &theirs.environment, &theirs.host)
        {
            return Ok(());
        }
        let named = |project: &str, environment: &str, host: &str| {
            format!("project {project}, environment {environment} (host {host})")
        };
        Err(Error::Foreign {
            directory: self.target.directory().to_owned(),
            held: named(&theirs.project, &theirs.environment, &theirs.host),
            wanted: named(&ours.project, &ours.environment, &ours.host),
        })
    }
}

/// The target directory that a controller names. `~` in it is the home of the agent's user: where it is on a host that has
/// left its environment, only the host knows. Of two homes it is the one with something of batou's below it.
fn target(written: &str, user: &User) -> Result<TargetDirectory, Error> {
    let rest = written.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(rest) = rest else { return TargetDirectory::new(written) };
    let below = |home: &String| TargetDirectory::new(&format!("{}{rest}", home.trim_end_matches('/')));
    let mut targets = user.homes().iter().map(below).collect::<Result<Vec<_>, _>>()?;
    let has_release = |target: &TargetDirectory| fs::is_taken(target.journal());
    let position = targets.iter().position(has_release).unwrap_or(0);
    Ok(targets.swap_remove(position))
}

/// What a connection holds once it has the host's lock.
pub(crate) struct Locked {
    /// The store.
    pub(crate) store: Store,
    /// What protects staged objects from gc.
    pub(crate) leases: Vec<Lease>,
    /// Objects that were found damaged: they count as missing until they have been sent again.
    pub(crate) damaged: HashSet<ObjectId>,
    /// The files that have been found not to be as they were released, and are told of once they are mended.
    pub(crate) mending: Vec<DriftedFile>,
    /// Whether an object turned out to be damaged that counted as present: what is asked for is then looked into.
    pub(crate) suspicious: bool,
    /// The release that is switched and not committed, while the host can still go back.
    pub(crate) underway: Option<Underway>,
    /// The lock. As the last field it is released after everything else.
    pub(crate) lock: Lock,
}

impl Locked {
    /// What a connection holds at first.
    pub(crate) fn new(store: Store, lock: Lock) -> Self {
        Self {
            store,
            leases: Vec::new(),
            damaged: HashSet::new(),
            mending: Vec::new(),
            suspicious: false,
            underway: None,
            lock,
        }
    }

    /// See [`check_lock`].
    pub(crate) fn check_lock(&self, about: &About) -> Result<(), Error> {
        check_lock(&about.target, &self.lock)
    }
}

/// One connection.
pub(crate) struct Session {
    /// To the controller.
    pub(crate) connection: Connection,
    /// From the hello on.
    pub(crate) about: Option<About>,
    /// While the lock is held.
    pub(crate) locked: Option<Locked>,
    /// Whether the rest of a refused stream of objects is being ignored.
    pub(crate) skipping: bool,
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, about: None, locked: None, skipping: false }
    }

    /// What the connection is about; an error before the hello.
    pub(crate) fn about(&self) -> Result<&About, Error> {
        self.about.as_ref().ok_or_else(no_hello)
    }

    /// What a request needs that changes something; an error without the lock.
    pub(crate) fn locked(&mut self) -> Result<(&About, &mut Locked, &mut Connection), Error> {
        let about = self.about.as_ref().ok_or_else(no_hello)?;
        let locked =
            self.locked.as_mut().ok_or_else(|| Error::Unlocked(about.target.directory().to_owned()))?;
        Ok((about, locked, &mut self.connection))
    }

    /// Like [`Self::locked`], while no release is under way.
    pub(crate) fn idle(&mut self) -> Result<(&About, &mut Locked, &mut Connection), Error> {
        let (about, locked, connection) = self.locked()?;
        if locked.underway.is_some() {
            return Err(Error::Protocol(
                "a release is under way: it has to be committed, or the host has to go back, first".into(),
            ));
        }
        Ok((about, locked, connection))
    }

    /// Whether a release is under way.
    pub(crate) fn is_underway(&self) -> bool {
        self.locked.as_ref().is_some_and(|locked| locked.underway.is_some())
    }
}

pub(crate) fn no_hello() -> Error {
    Error::Protocol("the first message has to be a hello".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_target_below_the_home_is_found_in_the_home_that_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home").to_str().unwrap().to_owned();
        let user = User { uid: 990, name: "shop".into(), home: home.clone() };
        let found =
            |written: &str| target(written, &user).map(|found| found.directory().display().to_string());
        std::fs::create_dir_all(format!("{home}/shop")).unwrap();
        std::fs::write(format!("{home}/shop/journal"), "").unwrap();
        assert_eq!(found("~/shop").unwrap(), format!("{home}/shop"));
        assert!(found("~/nothing").unwrap().ends_with("/nothing"));
        assert_eq!(found("/srv/~/shop").unwrap(), "/srv/~/shop");
        for bad in ["~shop", "~/../shop", "shop", "~/./shop"] {
            assert!(found(bad).is_err(), "{bad}");
        }
    }
}
