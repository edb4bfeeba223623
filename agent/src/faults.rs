//! What is wrong with the files in which the host keeps what it knows about its releases: every controller is told, before it
//! relies on them.

use batou_store::Generations;

use crate::activated::Activated;
use crate::error::Error;
use crate::intent::Intent;
use crate::journal::{Journal, JournalSummary};
use crate::pointer::InForce;
use crate::protocol::RecordFault;
use crate::running;
use crate::target::TargetDirectory;

/// All that is wrong.
pub(crate) fn of(
    target: &TargetDirectory,
    generations: &Generations,
    (in_force, tail, is_underway): (&InForce, &JournalSummary, bool),
) -> Result<Vec<RecordFault>, Error> {
    let mut faults = Vec::new();
    let intent = Intent::load(target);
    // What is no file at all is told by whoever examines the target directory.
    if matches!(intent, Err(Error::Record { .. })) {
        faults.push(RecordFault::Intent);
    }
    faults.extend(match intent {
        Ok(intent) if is_underway => before(target, tail, intent.and_then(|intent| intent.from))?,
        Ok(_) => of_journal(target, generations, (in_force, tail))?,
        // Which generation was before is not known then, and that in force may have no line yet.
        Err(_) => {
            of_journal(target, generations, (in_force, tail))?.filter(|fault| !fault.is_of_generation())
        }
    });
    if in_force.is_lost || (in_force.number.is_some() && in_force.broken.is_some()) {
        faults.push(RecordFault::Manifest);
    }
    if Activated::load(target).is_err_and(|error| matches!(error, Error::Record { .. })) {
        faults.push(RecordFault::Activated);
    }
    if !is_underway && running::is_unreadable(target)? {
        faults.push(RecordFault::Running);
    }
    Ok(faults)
}

/// What is wrong with the journal while a release is under way: that has no line yet, but the one before must have one.
fn before(
    target: &TargetDirectory,
    tail: &JournalSummary,
    from: Option<u64>,
) -> Result<Option<RecordFault>, Error> {
    from.map_or(Ok(None), |number| Journal::of(target).fault(tail, Some((number, None))))
}

/// What is wrong with the journal while no release is under way.
fn of_journal(
    target: &TargetDirectory,
    generations: &Generations,
    (in_force, tail): (&InForce, &JournalSummary),
) -> Result<Option<RecordFault>, Error> {
    let journal = Journal::of(target);
    let manifest = in_force.installed.as_ref().map(|installed| installed.digest);
    match in_force.number {
        Some(number) => journal.fault(tail, Some((number, manifest))),
        None if generations.list()?.is_empty() => Ok(None),
        None => journal.fault(tail, None),
    }
}
