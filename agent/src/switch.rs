//! Switching: from a complete set of objects to a release that is in force, but not committed.
//!
//! Everything is checked and written first: the closure, the generation, the components' folders, the intent. Then
//! one rename moves `current`. If anything fails after the intent is written, the host goes back at once.

use std::collections::BTreeSet;

use batou_store::{Digest, Generations, Lock, Name};

use crate::activated::{Activated, Converged};
use crate::command::Attention;
use crate::connection::Connection;
use crate::drift;
use crate::error::Error;
use crate::goback::go_back;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::mend;
use crate::pointer::InForce;
use crate::protocol::{Drift, JournaledRelease, Outcome, Reply, Switch, UnitDecision};
use crate::release::{CAUSES, Installed, Underway, broken_links, find};
use crate::reserve;
use crate::session::{About, Locked, Session};
use crate::target::TargetDirectory;
use crate::time::now;
use crate::turn::Turn;
use crate::unit::{self, Convergence};
use batou_release::{Component, Manifest, manifest_digest};

/// Switches this host to a manifest.
pub(crate) fn switch(session: &mut Session, order: &Switch, raw: &[u8]) -> Result<Reply, Error> {
    let (about, locked, connection) = session.idle()?;
    locked.check_lock(about)?;
    let generations = about.generations()?;
    let in_force = about.in_force(&generations)?;
    let current = &in_force.installed;
    // Somebody else may have released since the controller looked.
    check_expected(about, order, current.as_ref())?;
    check_sequence(about, &order.record)?;
    let wanted = WantedManifest::of(about, &generations, order, raw)?;
    if let Some(installed) = current {
        locked.mending.extend(if installed.digest == order.manifest {
            drift::beside_store(about, installed)
        } else {
            // Nor does a release that brings everything anew bring these.
            let stays = |it: &&Component| wanted.manifest.component(it.name.as_str()).is_some();
            drift::states(about, installed.manifest.components.iter().filter(stays))
        });
    }
    mend::make_whole(about, locked, &wanted.manifest, order.recheck)?;
    // From here on nothing arrives any more.
    reserve::give_up_if_full(&about.target)?;
    let room = (wanted.bytes.len() + wanted.causes.len()) as u64;
    let mut made = BTreeSet::new();
    let turn = reserve::draw_on(&about.target, || {
        begin(about, locked, (&generations, &mut made), (order, &wanted, &in_force))
    })
    .map_err(|error| about.target.explain_full(error, room))?;
    advance(about, locked, (&generations, turn), (order, connection))
}

/// What the host is to have.
struct WantedManifest {
    manifest: Manifest,
    bytes: Vec<u8>,
    causes: Vec<u8>,
}

impl WantedManifest {
    fn of(about: &About, generations: &Generations, order: &Switch, raw: &[u8]) -> Result<Self, Error> {
        let (bytes, causes) = Self::bytes(generations, order, raw)?;
        if manifest_digest(&bytes) != order.manifest {
            let subject = format!("the manifest {}", order.manifest.short());
            return Err(Error::Damaged {
                subject,
                problems: vec!["its bytes do not have that digest".into()],
            });
        }
        let path = about.target.generations();
        let manifest = Manifest::decode(&bytes).map_err(|source| Error::Manifest { path, source })?;
        let (hello, found) = (&about.hello, &manifest);
        if (&hello.project, &hello.environment, &hello.host)
            != (&found.project, &found.environment, &found.host)
        {
            return Err(Error::Protocol(format!(
                "the manifest is that of project {}, environment {}, host {}",
                found.project, found.environment, found.host
            )));
        }
        Ok(Self { manifest, bytes, causes })
    }

    fn bytes(generations: &Generations, order: &Switch, raw: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        if order.manifest_size > 0 {
            let split = raw.split_at_checked(order.manifest_size as usize);
            let (manifest, causes) =
                split.ok_or_else(|| Error::Protocol("the manifest is larger than the message".into()))?;
            return Ok((manifest.to_vec(), causes.to_vec()));
        }
        find(generations, &order.manifest)?.map(|(_, bytes)| (bytes, Vec::new())).ok_or_else(|| {
            let subject = format!("the manifest {}", order.manifest.short());
            Error::Damaged { subject, problems: vec!["no generation of this host has it".into()] }
        })
    }
}

