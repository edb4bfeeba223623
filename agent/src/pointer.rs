//! `current` where it does not lead to a generation that can be read: what that means, and how it is put right.
//!
//! The journal says which release is in force. So a pointer that was removed, or that leads nowhere, is made again as the
//! journal has it. A pointer that is no link at all may be somebody's data, and is left to a person.

use std::path::PathBuf;

use batou_release::manifest_digest;
use batou_store::{Digest, Generations};
use batou_system::fs;

use crate::error::Error;
use crate::intent::Intent;
use crate::journal::{Journal, JournalSummary};
use crate::protocol::{DriftKind, DriftedFile, RecordFault};
use crate::release::{self, Installed};
use crate::target::{TargetDirectory, remove_file};

/// What is in force on a host.
#[derive(Default)]
pub(crate) struct InForce {
    /// The generation that `current` names, whether or not it can be read.
    pub(crate) number: Option<u64>,
    /// The generation, if it can be read.
    pub(crate) installed: Option<Installed>,
    /// Why it cannot be read, or why `current` names none although a release was committed.
    pub(crate) broken: Option<Error>,
    /// `current` is missing, and so is what the generation consists of that the journal has in force.
    pub(crate) is_lost: bool,
}

impl InForce {
    /// What is in force. An error is only what no switch puts right.
    pub(crate) fn of(target: &TargetDirectory, generations: &Generations) -> Result<Self, Error> {
        let number = match generations.current() {
            Ok(Some(number)) if fs::is_dir(generations.path(number)) => number,
            Ok(Some(number)) => {
                return Ok(Self::astray(format!("led to generations/{number}, which is not there"), false));
            }
            Ok(None) if committed(target, generations)?.is_some() => {
                return Ok(Self::astray("was missing".to_owned(), true));
            }
            Ok(None) => {
                let committed = Journal::of(target).tail()?.committed;
                let is_lost = !Intent::is_there(target) && committed.is_some_and(|entry| entry.to.is_some());
                return Ok(Self { is_lost, ..Self::default() });
            }
            Err(error) => {
                return stray_link(target).map(|how| Self::astray(how, false)).ok_or_else(|| error.into());
            }
        };
        if let (Some(expected), Ok(bytes)) = (expected(target, number)?, generations.manifest(number))
            && manifest_digest(&bytes) != expected
        {
            // Whatever it says now, also of its format, is not what was released.
            let broken = Some(release::changed(target, number));
            return Ok(Self { number: Some(number), broken, ..Self::default() });
        }
        match release::installed(target, generations, number) {
            Ok(installed) => Ok(Self { number: Some(number), installed: Some(installed), ..Self::default() }),
            Err(broken @ Error::Generation { .. }) => {
                Ok(Self { number: Some(number), broken: Some(broken), ..Self::default() })
            }
            Err(error) => Err(error),
        }
    }

    fn astray(how: String, is_missing: bool) -> Self {
        Self { broken: Some(Error::Astray { how, is_missing }), ..Self::default() }
    }

    /// How that shows to who asks what is not as released.
    pub(crate) fn drift(&self) -> Option<DriftedFile> {
        match (&self.broken, self.number) {
            (None, _) => self.is_lost.then(|| DriftedFile { kind: DriftKind::Missing, ..drifted() }),
            (Some(_), Some(number)) => {
                let path = format!("generations/{number}/manifest.json");
                Some(DriftedFile { component: None, path, kind: DriftKind::Changed })
            }
            (Some(Error::Astray { is_missing: true, .. }), None) => {
                Some(DriftedFile { kind: DriftKind::Missing, ..drifted() })
            }
            (Some(_), None) => Some(drifted()),
        }
    }

    /// The generation in force, or, where `current` leads to none, the one that is put in force again.
    pub(crate) fn or_journaled(
        self,
        target: &TargetDirectory,
        generations: &Generations,
    ) -> Result<Option<Installed>, Error> {
        match (self.installed, self.broken) {
            (None, Some(Error::Astray { .. })) => match committed(target, generations)? {
                Some(number) => release::installed(target, generations, number).map(Some),
                None => Ok(None),
            },
            (installed, _) => Ok(installed),
        }
    }
}

