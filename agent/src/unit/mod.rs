//! Convergence: making the units of a release hold on the host.
//!
//! This is what all kinds of units have in common. There is work to do for a unit when what is wanted differs from
//! what is recorded; a unit is recorded as unfinished before anything is changed for it, and as finished once it
//! holds. What is particular to a kind is in its own module, in three functions: `converge`, `verify` and `revert`.

mod assertion;
mod step;

use std::collections::BTreeMap;

use batou_release::{Component, Manifest, Unit, UnitId};
use batou_store::{Digest, Lock};

use crate::activated::{Activated, Converged};
use crate::command::Attention;
use crate::connection::Connection;
use crate::error::Error;
use crate::protocol::{Decision, UnitDecision, UnitRun};
use crate::session::About;
use crate::target::TargetDirectory;
use crate::turn::Turn;

/// Converges units and records what that did.
pub(crate) struct Convergence<'a> {
    /// The host.
    pub(crate) about: &'a About,
    /// Whoever only verifies records nothing, and needs no lock.
    pub(crate) lock: Option<&'a Lock>,
    /// Takes the output, and tells when commands are to be cut short.
    pub(crate) connection: &'a mut Connection,
    /// What its commands have to do with the controller.
    pub(crate) attention: Attention,
    /// What has converged.
    pub(crate) activated: &'a mut Activated,
    /// Each run is added here.
    pub(crate) runs: &'a mut Vec<UnitRun>,
    /// The fleet release that runs them.
    pub(crate) sequence: u64,
}

/// One unit of a component, and the convergence that is at work on it.
struct Work<'w, 'a> {
    convergence: &'w mut Convergence<'a>,
    component: &'w Component,
    id: UnitId,
    /// The fingerprint of the unit as the manifest has it.
    fingerprint: Digest,
    /// What its triggers name, likewise.
    triggers: &'w BTreeMap<String, String>,
}

/// How it came about that a unit holds.
struct Held {
    /// What was decided about it.
    decision: Decision,
    /// [`Converged::unchanged`]
    unchanged: BTreeMap<String, String>,
}

/// Whether a unit is recorded to hold as it is.
pub(crate) fn holds(
    target: &TargetDirectory,
    activated: &Activated,
    component: &Component,
    unit: &Unit,
) -> bool {
    let Some(recorded) = activated.get(&component.unit_id(unit)) else { return false };
    recorded.finished
        && recorded.fingerprint == component.fingerprint(unit)
        // If it cannot be expanded, its convergence will say why.
        && expanded(target, component, unit).is_ok_and(|unit| match &unit {
            Unit::Step(step) => step::holds(target, component, step, recorded),
        })
}

/// A manifest's unit with the path that the component's artifact has on this host. This is the one that is converged,
/// verified and reverted; only the fingerprint is that of the manifest's.
fn expanded(target: &TargetDirectory, component: &Component, unit: &Unit) -> Result<Unit, Error> {
    let artifact = target.artifact(component);
    unit.expanded(&artifact.to_string_lossy()).map_err(|source| Error::Artifact {
        unit: component.unit_id(unit),
        artifact,
        source,
    })
}

/// Whether all of a component's units are recorded to hold.
pub(crate) fn settled(target: &TargetDirectory, activated: &Activated, component: &Component) -> bool {
    component.units.iter().all(|unit| holds(target, activated, component, unit))
}

impl<'a> Convergence<'a> {
    /// While a command ran, somebody else may have taken the lock: what is recorded then is theirs.
    fn turn(&self) -> Result<Option<Turn>, Error> {
        self.lock.map(|lock| Turn::take(&self.about.target, lock)).transpose()
    }

    /// Converges a component's units; returns what was decided about them. With `recheck`, also those that are recorded to
    /// hold.
    pub(crate) fn component(
        &mut self,
        component: &Component,
        recheck: bool,
    ) -> Result<Vec<UnitDecision>, Error> {
        let mut units = Vec::new();
        for unit in &component.units {
            let holds = holds(&self.about.target, self.activated, component, unit);
            if recheck || !holds {
                let expanded = expanded(&self.about.target, component, unit)?;
                units.push(self.work(component, unit).converge(&expanded)?);
            }
        }
        Ok(units)
    }

    /// Why a unit does not hold, as a sentence; `None` if it does. Changes nothing.
    pub(crate) fn verify(&mut self, component: &Component, unit: &Unit) -> Result<Option<String>, Error> {
        let expanded = expanded(&self.about.target, component, unit)?;
        let mut work = self.work(component, unit);
        match &expanded {
            Unit::Step(step) => step::verify(&mut work, step),
        }
    }

