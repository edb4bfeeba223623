//! What a host has: the answer to a hello, found in names and small files, and by a look at the files of the release in force.
//! Nothing is hashed.

use std::path::Path;

use batou_store::{Durability, Generations, Lock, ObjectId, Store};

use crate::activated::Activated;
use crate::drift;
use crate::error::Error;
use crate::faults;
use crate::goback;
use crate::intent::Intent;
use crate::journal::{Journal, JournalSummary};
use crate::ownership;
use crate::pointer;
use crate::protocol::{Current, Drift, Hello, Holder, RecordFault, Reply, State, WantedRelease, bounded};
use crate::release::Installed;
use crate::running;
use crate::session::{About, Locked, Session, no_hello};
use crate::target::TargetDirectory;
use crate::turn::Turn;
use crate::unit;

/// Answers a hello. It never writes.
pub(crate) fn hello(session: &mut Session, hello: Hello) -> Result<Reply, Error> {
    if let (Some(about), Some(_)) = (&session.about, &session.locked)
        && about.hello.target_directory != hello.target_directory
    {
        return Err(Error::Protocol("the lock on another target directory is held".into()));
    }
    let about = About::new(hello)?;
    let state = state(&about).map_err(|error| ownership::explain(error, &about.target, &about.user))?;
    session.about = Some(about);
    Ok(Reply::Hello(Box::new(state)))
}

/// Takes the host's lock, creates the folders that are missing, removes what a killed agent left unfinished, and
/// makes the host go back.
pub(crate) fn lock(session: &mut Session, holder: &Holder) -> Result<Reply, Error> {
    let about = session.about.as_ref().ok_or_else(no_hello)?;
    if session.locked.is_some() {
        return Ok(Reply::Locked(Box::new(state(about)?)));
    }
    about.target.create()?;
    let lock = match acquire(&about.target.lock(), holder)? {
        Ok(lock) => lock,
        Err(holder) => return Ok(Reply::Held { holder }),
    };
    // Whoever had a lock here that was removed has made its last change after this.
    drop(Turn::take(&about.target, &lock)?);
    let generations = about.generations()?;
    about.in_force(&generations)?;
    // Before any step of this release can run beside them.
    let ended = running::end_left(&about.target)?;
    generations.tidy()?;
    let lacking = lacking(&about.target)?;
    let (store, damaged) = Store::mend_and_open(&about.target.store(), Durability::Host)?;
    let mended = (!damaged.is_empty())
        .then(|| format!("{} was damaged, and was mended: {}", store.root().display(), damaged.join(", ")));
    if Intent::is_there(&about.target) {
        pointer::unhook(&about.target)?;
    }
    let recovered = goback::recover(about, &lock, &mut session.connection)?;
    let pointed = pointer::mend(&about.target, &generations)?;
    // What was in a folder that had to be made is looked for by the switch.
    let is_whole = lacking.is_none() && mended.is_none();
    let recovered = ended.into_iter().chain(lacking).chain(mended).chain(recovered).chain(pointed).collect();
    let state = state(about)?;
    let state = State { recovered, settled: state.settled && is_whole, ..state };
    session.locked = Some(Locked::new(store, lock));
    // Until this controller ends or falls silent, nobody else can release here.
    session.connection.watch(true);
    Ok(Reply::Locked(Box::new(state)))
}

/// What is missing of the store's folders and locks, which are made again when it is opened.
fn lacking(target: &TargetDirectory) -> Result<Option<String>, Error> {
    let Some(store) = target.existing_store()? else { return Ok(None) };
    let lacking = store.look(&[])?;
    let names: Vec<_> = lacking.iter().map(|problem| format!("store/{}", problem.path.display())).collect();
    Ok((!names.is_empty()).then(|| format!("{} was missing, and was made again", names.join(", "))))
}

/// The lock, or who has it.
fn acquire(path: &Path, holder: &Holder) -> Result<Result<Lock, Option<Holder>>, Error> {
    let text = serde_json::to_string(holder).expect("a holder is plain data");
    Ok(Lock::try_acquire(path, &text)?.map_err(|other| serde_json::from_str(&other).ok()))
}

