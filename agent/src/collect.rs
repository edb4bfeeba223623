//! Collection: which generations are kept, and the removal of everything that only the others needed.

use std::collections::BTreeSet;

use batou_store::{Generations, Silent, Store};

use crate::activated::Activated;
use crate::error::{Error, sentence};
use crate::intent::Intent;
use crate::journal::Journal;
use crate::protocol::{Obstacle, Outcome, Reply};
use crate::release::read;
use crate::reserve;
use crate::session::{About, Session};
use crate::transfer::is_damage;

/// Answers the order to collect.
pub(crate) fn answer(session: &mut Session, keep: u32) -> Result<Reply, Error> {
    let (about, locked, _) = session.idle()?;
    locked.leases.clear();
    reserve::give_up_if_full(&about.target)?;
    let collected = collect(about, &locked.store, keep);
    reserve::keep(&about.target);
    collected
}

/// Whether there is a generation to remove. If there is none, there is hardly anything else to remove either.
pub(crate) fn is_due(about: &About, keep: u32) -> Result<bool, Error> {
    Ok(!superfluous(about, &about.generations()?, keep)?.is_empty())
}

/// Removes the generations that are not kept, then what no kept one needs. Where one that is kept cannot be read, all that
/// any may need stays: which objects and units it has is not known.
pub(crate) fn collect(about: &About, store: &Store, keep: u32) -> Result<Reply, Error> {
    let generations = about.generations()?;
    let removed = superfluous(about, &generations, keep)?;
    let (mut kept, mut obstacles) = (Vec::new(), Vec::new());
    for number in generations.list()?.into_iter().filter(|number| !removed.contains(number)) {
        match read(&generations, number) {
            Ok(installed) => kept.push(installed.manifest),
            Err(reason) => {
                obstacles.push(Obstacle { generation: Some(number), reason: sentence(&reason) });
            }
        }
    }
    for number in &removed {
        generations.remove(*number)?;
    }
    if !obstacles.is_empty() {
        return Ok(Reply::Collected { generations: removed.len() as u64, objects: 0, bytes: 0, obstacles });
    }
    Activated::load(&about.target)?.retain(&about.target, &kept)?;
    let roots: BTreeSet<_> = kept.iter().flat_map(batou_release::Manifest::artifacts).collect();
    let roots: Vec<_> = roots.into_iter().collect();
    let collected = match store.gc(&roots, &Silent) {
        Ok(collected) => collected,
        // What else a damaged object needs is not known. A switch or rollback that needs it has it sent again.
        Err(error) if is_damage(&error) => {
            obstacles.push(Obstacle { generation: None, reason: sentence(&error) });
            return Ok(Reply::Collected {
                generations: removed.len() as u64,
                objects: 0,
                bytes: 0,
                obstacles,
            });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Reply::Collected {
        generations: removed.len() as u64,
        objects: collected.objects(),
        bytes: collected.bytes,
        obstacles,
    })
}

/// The generations that are neither current, nor under way, nor of one of the last `keep` committed releases. None where the
/// journal does not tell of these. One that no line has made, and that can be read, stays until it is no longer among the newest
/// `keep`: its line was lost, and may be found again.
fn superfluous(about: &About, generations: &Generations, keep: u32) -> Result<Vec<u64>, Error> {
    let (current, journal) = (generations.current()?, Journal::of(&about.target));
    if journal.fault(&journal.tail()?, current.map(|number| (number, None)))?.is_some() {
        // A journal that was lost may be found again, and with it the way back to them.
        return Ok(Vec::new());
    }
    let mut kept: BTreeSet<u64> = current.into_iter().collect();
    if let Some(intent) = Intent::load(&about.target)? {
        kept.extend(intent.from.into_iter().chain([intent.to]));
    }
    let keep = keep.max(1) as usize;
    let mut releases = BTreeSet::new();
    let (mut committed, mut told) = (Vec::new(), BTreeSet::new());
    journal.each(|entry, _| {
        told.extend(entry.to);
        if entry.result == Outcome::Committed {
            committed.push((entry.record.release, entry.to));
        }
    })?;
    // Among the last `keep`, a release counts once, however often it was committed: a rollback does so again.
    for (release, generation) in committed.into_iter().rev() {
        if !releases.contains(&release) && releases.len() == keep {
            break;
        }
        releases.insert(release);
        kept.extend(generation);
    }
    let mut superfluous = generations.list()?;
    let is_told_or_whole = |number: &u64| told.contains(number) || read(generations, *number).is_ok();
    let newest = superfluous.iter().copied().rev().filter(is_told_or_whole).take(keep);
    kept.extend(newest.filter(|number| !told.contains(number)));
    superfluous.retain(|number| !kept.contains(number));
    Ok(superfluous)
}
