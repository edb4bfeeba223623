//! Going back from a release: on the controller's order, because the controller is gone, or because an earlier agent was
//! interrupted.
//!
//! The pointer comes first: whatever fails afterwards, the old files are in force. Then the units that the abandoned
//! release ran are reverted where possible, and those of the old release converge again. If one of them fails, that
//! is reported, and the rest still goes on. The journal's line and the removal of the intent come last, so an
//! interrupted attempt is repeated from the start.

use std::collections::BTreeSet;

use batou_release::{Manifest, UnitId};
use batou_store::{Generations, Lock};
use batou_system::fs;

use crate::activated::{Activated, Converged};
use crate::command::Attention;
use crate::connection::Connection;
use crate::error::Error;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{JournalEntry, Outcome, Reply, UnitRun};
use crate::release::{Installed, Underway, installed};
use crate::reserve;
use crate::session::{About, Locked, Session};
use crate::target::TargetDirectory;
use crate::turn::Turn;
use crate::unit::Convergence;

/// Goes back from the release that is under way. If there is none, there is nothing to do, and the answer says which
/// generation is in force.
pub(crate) fn answer(session: &mut Session, reason: &str) -> Result<Reply, Error> {
    let (about, locked, connection) = session.locked()?;
    locked.check_lock(about)?;
    let Locked { underway, lock, .. } = locked;
    let Some(underway) = underway else {
        // One that could not be written for certain may have stayed. If it does so again, this host goes back with the next
        // agent, and it must not be said that it has.
        Intent::remove(&about.target)?;
        let generation = about.generations()?.current()?;
        return Ok(Reply::WentBack { generation, problems: Vec::new(), unreverted: Vec::new() });
    };
    // While it goes back the agent hears nothing, so the controller's silence must not count.
    connection.watch(false);
    let problems = go_back((about, lock), underway, connection, Outcome::WentBack, reason);
    connection.watch(true);
    let problems = problems?;
    let (generation, unreverted) = (underway.intent.from, unreverted(underway));
    locked.underway = None;
    Ok(Reply::WentBack { generation, problems, unreverted })
}

/// Goes back from a release; returns what failed meanwhile.
pub(crate) fn go_back(
    (about, lock): (&About, &Lock),
    underway: &mut Underway,
    connection: &mut Connection,
    outcome: Outcome,
    reason: &str,
) -> Result<Vec<String>, Error> {
    #[cfg(feature = "simulation")]
    batou_system::simulation::mark(&format!("goes back {}", underway.intent.record.who));
    // Until the last line the intent is there: whoever finds it starts again at the first, and each of these can be
    // done twice.
    reserve::give_up_if_full(&about.target)?;
    let (target, from) = (&about.target, underway.intent.from);
    let turn = Turn::take(&about.target, lock)?;
    let lost = reserve::draw_on(target, || point(&about.generations()?, from))?;
    note_unreverted(target, underway);
    drop(turn);
    // Into a journal that was removed meanwhile, nobody would look.
    if !underway.line.is_in_place() {
        underway.line = reserve::draw_on(target, || Journal::of(target).line())?;
    }
    let problems: Vec<_> = lost.into_iter().chain(converge((about, lock), underway, connection)?).collect();
    let unreverted = unreverted(underway);
    let _turn = Turn::take(&about.target, lock)?;
    let ended = underway.entry(outcome, Some(reason.to_owned()));
    let entry = JournalEntry { unreverted, problems: problems.clone(), ..ended };
    reserve::draw_on(target, || underway.line.append(&entry))?;
    Intent::remove(target)?;
    Ok(problems)
}

/// Writes down which units stay as they are, before the records of them are replaced. It is not worth staying with the
/// abandoned release: if it cannot be written, only who is killed from here on tells less.
fn note_unreverted(target: &TargetDirectory, underway: &mut Underway) {
    let found = unreverted(underway);
    if found != underway.intent.unreverted {
        underway.intent.unreverted = found;
        let _ = reserve::draw_on(target, || underway.intent.store(target));
    }
}

