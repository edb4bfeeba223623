//! Convergence: running what a component has to be run.
//!
//! A step's `verify` says whether it holds. Where it does not, `update` is run, and then `verify` must hold. Without
//! `verify`, `update` is run once for each fingerprint; with `verify` alone there is nothing to do but to hold.

use std::path::PathBuf;
use std::time::Duration;

use batou_environments::Step;

use super::activated::{Activated, Converged};
use super::command::{Attention, Ending, Finished, prepare, run};
use super::connection::Connection;
use super::error::Error;
use super::session::About;
use crate::protocol::StepRun;
use crate::release::{Component, Manifest, step_fingerprint};

/// Runs steps and records what they did.
pub(super) struct Convergence<'a> {
    /// On which host.
    pub(super) about: &'a About,
    /// For the output, and for cutting steps short.
    pub(super) connection: &'a mut Connection,
    /// What a step's run has to do with the controller.
    pub(super) attention: Attention,
    /// What has converged.
    pub(super) activated: &'a mut Activated,
    /// Each run is added here.
    pub(super) runs: &'a mut Vec<StepRun>,
    /// The fleet release that runs them.
    pub(super) sequence: u64,
}

/// Whether a command did what it is for, and if not, why: `failed with status 1`.
type Held = Result<(), (String, Box<StepRun>)>;

impl Convergence<'_> {
    /// Converges a component's steps; says which were updated. With `recheck`, also those that are as recorded.
    pub(super) fn component(&mut self, component: &Component, recheck: bool) -> Result<Vec<String>, Error> {
        let mut updated = Vec::new();
        for step in &component.steps {
            if (recheck || !self.activated.holds(component, step)) && self.step(component, step)? {
                updated.push(step.name.clone());
            }
        }
        Ok(updated)
    }

    fn step(&mut self, component: &Component, step: &Step) -> Result<bool, Error> {
        let held = match &step.verify {
            Some(verify) => Some(self.execute(component, step, ("verify", verify))?),
            None => None,
        };
        let updates = match (held, &step.update) {
            (Some(Ok(())), _) | (None, None) => false,
            (Some(Err((problem, run))), None) => {
                return Err(failure(
                    component,
                    step,
                    &format!("verify {problem}, and there is no update"),
                    run,
                ));
            }
            (_, Some(update)) => {
                self.update(component, step, update)?;
                true
            }
        };
        self.record(component, step, true)?;
        Ok(updates)
    }

    fn update(&mut self, component: &Component, step: &Step, update: &str) -> Result<(), Error> {
        self.record(component, step, false)?;
        if let Err((problem, run)) = self.execute(component, step, ("update", update))? {
            return Err(failure(component, step, &format!("update {problem}"), run));
        }
        let Some(verify) = &step.verify else { return Ok(()) };
        match self.execute(component, step, ("verify", verify))? {
            Err((problem, run)) => {
                Err(failure(component, step, &format!("verify {problem}, even after update"), run))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Reverts a step that is rolled back, and forgets it. Without a `revert` there is nothing to do.
    pub(super) fn revert(&mut self, component: &Component, step: &Step) -> Result<(), Error> {
        let Some(revert) = &step.revert else { return Ok(()) };
        self.record(component, step, false)?;
        match self.execute(component, step, ("revert", revert))? {
            Err((problem, run)) => Err(failure(component, step, &format!("revert {problem}"), run)),
            Ok(()) => self.activated.forget(&self.about.target, component, step),
        }
    }

    /// Reverts the steps of a manifest, last first, that are `chosen` by what is recorded of them; with `other`,
    /// a manifest that wants some of them as they are. Goes on after a failure where `problems` takes it.
    pub(super) fn revert_all(
        &mut self,
        manifest: &Manifest,
        other: Option<&Manifest>,
        chosen: impl Fn(&Converged) -> bool,
        mut problem: impl FnMut(Error) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for component in manifest.components.iter().rev() {
            for step in component.steps.iter().rev() {
                let recorded = self.activated.get(component, step);
                let ran = recorded.is_some_and(|it| it.fingerprint == step_fingerprint(step) && chosen(it));
                if ran && !has_step(other, component, step) {
                    self.revert(component, step).or_else(&mut problem)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a `verify` and says in which way it does not hold.
    pub(super) fn check(&mut self, component: &Component, step: &Step) -> Result<Option<String>, Error> {
        let Some(verify) = &step.verify else { return Ok(None) };
        let held = self.execute(component, step, ("verify", verify))?;
        Ok(held.err().map(|(problem, _)| format!("step {}/{}: verify {problem}", component.name, step.name)))
    }

    fn record(&mut self, component: &Component, step: &Step, finished: bool) -> Result<(), Error> {
        let fingerprint = step_fingerprint(step);
        let before =
            self.activated.get(component, step).filter(|it| it.finished && it.fingerprint == fingerprint);
        if finished && before.is_some() {
            return Ok(());
        }
        let converged = Converged { fingerprint, finished, sequence: self.sequence };
        self.activated.set(&self.about.target, component, step, converged)
    }

    fn execute(
        &mut self,
        component: &Component,
        step: &Step,
        (kind, text): (&str, &str),
    ) -> Result<Held, Error> {
        let timeout = Duration::from_secs(step.timeout);
        let finished = self.start(component, step, text, timeout);
        let (status, output, problem) = match finished {
            Ok(Finished { ending: Ending::Disturbed(disturbance), .. }) => {
                let subject = format!("step {}/{}: its {kind} was ended", component.name, step.name);
                return Err(Error::Disturbed(format!("{subject}: {disturbance}")));
            }
            Ok(Finished { ending: Ending::Status(status), output }) => {
                (Some(status), output, format!("failed with status {status}"))
            }
            Ok(Finished { ending: Ending::TimedOut, output }) => {
                (None, output, format!("was killed after its {} s", step.timeout))
            }
            Err(error) => (None, String::new(), format!("could not be run: {error}")),
        };
        let component = component.name.to_string();
        let run = StepRun { component, step: step.name.clone(), command: kind.to_owned(), status, output };
        self.runs.push(run.clone());
        Ok(if status == Some(0) { Ok(()) } else { Err((problem, Box::new(run))) })
    }

    fn start(
        &mut self,
        component: &Component,
        step: &Step,
        text: &str,
        timeout: Duration,
    ) -> std::io::Result<Finished> {
        let directory = self.directory(component, step);
        if !directory.is_dir() {
            let missing = format!("its working directory {} is missing", directory.display());
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, missing));
        }
        let mut command = prepare("/bin/sh", &directory, &self.about.user);
        command.arg("-c").arg(text).envs(&step.environment);
        run(&mut command, Some(timeout), self.connection, self.attention)
    }

    /// The component's own folder, or what the step says, seen from there.
    fn directory(&self, component: &Component, step: &Step) -> PathBuf {
        let state = self.about.target.state(&component.name);
        step.directory.as_ref().map_or_else(|| state.clone(), |directory| state.join(directory))
    }
}

fn has_step(manifest: Option<&Manifest>, component: &Component, step: &Step) -> bool {
    let other = manifest.and_then(|manifest| manifest.component(component.name.as_str()));
    other.is_some_and(|other| other.steps.contains(step))
}

fn failure(component: &Component, step: &Step, problem: &str, run: Box<StepRun>) -> Error {
    Error::Step { reason: format!("step {}/{}: {problem}", component.name, step.name), run }
}