    /// Reverts units of a manifest, last first: those that are `chosen` by what is recorded of them, except those
    /// that `other` has unchanged. Each failure is given to `problem`, which decides whether to go on.
    pub(crate) fn revert_all(
        &mut self,
        manifest: &Manifest,
        other: Option<&Manifest>,
        chosen: impl Fn(&Converged) -> bool,
        mut problem: impl FnMut(Error) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for component in manifest.components.iter().rev() {
            let stays = other.and_then(|other| other.component(component.name.as_str()));
            for unit in component.units.iter().rev() {
                let recorded = self.activated.get(&component.unit_id(unit));
                let fingerprint = component.fingerprint(unit);
                let is_ours = |it: &Converged| it.fingerprint == fingerprint && !it.skipped && chosen(it);
                if recorded.is_some_and(is_ours) && !stays.is_some_and(|it| it.has_unit(&fingerprint)) {
                    let expanded = expanded(&self.about.target, component, unit);
                    let reverted = expanded.and_then(|it| self.work(component, unit).revert(&it));
                    reverted.or_else(&mut problem)?;
                }
            }
        }
        Ok(())
    }

    fn work<'w>(&'w mut self, component: &'w Component, unit: &'w Unit) -> Work<'w, 'a> {
        let (id, fingerprint) = (component.unit_id(unit), component.fingerprint(unit));
        let triggers = match unit {
            Unit::Step(step) => &step.triggers,
        };
        Work { convergence: self, component, id, fingerprint, triggers }
    }
}

impl Work<'_, '_> {
    /// Makes the unit hold; returns what was decided about it.
    fn converge(mut self, unit: &Unit) -> Result<UnitDecision, Error> {
        let held = match unit {
            Unit::Step(step) => step::converge(&mut self, step)?,
        };
        self.finish(&held)?;
        Ok(UnitDecision { unit: self.id, decision: held.decision })
    }

    /// Reverts the unit and forgets it, if it can be reverted.
    fn revert(mut self, unit: &Unit) -> Result<(), Error> {
        let reverted = match unit {
            Unit::Step(step) => step::revert(&mut self, step)?,
        };
        if !reverted {
            return Ok(());
        }
        let _turn = self.convergence.turn()?;
        self.convergence.activated.forget(&self.convergence.about.target, &self.id)
    }

    /// Whether what one of its triggers names has changed since it last held, or was not there then: a file that is new has
    /// changed, too.
    fn is_triggered(&self) -> bool {
        let held = self.recorded().filter(|recorded| recorded.finished && !recorded.skipped);
        !self.triggers.is_empty() && held.is_none_or(|held| held.triggers != *self.triggers)
    }

    /// What is recorded of the unit.
    fn recorded(&self) -> Option<&Converged> {
        self.convergence.activated.get(&self.id)
    }

    /// Records that something is about to be changed.
    fn begin(&mut self) -> Result<(), Error> {
        let begun = Converged { ran: true, ..self.converged() };
        self.record(begun)
    }

    /// Records that the unit holds. If that is recorded already, the release recorded with it stays.
    fn finish(&mut self, held: &Held) -> Result<(), Error> {
        let (skipped, unchanged) = (held.decision == Decision::Unwanted, held.unchanged.clone());
        let ran = held.decision == Decision::Ran;
        let now = Converged { finished: true, skipped, unchanged, ran, ..self.converged() };
        let is_same = |before: &Converged| Converged { sequence: now.sequence, ran, ..before.clone() } == now;
        if self.recorded().is_some_and(is_same) {
            return Ok(());
        }
        self.record(now)
    }

    fn record(&mut self, converged: Converged) -> Result<(), Error> {
        let _turn = self.convergence.turn()?;
        let Convergence { about, activated, .. } = &mut *self.convergence;
        activated.set(&about.target, &self.id, converged)
    }

    /// The unit as unfinished.
    fn converged(&self) -> Converged {
        Converged {
            fingerprint: self.fingerprint,
            finished: false,
            sequence: self.convergence.sequence,
            ran: false,
            skipped: false,
            unchanged: BTreeMap::new(),
            triggers: self.triggers.clone(),
        }
    }

    /// Takes the place of a command's run in a failure for which nothing was run.
    fn nothing_run(&self) -> UnitRun {
        let command = "verify".to_owned();
        UnitRun { unit: self.id.clone(), command, status: None, output: String::new() }
    }

    fn failure(&self, problem: &str, run: Box<UnitRun>) -> Error {
        Error::Unit { reason: format!("{}: {problem}", self.id), run }
    }
}