fn check_expected(about: &About, order: &Switch, current: Option<&Installed>) -> Result<(), Error> {
    let found = current.map(|installed| installed.digest);
    if found == order.expected {
        return Ok(());
    }
    let named = |digest: Option<Digest>| digest.map_or("none".to_owned(), |digest| digest.short());
    let (directory, found, expected) =
        (about.target.directory().display(), named(found), named(order.expected));
    Err(Error::Moved(format!("the current manifest in {directory} is {found}, but {expected} was expected")))
}

/// A sequence is used once on a host: the journal's lines are told apart by it. It may be lower than the newest, which a
/// damaged journal can have from nobody's release.
pub(crate) fn check_sequence(about: &About, record: &JournaledRelease) -> Result<(), Error> {
    let journal = Journal::of(&about.target);
    let sequence = record.sequence;
    // Lines with this number and above that are there count no more, once this release is journaled.
    let is_free = record.disregards.is_some_and(|far| sequence >= far);
    if is_free || sequence > journal.tail()?.newest_sequence || !journal.has(sequence)? {
        return Ok(());
    }
    let directory = about.target.directory().display();
    Err(Error::Moved(format!(
        "release number {sequence} cannot be journaled in {directory}, where that number is already"
    )))
}

/// Writes everything that has to be on the disk before `current` moves. The intent comes last: until it is there,
/// there is nothing to go back from. What it does can be done twice; `made` are the components whose folders were made.
/// The turn lasts until `current` has moved.
fn begin(
    about: &About,
    locked: &mut Locked,
    (generations, made): (&Generations, &mut BTreeSet<Name>),
    (order, wanted, in_force): (&Switch, &WantedManifest, &InForce),
) -> Result<Turn, Error> {
    let target = &about.target;
    let line = Journal::of(target).line()?;
    let turn = Turn::take(&about.target, &locked.lock)?;
    let mut activated = Activated::load(target)?;
    line.reserve(Some(&order.record))?;
    let components = wanted.manifest.components.iter().map(|component| &component.name);
    // Whatever the units of a component did there is gone with its folder.
    target.create_states(components, made)?;
    for component in &*made {
        activated.disown(component);
    }
    let to = generation(about, generations, wanted, in_force.installed.as_ref())?;
    let intent = Intent {
        from: in_force.number,
        to,
        manifest: order.manifest,
        record: order.record.clone(),
        since: now(),
        unreverted: Vec::new(),
    };
    // An intent of which it is not known whether it will last must not be found by others: nothing has moved yet.
    intent.store(target).inspect_err(|_| drop(Intent::remove(target)))?;
    #[cfg(feature = "simulation")]
    batou_system::simulation::mark(&format!("switches {}", intent.record.who));
    let previous = in_force.installed.as_ref().map(|installed| installed.manifest.clone());
    let (manifest, runs, updated) = (Some(wanted.manifest.clone()), Vec::new(), BTreeSet::new());
    locked.underway = Some(Underway { intent, manifest, previous, activated, runs, updated, line });
    Ok(turn)
}

/// The generation with the wanted manifest: an existing one if its links are intact, otherwise a new one.
fn generation(
    about: &About,
    generations: &Generations,
    wanted: &WantedManifest,
    current: Option<&Installed>,
) -> Result<u64, Error> {
    let same =
        current.filter(|installed| installed.manifest == wanted.manifest).map(|installed| installed.number);
    let there = same.map_or_else(|| generations.find(&wanted.bytes), |number| Ok(Some(number)))?;
    let whole = |number: &u64| broken_links(&about.target, *number, &wanted.manifest).is_empty();
    if let Some(number) = there.filter(whole) {
        return Ok(number);
    }
    let records: &[(&str, &[u8])] = &[(CAUSES, &wanted.causes)];
    let records = if wanted.causes.is_empty() { &[] } else { records };
    Ok(generations.create(&wanted.bytes, records, &wanted.manifest.links())?)
}

