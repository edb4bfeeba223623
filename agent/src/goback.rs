//! Taking a release back: by order, because the controller is gone, or because an agent before this one was.
//!
//! The pointer comes first: whatever fails afterwards, the old files are in force. Then what the abandoned release had
//! run is reverted where it can be, and the units of the old one converge again. Failures on this way do not stop it;
//! they are told. The journal's line and the end of the intent come last, so an interrupted way back is gone again.

use batou_store::Generations;

use crate::activated::Activated;
use crate::command::Attention;
use crate::connection::Connection;
use crate::error::Error;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{Outcome, Reply};
use crate::release::{Underway, installed};
use crate::session::{About, Session};
use crate::unit::Convergence;

/// Takes the release back that is under way; without one, there is nothing to do, and that is said.
pub(crate) fn answer(session: &mut Session, reason: &str) -> Result<Reply, Error> {
    let (about, locked, connection) = session.locked()?;
    let Some(underway) = &mut locked.underway else {
        return Ok(Reply::WentBack { generation: about.generations()?.current()?, problems: Vec::new() });
    };
    connection.watch(false);
    let problems = go_back(about, underway, connection, Outcome::WentBack, reason);
    connection.watch(true);
    let problems = problems?;
    let generation = underway.intent.from;
    locked.underway = None;
    Ok(Reply::WentBack { generation, problems })
}

/// Takes a release back and says what failed on the way.
pub(crate) fn go_back(
    about: &About,
    underway: &mut Underway,
    connection: &mut Connection,
    outcome: Outcome,
    reason: &str,
) -> Result<Vec<String>, Error> {
    point(&about.generations()?, underway.intent.from)?;
    let problems = converge(about, underway, connection)?;
    Journal::of(&about.target).append(&underway.entry(outcome, Some(reason.to_owned())))?;
    Intent::remove(&about.target)?;
    Ok(problems)
}

fn point(generations: &Generations, from: Option<u64>) -> Result<(), Error> {
    match from {
        _ if generations.current()? == from => Ok(()),
        Some(number) => Ok(generations.switch(number)?),
        None => Ok(generations.clear()?),
    }
}

fn converge(
    about: &About,
    underway: &mut Underway,
    connection: &mut Connection,
) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    if underway.intent.from == Some(underway.intent.to) {
        // The release only converged units of the generation that stays; running those again would fail again.
        return Ok(problems);
    }
    let sequence = underway.intent.record.sequence;
    let mut convergence = Convergence {
        about,
        connection,
        attention: Attention::Deaf,
        activated: &mut underway.activated,
        runs: &mut underway.runs,
        sequence,
    };
    if let Some(manifest) = &underway.manifest {
        let started = |it: &crate::activated::Converged| it.sequence == sequence;
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

/// Takes back what an agent before this one left under way; says what was done. A release that the journal confirms
/// is in force: only its intent is removed.
pub(crate) fn recover(about: &About, connection: &mut Connection) -> Result<Vec<String>, Error> {
    let target = &about.target;
    let Some(intent) = Intent::load(target)? else { return Ok(Vec::new()) };
    if Journal::of(target).confirms(&intent.record)? {
        Intent::remove(target)?;
        return Ok(Vec::new());
    }
    let generations = about.generations()?;
    let previous = intent.from.map(|number| installed(target, &generations, number)).transpose()?;
    let mut underway = Underway {
        manifest: installed(target, &generations, intent.to).ok().map(|installed| installed.manifest),
        previous: previous.map(|installed| installed.manifest),
        activated: Activated::load(target)?,
        runs: Vec::new(),
        intent,
    };
    let reason = "the agent ended before the release was confirmed";
    let problems = go_back(about, &mut underway, connection, Outcome::Interrupted, reason)?;
    let intent = &underway.intent;
    let back = intent.from.map_or("no generation".to_owned(), |number| format!("generation {number}"));
    let done = format!(
        "release {} (number {} by {}) was interrupted on {}; {back} is in force again",
        intent.record.release.short(),
        intent.record.sequence,
        intent.record.who,
        intent.since,
    );
    Ok([done].into_iter().chain(problems).collect())
}