/// The units that this release updated and that nobody can undo. One that the release before has too is its own.
fn unreverted(underway: &Underway) -> Vec<UnitId> {
    let mut found = underway.intent.unreverted.clone();
    for component in underway.manifest.iter().flat_map(|manifest| &manifest.components) {
        let before = underway.previous.as_ref().and_then(|it| it.component(component.name.as_str()));
        for unit in component.units.iter().filter(|unit| !unit.has_revert()) {
            let (id, fingerprint) = (component.unit_id(unit), component.fingerprint(unit));
            let is_update = |run: &UnitRun| run.unit == id && run.command == "update";
            let has_run = underway.updated.contains(&id) || underway.runs.iter().any(is_update);
            let is_undone = before.is_some_and(|it| it.has_unit(&fingerprint));
            if has_run && !is_undone && !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// The units that the release has updated, or has begun to, as far as the record tells.
fn updated(manifest: &Manifest, activated: &Activated, intent: &Intent) -> BTreeSet<UnitId> {
    let mut updated = BTreeSet::new();
    for component in &manifest.components {
        for unit in &component.units {
            let (id, fingerprint) = (component.unit_id(unit), component.fingerprint(unit));
            let is_of_it = |it: &Converged| {
                it.ran && it.sequence == intent.record.sequence && it.fingerprint == fingerprint
            };
            if activated.get(&id).is_some_and(is_of_it) {
                updated.insert(id);
            }
        }
    }
    updated
}

/// Puts the generation of before in force again. If somebody removed it, none is in force, and a sentence says so.
fn point(generations: &Generations, from: Option<u64>) -> Result<Option<String>, Error> {
    let Some(number) = from else { return Ok(generations.clear().map(|()| None)?) };
    let is_there = fs::is_dir(generations.path(number));
    if (is_there && generations.current()? == from) || generations.switch_back(number)? {
        return Ok(None);
    }
    Ok(Some(format!(
        "generation {number}, which was in force before, was removed: no release is in force now"
    )))
}

fn converge(
    (about, lock): (&About, &Lock),
    underway: &mut Underway,
    connection: &mut Connection,
) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    if underway.intent.from == Some(underway.intent.to) {
        // The generation stays, and the release only converged its units: running those again would fail again.
        return Ok(problems);
    }
    let sequence = underway.intent.record.sequence;
    let mut convergence = Convergence {
        about,
        lock: Some(lock),
        connection,
        attention: Attention::Deaf,
        activated: &mut underway.activated,
        runs: &mut underway.runs,
        sequence,
    };
    if let Some(manifest) = &underway.manifest {
        let started = |it: &Converged| it.sequence == sequence;
        convergence.revert_all(manifest, underway.previous.as_ref(), started, |error| {
            problems.push(error.sentence());
            Ok(())
        })?;
    }
    for component in underway.previous.iter().flat_map(|manifest| &manifest.components) {
        if let Err(error) = convergence.component(component, false) {
            problems.push(error.sentence());
        }
    }
    Ok(problems)
}

/// Goes back from the release that an earlier agent left under way; returns what was done. If the journal has
/// that release as committed, it is in force, and only its intent is removed.
pub(crate) fn recover(about: &About, lock: &Lock, connection: &mut Connection) -> Result<Vec<String>, Error> {
    let target = &about.target;
    let Some(intent) = Intent::load(target)? else { return Ok(Vec::new()) };
    if Journal::of(target).has_committed(&intent.record)? {
        Intent::remove(target)?;
        return Ok(Vec::new());
    }
    let generations = about.generations()?;
    reserve::give_up_if_full(target)?;
    reserve::draw_on(target, || point(&generations, intent.from))?;
    let mut damaged = Vec::new();
    let mut or_damaged = |result: Result<Installed, Error>| {
        result.map_err(|error| damaged.push(error.sentence())).ok().map(|installed| installed.manifest)
    };
    let previous = intent.from.and_then(|number| or_damaged(installed(target, &generations, number)));
    let activated = Activated::load_or_begin_anew(target, &mut damaged)?;
    let manifest = installed(target, &generations, intent.to).ok().map(|installed| installed.manifest);
    let updated = manifest.as_ref().map_or_else(BTreeSet::new, |it| updated(it, &activated, &intent));
    let mut underway = Underway {
        manifest,
        previous,
        activated,
        runs: Vec::new(),
        updated,
        line: reserve::draw_on(target, || Journal::of(target).line())?,
        intent,
    };
    let reason = "the agent ended before the release was committed";
    let problems = go_back((about, lock), &mut underway, connection, Outcome::Interrupted, reason)?;
    let left: Vec<_> = unreverted(&underway).iter().map(ToString::to_string).collect();
    let left = (!left.is_empty())
        .then(|| format!("left as they are, since they have no `revert`: {}", left.join(", ")));
    let intent = &underway.intent;
    let back = match (intent.from, generations.current()?) {
        (None, _) => "there is no generation in force, as before".to_owned(),
        (Some(_), Some(number)) => format!("generation {number} is in force again"),
        (Some(_), None) => "no generation is in force".to_owned(),
    };
    let done = format!(
        "release {} (number {} by {}) was interrupted on {}; {back}",
        intent.record.release.short(),
        intent.record.sequence,
        intent.record.who,
        intent.since,
    );
    Ok([done].into_iter().chain(left).chain(damaged).chain(problems).collect())
}
