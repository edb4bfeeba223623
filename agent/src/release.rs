//! A release under way on this host: switched and not committed, while the host can still go back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use batou_store::{Digest, Generations, Name};
use batou_system::fs;

use crate::activated::Activated;
use crate::error::{Error, Unreadable};
use crate::intent::Intent;
use crate::journal::{Journal, JournalLine};
use crate::protocol::{JournalEntry, Outcome, UnitRun};
use crate::target::TargetDirectory;
use crate::time::now;
use batou_release::{FormatError, Manifest, UnitId, manifest_digest};

/// The record that is kept beside a manifest: why its files are as they are.
pub(crate) const CAUSES: &str = "causes.json";

/// A release under way.
pub(crate) struct Underway {
    /// What is on the disk about it: from where to where it leads.
    pub(crate) intent: Intent,
    /// Its manifest; `None` if the generation of an interrupted release can no longer be read.
    pub(crate) manifest: Option<Manifest>,
    /// The manifest that was in force before.
    pub(crate) previous: Option<Manifest>,
    /// What the host's units have converged to.
    pub(crate) activated: Activated,
    /// What was run so far.
    pub(crate) runs: Vec<UnitRun>,
    /// The units that an earlier agent updated for it, or began to: what it ran is not known.
    pub(crate) updated: BTreeSet<UnitId>,
    /// Where the line about it goes.
    pub(crate) line: JournalLine,
}

impl Underway {
    /// The journal's line about it.
    pub(crate) fn entry(&self, result: Outcome, reason: Option<String>) -> JournalEntry {
        JournalEntry {
            record: self.intent.record.clone(),
            when: now(),
            from: self.intent.from,
            to: Some(self.intent.to),
            manifest: self.intent.manifest,
            result,
            reason,
            runs: self.runs.clone(),
            unreverted: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// A generation and its manifest.
pub(crate) struct Installed {
    /// Its number.
    pub(crate) number: u64,
    /// Its manifest's digest.
    pub(crate) digest: Digest,
    /// Its manifest.
    pub(crate) manifest: Manifest,
}

/// Reads a generation that may be an old one.
pub(crate) fn read(generations: &Generations, number: u64) -> Result<Installed, Unreadable> {
    let bytes = generations.manifest(number)?;
    let manifest = Manifest::decode(&bytes)?;
    Ok(Installed { number, digest: manifest_digest(&bytes), manifest })
}

/// Reads a generation that is needed: the error says what to do where it cannot be read.
pub(crate) fn installed(
    target: &TargetDirectory,
    generations: &Generations,
    number: u64,
) -> Result<Installed, Error> {
    let path = manifest_path(target, number);
    read(generations, number).map_err(|source| match source {
        Unreadable::File(batou_store::Error::NoGeneration { .. }) => {
            Error::Generation { path, problem: "is missing", source: Box::new(source) }
        }
        Unreadable::File(error) => error.into(),
        Unreadable::Manifest(reason @ FormatError::Older { .. }) => Error::Ancient { path, reason },
        Unreadable::Manifest(source @ (FormatError::Newer { .. } | FormatError::Kind { .. })) => {
            Error::Manifest { path, source }
        }
        Unreadable::Manifest(FormatError::Malformed { .. }) | Unreadable::Changed => {
            Error::Generation { path, problem: "is damaged", source: Box::new(source) }
        }
    })
}

/// The error of a generation whose manifest is not the one that was written there.
pub(crate) fn changed(target: &TargetDirectory, number: u64) -> Error {
    let path = manifest_path(target, number);
    Error::Generation { path, problem: "is damaged", source: Box::new(Unreadable::Changed) }
}

/// The newest generation with this manifest. One whose manifest cannot be read has another for all that is known.
pub(crate) fn find(generations: &Generations, manifest: &Digest) -> Result<Option<(u64, Vec<u8>)>, Error> {
    for number in generations.list()?.into_iter().rev() {
        let Ok(bytes) = generations.manifest(number) else { continue };
        if manifest_digest(&bytes) == *manifest {
            return Ok(Some((number, bytes)));
        }
    }
    Ok(None)
}

/// The newest generation with a manifest of the past, with that manifest's bytes; none where it was removed since.
pub(crate) fn past(
    target: &TargetDirectory,
    generations: &Generations,
    manifest: &Digest,
) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let found = find(generations, manifest)?;
    let number = match &found {
        Some((number, _)) => Some(*number),
        None => {
            Journal::of(target).generation(manifest)?.filter(|number| fs::exists(generations.path(*number)))
        }
    };
    let Some(number) = number else { return Ok(None) };
    let unusable = match read(generations, number) {
        Ok(_) if found.is_some() => return Ok(found),
        Ok(_) => Unreadable::Changed,
        Err(unreadable) => unreadable,
    };
    Err(Error::Past { number, directory: target.directory().to_owned(), source: Box::new(unusable) })
}

/// The links of a generation that are not as they should be, each with a sentence on what is wrong with it.
pub(crate) fn broken_links(
    target: &TargetDirectory,
    number: u64,
    manifest: &Manifest,
) -> Vec<(Name, String)> {
    let generation = target.generation(number);
    let broken = |(name, directory): (Name, String)| {
        let link = generation.join(name.as_str());
        let wanted = PathBuf::from("../../store/artifacts").join(&directory);
        let problem = match fs::read_link(&link) {
            Ok(found) if found != wanted => {
                format!("{} points to {}, not to {}", link.display(), found.display(), wanted.display())
            }
            Ok(_) if !fs::is_dir(&link) => format!("{} points to nothing", link.display()),
            Ok(_) => return None,
            Err(error) => format!("{} is not a link: {error}", link.display()),
        };
        Some((name, problem))
    };
    manifest.links().into_iter().filter_map(broken).collect()
}

fn manifest_path(target: &TargetDirectory, number: u64) -> PathBuf {
    target.generation(number).join("manifest.json")
}
