//! Confirming a release: one line in the journal, and then the tidying up.

use crate::collect;
use crate::error::Error;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{JournalEntry, JournaledRelease, Outcome, Reply};
use crate::release::now;
use crate::session::{About, Locked, Session};
use crate::switch::{check_sequence, nothing_switched};

/// Makes the release that is under way the confirmed one. The journal's line is the commit: what fails before it, or
/// with it, leaves the release to be taken back, and nothing that fails after it does.
pub(crate) fn commit(session: &mut Session, keep: u32) -> Result<Reply, Error> {
    let (about, locked, _) = session.locked()?;
    let underway = locked.underway.as_ref().ok_or_else(nothing_switched)?;
    let entry = underway.entry(Outcome::Confirmed, None);
    Journal::of(&about.target).append(&entry).map_err(|error| about.target.explain_full(error, 1))?;
    locked.underway = None;
    tidy(about, locked, keep);
    Ok(Reply::Done)
}

/// Confirms a release that leaves this host as it is.
pub(crate) fn confirm(session: &mut Session, record: &JournaledRelease, keep: u32) -> Result<Reply, Error> {
    let (about, locked, _) = session.idle()?;
    check_sequence(about, record)?;
    let current = about.current(&about.generations()?)?;
    let current = current.ok_or_else(|| Error::Protocol("there is no release to confirm".into()))?;
    let entry = JournalEntry {
        record: record.clone(),
        when: now(),
        from: Some(current.number),
        to: Some(current.number),
        manifest: current.digest,
        result: Outcome::Confirmed,
        reason: None,
        runs: Vec::new(),
    };
    Journal::of(&about.target).append(&entry).map_err(|error| about.target.explain_full(error, 1))?;
    tidy(about, locked, keep);
    Ok(Reply::Done)
}

/// Removes the intent and what nobody needs any more. The release is in force whatever fails here, and to answer with
/// an error would say that it is not. What is left lying is met again: an intent by the next lock, the rest by the
/// next collection.
fn tidy(about: &About, locked: &mut Locked, keep: u32) {
    let _ = Intent::remove(&about.target);
    locked.leases.clear();
    if collect::is_due(about, keep).unwrap_or(false) {
        let _ = collect::collect(about, &locked.store, keep);
    }
}
