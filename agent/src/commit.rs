//! Committing a release: one line in the journal, and tidying up after it.

use crate::collect;
use crate::error::Error;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{JournalEntry, JournaledRelease, Outcome, Reply};
use crate::release::{Underway, read};
use crate::reserve;
use crate::session::{About, Locked, Session};
use crate::switch::{check_sequence, nothing_switched};
use crate::time::now;
use crate::turn::Turn;

/// Commits the release that is under way. The line in the journal is the commit: if that cannot be written, or
/// anything fails before it, the host will go back; whatever fails after it, the release stays in force.
pub(crate) fn commit(session: &mut Session, keep: u32) -> Result<Reply, Error> {
    let (about, locked, _) = session.locked()?;
    let turn = Turn::take(&about.target, &locked.lock)?;
    let underway = locked.underway.as_mut().ok_or_else(nothing_switched)?;
    check_in_force(about, underway)?;
    let entry = underway.entry(Outcome::Committed, None);
    #[cfg(feature = "simulation")]
    batou_system::simulation::mark(&format!("commits {}", entry.record.who));
    reserve::draw_on(&about.target, || underway.line.append(&entry))
        .map_err(|error| about.target.explain_full(error, 1))?;
    // Before anything else can fail: the host goes back if a release is still under way when the connection ends.
    locked.underway = None;
    tidy(about, locked, turn, keep);
    Ok(Reply::Done)
}

/// Answers whether this host could commit the release that is under way, or one that changes nothing here.
pub(crate) fn prepare(session: &mut Session) -> Result<Reply, Error> {
    let (about, locked, _) = session.locked()?;
    locked.check_lock(about)?;
    match &locked.underway {
        Some(underway) => {
            check_in_force(about, underway)?;
            #[cfg(feature = "simulation")]
            batou_system::simulation::mark(&format!("prepared {}", underway.intent.record.who));
        }
        // The room stays: it is there for whoever opens the journal next.
        None => {
            reserve::draw_on(&about.target, || Journal::of(&about.target).line()?.reserve(None))
                .map_err(|error| about.target.explain_full(error, 1))?;
        }
    }
    Ok(Reply::Done)
}

/// The release is in force and no other is under way: `current`, the generation and the intent on the disk say so. The
/// journal into which it goes is the one that others read.
fn check_in_force(about: &About, underway: &Underway) -> Result<(), Error> {
    let directory = about.target.directory().display();
    let current = about.generations()?.current()?;
    if current != Some(underway.intent.to) {
        let named = current.map_or("no generation".to_owned(), |number| format!("generation {number}"));
        return Err(Error::Moved(format!(
            "`current` in {directory} names {named}, and generation {} was switched to: it was changed meanwhile",
            underway.intent.to
        )));
    }
    let intent = &underway.intent;
    if !read(&about.generations()?, intent.to).is_ok_and(|installed| installed.digest == intent.manifest) {
        return Err(Error::Moved(format!(
            "generation {} in {directory}, which was switched to, was changed or removed meanwhile",
            intent.to
        )));
    }
    if !underway.line.is_in_place() {
        return Err(Error::Moved(format!("the journal in {directory} was replaced or removed meanwhile")));
    }
    if Intent::load(&about.target)?.as_ref() != Some(&underway.intent) {
        return Err(Error::Moved(format!(
            "{} no longer speaks of this release: somebody changed or removed it",
            about.target.intent().display()
        )));
    }
    Ok(())
}

/// Commits a release that leaves this host as it is.
pub(crate) fn commit_unchanged(
    session: &mut Session,
    record: &JournaledRelease,
    keep: u32,
) -> Result<Reply, Error> {
    let (about, locked, _) = session.idle()?;
    let turn = Turn::take(&about.target, &locked.lock)?;
    check_sequence(about, record)?;
    let current = about.current(&about.generations()?)?;
    let current = current.ok_or_else(|| Error::Protocol("there is no release to commit".into()))?;
    let entry = JournalEntry {
        record: record.clone(),
        when: now(),
        from: Some(current.number),
        to: Some(current.number),
        manifest: current.digest,
        result: Outcome::Committed,
        reason: None,
        runs: Vec::new(),
        unreverted: Vec::new(),
        problems: Vec::new(),
    };
    reserve::draw_on(&about.target, || Journal::of(&about.target).line()?.append(&entry))
        .map_err(|error| about.target.explain_full(error, 1))?;
    tidy(about, locked, turn, keep);
    Ok(Reply::Done)
}

/// Removes the intent and everything that is no longer needed. Failures are ignored: the release is in force, and an
/// error would tell the controller that it is not. What is left behind is dealt with later, an intent when the lock
/// is next taken, the rest by the next collection.
fn tidy(about: &About, locked: &mut Locked, turn: Turn, keep: u32) {
    let _ = Intent::remove(&about.target);
    drop(turn);
    locked.leases.clear();
    reserve::keep(&about.target);
    if collect::is_due(about, keep).unwrap_or(false) {
        let _ = collect::collect(about, &locked.store, keep);
    }
}