/// Moves `current`, reverts what a rollback leaves behind, and answers which components have something to run. If
/// that fails, the host goes back.
fn advance(
    about: &About,
    locked: &mut Locked,
    (generations, turn): (&Generations, Turn),
    (order, connection): (&Switch, &mut Connection),
) -> Result<Reply, Error> {
    let Locked { underway: release, lock, mending, .. } = locked;
    let underway = release.as_mut().expect("`begin` has set it");
    let pointed = reserve::draw_on(&about.target, || point(generations, underway));
    drop(turn);
    let moved = pointed.and_then(|()| {
        if order.record.restores.is_some() { revert((about, lock), underway, connection) } else { Ok(()) }
    });
    let Err(error) = moved else {
        return Ok(Reply::Switched {
            generation: underway.intent.to,
            pending: pending(&about.target, underway, order.recheck),
            mended: Drift::of(std::mem::take(mending)),
        });
    };
    connection.watch(false);
    let back = go_back((about, lock), underway, connection, Outcome::WentBack, &error.sentence());
    connection.watch(true);
    back?;
    *release = None;
    Err(error)
}

fn point(generations: &Generations, underway: &Underway) -> Result<(), Error> {
    // The same generation is in force already: the release only converges units.
    if underway.intent.from == Some(underway.intent.to) {
        return Ok(());
    }
    Ok(generations.switch(underway.intent.to)?)
}

/// Reverts the units that ran in the generation which a rollback leaves, and which the restored one does not have.
fn revert(
    (about, lock): (&About, &Lock),
    underway: &mut Underway,
    connection: &mut Connection,
) -> Result<(), Error> {
    let Some(left) = &underway.previous else { return Ok(()) };
    let mut convergence = Convergence {
        about,
        lock: Some(lock),
        connection,
        attention: Attention::Live,
        activated: &mut underway.activated,
        runs: &mut underway.runs,
        sequence: underway.intent.record.sequence,
    };
    convergence.revert_all(left, underway.manifest.as_ref(), |_: &Converged| true, Err)
}

fn pending(target: &TargetDirectory, underway: &Underway, recheck: bool) -> Vec<Name> {
    let components = underway.manifest.iter().flat_map(|manifest| &manifest.components);
    let is_pending = |component: &&batou_release::Component| {
        if recheck {
            !component.units.is_empty()
        } else {
            !unit::settled(target, &underway.activated, component)
        }
    };
    components.filter(is_pending).map(|component| component.name.clone()).collect()
}

/// Converges the units of one component of the switched release.
pub(crate) fn activate(session: &mut Session, name: &Name, recheck: bool) -> Result<Reply, Error> {
    let (about, locked, connection) = session.locked()?;
    locked.check_lock(about)?;
    let units = converge(about, locked, connection, (name, recheck));
    // Whoever has taken the lock meanwhile has ended what ran here: that a unit failed is not the reason then.
    locked.check_lock(about)?;
    Ok(Reply::Activated { units: units? })
}

fn converge(
    about: &About,
    locked: &mut Locked,
    connection: &mut Connection,
    (name, recheck): (&Name, bool),
) -> Result<Vec<UnitDecision>, Error> {
    let Locked { underway, lock, .. } = locked;
    let underway = underway.as_mut().ok_or_else(nothing_switched)?;
    let component = underway.manifest.as_ref().and_then(|manifest| manifest.component(name.as_str()));
    let component =
        component.ok_or_else(|| Error::Protocol(format!("the release has no component {name}")))?;
    let mut convergence = Convergence {
        about,
        lock: Some(lock),
        connection,
        attention: Attention::Live,
        activated: &mut underway.activated,
        runs: &mut underway.runs,
        sequence: underway.intent.record.sequence,
    };
    convergence.component(component, recheck)
}

/// The error of a request that needs a switched release when there is none.
pub(crate) fn nothing_switched() -> Error {
    Error::Protocol("no release is under way".into())
}