/// What the host has.
pub(crate) fn state(about: &About) -> Result<State, Error> {
    let target = &about.target;
    let condition = target.condition()?;
    target.check_parts()?;
    // Looked for twice: a release may begin or end while the rest is read.
    let was_underway = Intent::is_there(target);
    let generations = about.generations()?;
    let in_force = about.in_force(&generations)?;
    let tail = Journal::of(target).tail()?;
    let unfinished = was_underway || Intent::is_there(target);
    let missing = about.hello.wanted.as_ref().map_or(Ok(Vec::new()), |wanted| missing(about, wanted))?;
    let faults = faults::of(target, &generations, (&in_force, &tail, unfinished))?;
    let is_lost = faults.iter().copied().any(RecordFault::is_of_journal);
    let drift = match &in_force.installed {
        // While a release is under way, and in one that is lost, the journal does not say what is in force.
        Some(installed) if unfinished || is_lost || pointer::agrees(&tail, installed.number) => {
            drift::of_release(about, installed)?
        }
        Some(_) => Drift::of(vec![pointer::drifted()]),
        None => Drift::of(in_force.drift().into_iter().collect()),
    };
    let generation = in_force.number;
    let current = in_force.or_journaled(target, &generations)?;
    let is_whole = missing.is_empty() && drift.is_none() && faults.is_empty();
    let settled = !unfinished && is_whole && is_settled(about, current.as_ref(), &tail);
    Ok(State {
        user: about.user.name.clone(),
        current: current.map(|installed| describe(installed, &tail)),
        newest_sequence: tail.newest_sequence,
        committed: tail.committed.map(|entry| entry.record),
        settled,
        generation,
        faults,
        drift,
        unfinished,
        missing,
        target: condition,
        place: target.place(),
        free: target.free()?.min(bounded::LAST_NUMBER),
        recovered: Vec::new(),
    })
}

fn describe(installed: Installed, tail: &JournalSummary) -> Current {
    let committed = tail.committed.as_ref().filter(|entry| entry.manifest == installed.digest);
    Current {
        generation: installed.number,
        manifest: installed.digest,
        project: installed.manifest.project,
        environment: installed.manifest.environment,
        since: committed.map(|entry| entry.when),
    }
}

fn missing(about: &About, wanted: &WantedRelease) -> Result<Vec<batou_store::ArtifactId>, Error> {
    let Some(store) = about.target.existing_store()? else { return Ok(wanted.artifacts.clone()) };
    let mut missing = Vec::new();
    for id in &wanted.artifacts {
        if !store.contains(&ObjectId::Artifact(*id))? {
            missing.push(*id);
        }
    }
    Ok(missing)
}

/// Whether the wanted release is in force here with nothing left to do. It is not if a record cannot be read: the
/// switch that follows says what is wrong with it.
fn is_settled(about: &About, current: Option<&Installed>, tail: &JournalSummary) -> bool {
    let (Some(wanted), Some(current), Some(committed)) = (&about.hello.wanted, current, &tail.committed)
    else {
        return false;
    };
    if current.digest != wanted.manifest || committed.record.release != wanted.release {
        return false;
    }
    let Ok(activated) = Activated::load(&about.target) else { return false };
    current.manifest.components.iter().all(|component| unit::settled(&about.target, &activated, component))
}

/// A generation's manifest, as its file has it.
pub(crate) struct ManifestFiles {
    pub(crate) bytes: Vec<u8>,
    /// The file of its causes; empty where the generation has none.
    pub(crate) causes: Vec<u8>,
}

/// The current generation's manifest, or with `wanted` that of the newest generation that has this one.
pub(crate) fn manifest(
    about: &About,
    wanted: Option<&batou_store::Digest>,
) -> Result<Option<ManifestFiles>, Error> {
    let generations = about.generations()?;
    let found = match wanted {
        Some(digest) => crate::release::past(&about.target, &generations, digest)?,
        None => match generations.current()? {
            Some(number) => Some((number, generations.manifest(number)?)),
            None => None,
        },
    };
    let Some((number, bytes)) = found else { return Ok(None) };
    let causes = causes(&generations, number)?;
    Ok(Some(ManifestFiles { bytes, causes }))
}

fn causes(generations: &Generations, number: u64) -> Result<Vec<u8>, Error> {
    Ok(generations.file(number, crate::release::CAUSES)?.unwrap_or_default())
}