/// A pointer that is not as the last release left it, as a file that is not as released.
pub(crate) fn drifted() -> DriftedFile {
    DriftedFile { component: None, path: "current".to_owned(), kind: DriftKind::Changed }
}

/// Whether the journal, too, has this generation in force. Somebody may have moved the pointer, or shortened the journal.
pub(crate) fn agrees(journal: &JournalSummary, number: u64) -> bool {
    journal.committed.as_ref().is_none_or(|entry| entry.to == Some(number))
}

/// Where the pointer of a host with these faults leads to another generation than the journal has in force: that, in a
/// sentence. While a release is under way, and where the journal is lost, it does not say which one is in force.
pub(crate) fn contradiction(
    target: &TargetDirectory,
    installed: &Installed,
    (journal, faults): (&JournalSummary, &[RecordFault]),
) -> Option<String> {
    let is_silent = Intent::is_there(target) || faults.iter().copied().any(RecordFault::is_of_journal);
    if is_silent || agrees(journal, installed.number) {
        return None;
    }
    let journaled = journal.committed.as_ref()?.to?;
    let number = installed.number;
    Some(format!(
        "`current` leads to generation {number}, and the journal says that generation {journaled} is in force"
    ))
}

/// Makes a pointer again that was removed or leads nowhere; returns what was done. Only for the holder of the lock, and once
/// no release is under way any more.
pub(crate) fn mend(target: &TargetDirectory, generations: &Generations) -> Result<Option<String>, Error> {
    let InForce { number: None, broken: Some(Error::Astray { how, .. }), .. } =
        InForce::of(target, generations)?
    else {
        return Ok(None);
    };
    unhook(target)?;
    let Some(number) = committed(target, generations)? else {
        return Ok(Some(format!("`current` {how}; no release is in force")));
    };
    generations.switch(number)?;
    Ok(Some(format!("`current` {how}; generation {number} is in force again, as the journal says")))
}

/// Removes a pointer that leads nowhere, so that it can be made anew when the host goes back from an interrupted release.
pub(crate) fn unhook(target: &TargetDirectory) -> Result<(), Error> {
    let generations = Generations::open(target.directory())?;
    let dangles = match generations.current() {
        Ok(number) => number.is_some_and(|number| !fs::is_dir(generations.path(number))),
        Err(_) => stray_link(target).is_some(),
    };
    if dangles { remove_file(&pointer(target)) } else { Ok(()) }
}

/// The manifest that a generation in force was written with, as far as the records tell. While a release is under way, the
/// intent speaks of one generation, and the journal may speak of one that had the same number. An intent that cannot be read
/// speaks of none.
fn expected(target: &TargetDirectory, number: u64) -> Result<Option<Digest>, Error> {
    if let Ok(Some(intent)) = Intent::load(target) {
        return Ok((intent.to == number).then_some(intent.manifest));
    }
    let committed = Journal::of(target).tail()?.committed;
    Ok(committed.filter(|entry| entry.to == Some(number)).map(|entry| entry.manifest))
}

/// The generation that the journal has in force, if it is there and is the one that was committed.
fn committed(target: &TargetDirectory, generations: &Generations) -> Result<Option<u64>, Error> {
    let Some(entry) = Journal::of(target).tail()?.committed else { return Ok(None) };
    let is_it = |number: &u64| {
        release::read(generations, *number).is_ok_and(|installed| installed.digest == entry.manifest)
    };
    Ok(entry.to.filter(is_it))
}

/// What is wrong with a link that is not one of ours.
fn stray_link(target: &TargetDirectory) -> Option<String> {
    fs::read_link(pointer(target)).ok().map(|to| format!("led to {}", to.display()))
}

fn pointer(target: &TargetDirectory) -> PathBuf {
    target.directory().join("current")
}
