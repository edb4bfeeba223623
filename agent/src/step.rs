//! Convergence: running what a component has to be run.
//!
//! First a step's conditions say whether it is for this host, and whether there is nothing to do. Then `verify` says
//! whether it holds. Where it does not, `update` is run, and then `verify` must hold, and what `creates` names must be
//! there. Without `verify`, `update` is run once for each fingerprint; with `verify` alone there is nothing to do but to
//! hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batou_release::{Script, Step};
use batou_store::Digest;

use crate::activated::{Activated, Converged};
use crate::assertion::{directory, exists, is_wanted, outdated};
use crate::command::{Attention, Ending, Finished, prepare, run};
use crate::connection::Connection;
use crate::error::Error;
use crate::protocol::StepRun;
use crate::running::Running;
use crate::session::About;
use batou_release::{Component, Manifest, step_fingerprint};

/// Runs steps and records what they did.
pub(crate) struct Convergence<'a> {
    /// On which host.
    pub(crate) about: &'a About,
    /// For the output, and for cutting steps short.
    pub(crate) connection: &'a mut Connection,
    /// What a step's run has to do with the controller.
    pub(crate) attention: Attention,
    /// What has converged.
    pub(crate) activated: &'a mut Activated,
    /// Each run is added here.
    pub(crate) runs: &'a mut Vec<StepRun>,
    /// The fleet release that runs them.
    pub(crate) sequence: u64,
}

/// Whether something holds, and if not, why: `failed with status 1`.
type Held = Result<(), (String, Box<StepRun>)>;

/// What a step's conditions say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It is not for this host.
    Skipped,
    /// There is nothing to do.
    Met,
    /// `verify` and `update` decide.
    Open,
}

/// When `verify` is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Is there anything to do?
    Before,
    /// Is it as it should be? That something has changed since is then no reason any more.
    After,
}

/// What is run.
enum Program<'s> {
    /// By a shell.
    Text(&'s str),
    /// As it is.
    Script(&'s Script),
}

impl Convergence<'_> {
    /// Converges a component's steps; says which were updated. With `recheck`, also those that are as recorded.
    pub(crate) fn component(&mut self, component: &Component, recheck: bool) -> Result<Vec<String>, Error> {
        let mut updated = Vec::new();
        for step in &component.steps {
            let holds = self.activated.holds(&self.about.target, component, step);
            if (recheck || !holds) && self.step(component, step)? {
                updated.push(step.name.clone());
            }
        }
        Ok(updated)
    }

    fn step(&mut self, component: &Component, step: &Step) -> Result<bool, Error> {
        let condition = self.condition(component, step)?;
        let updates = condition == Condition::Open && self.converge(component, step)?;
        self.finish(component, step, condition == Condition::Skipped)?;
        Ok(updates)
    }

    fn condition(&mut self, component: &Component, step: &Step) -> Result<Condition, Error> {
        if !is_wanted(&self.about.target, component, step)? {
            return Ok(Condition::Skipped);
        }
        if let Some(path) = &step.creates
            && exists(&self.directory(component, step), path)?
        {
            return Ok(Condition::Met);
        }
        let Some(unless) = &step.unless else { return Ok(Condition::Open) };
        let held = self.execute(component, step, ("unless", Program::Text(unless)))?;
        Ok(if held.is_ok() { Condition::Met } else { Condition::Open })
    }

    /// Makes the step hold; says whether that took an update.
    fn converge(&mut self, component: &Component, step: &Step) -> Result<bool, Error> {
        let update = step.update.as_deref().map(Program::Text);
        let update = update.or(step.script.as_ref().map(Program::Script));
        if step.has_verify() {
            match (self.verify(component, step, When::Before)?, &update) {
                (Ok(()), _) => return Ok(false),
                (Err((problem, run)), None) => {
                    let problem = format!("verify {problem}, and there is no update");
                    return Err(failure(component, step, &problem, run));
                }
                (Err(_), Some(_)) => {}
            }
        }
        let Some(update) = update else { return Ok(false) };
        self.update(component, step, update).map(|()| true)
    }

    fn update(&mut self, component: &Component, step: &Step, update: Program<'_>) -> Result<(), Error> {
        self.begin(component, step)?;
        if let Err((problem, run)) = self.execute(component, step, ("update", update))? {
            return Err(failure(component, step, &format!("update {problem}"), run));
        }
        if let Some(path) = &step.creates
            && !exists(&self.directory(component, step), path)?
        {
            let problem = format!("update did not create {path}");
            return Err(failure(component, step, &problem, Box::new(nothing_run(component, step))));
        }
        match self.verify(component, step, When::After)? {
            Err((problem, run)) => {
                Err(failure(component, step, &format!("verify {problem}, even after update"), run))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether all that `verify` says holds: first what needs no command.
    fn verify(&mut self, component: &Component, step: &Step, when: When) -> Result<Held, Error> {
        if let Some(problem) = self.unmet(component, step, when)? {
            return Ok(Err((format!("failed: {problem}"), Box::new(nothing_run(component, step)))));
        }
        let script = step.assertions.script.as_ref().map(Program::Script);
        for program in script.into_iter().chain(step.verify.as_deref().map(Program::Text)) {
            let held = self.execute(component, step, ("verify", program))?;
            if held.is_err() {
                return Ok(held);
            }
        }
        Ok(Ok(()))
    }

    /// Which assertion does not hold, of those about files.
    fn unmet(&self, component: &Component, step: &Step, when: When) -> Result<Option<String>, Error> {
        let (assertions, directory) = (&step.assertions, self.directory(component, step));
        if let Some(path) = &assertions.path
            && !exists(&directory, path)?
        {
            return Ok(Some(format!("{path} does not exist")));
        }
        let outdated = assertions.newer.as_ref().map(|newer| outdated(&directory, newer)).transpose()?;
        if let Some(problem) = outdated.flatten() {
            return Ok(Some(problem));
        }
        Ok(if when == When::Before { self.changed(component, step) } else { None })
    }

    /// What has changed since the step last converged, of what must not have.
    fn changed(&self, component: &Component, step: &Step) -> Option<String> {
        let recorded = self.activated.get(component, step).filter(|it| it.finished && !it.skipped);
        let before = |name: &String| recorded.and_then(|it| it.unchanged.get(name));
        let mut unchanged = step.assertions.unchanged.iter();
        let (name, _) = unchanged.find(|(name, digest)| before(name) != Some(digest))?;
        Some(format!("{name} has changed"))
    }

    /// Reverts a step that is rolled back, and forgets it. Without a `revert` there is nothing to do.
    pub(crate) fn revert(&mut self, component: &Component, step: &Step) -> Result<(), Error> {
        let Some(revert) = &step.revert else { return Ok(()) };
        self.begin(component, step)?;
        match self.execute(component, step, ("revert", Program::Text(revert)))? {
            Err((problem, run)) => Err(failure(component, step, &format!("revert {problem}"), run)),
            Ok(()) => self.activated.forget(&self.about.target, component, step),
        }
    }

    /// Reverts the steps of a manifest, last first, that are `chosen` by what is recorded of them; with `other`,
    /// a manifest that wants some of them as they are. Goes on after a failure where `problems` takes it.
    pub(crate) fn revert_all(
        &mut self,
        manifest: &Manifest,
        other: Option<&Manifest>,
        chosen: impl Fn(&Converged) -> bool,
        mut problem: impl FnMut(Error) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for component in manifest.components.iter().rev() {
            for step in component.steps.iter().rev() {
                let recorded = self.activated.get(component, step);
                let fingerprint = step_fingerprint(component, step);
                let ran =
                    recorded.is_some_and(|it| it.fingerprint == fingerprint && !it.skipped && chosen(it));
                if ran && !has_step(other, component.name.as_str(), &fingerprint) {
                    self.revert(component, step).or_else(&mut problem)?;
                }
            }
        }
        Ok(())
    }

    /// Asks the conditions and `verify`, and says in which way the step does not hold.
    pub(crate) fn check(&mut self, component: &Component, step: &Step) -> Result<Option<String>, Error> {
        if self.condition(component, step)? != Condition::Open {
            return Ok(None);
        }
        let name = format!("step {}/{}", component.name, step.name);
        if let Some(path) = &step.creates {
            return Ok(Some(format!("{name}: {path} does not exist")));
        }
        let held = self.verify(component, step, When::After)?;
        Ok(held.err().map(|(problem, _)| format!("{name}: verify {problem}")))
    }

    /// Records that a command is about to change something.
    fn begin(&mut self, component: &Component, step: &Step) -> Result<(), Error> {
        self.record(component, step, self.converged(component, step))
    }

    /// Records that the step holds, or is skipped. One that was recorded so already keeps its release.
    fn finish(&mut self, component: &Component, step: &Step, skipped: bool) -> Result<(), Error> {
        let unchanged = step.assertions.unchanged.clone();
        let now = Converged { finished: true, skipped, unchanged, ..self.converged(component, step) };
        let before = self.activated.get(component, step);
        if before.is_some_and(|before| Converged { sequence: now.sequence, ..before.clone() } == now) {
            return Ok(());
        }
        self.record(component, step, now)
    }

    fn record(&mut self, component: &Component, step: &Step, converged: Converged) -> Result<(), Error> {
        self.activated.set(&self.about.target, component, step, converged)
    }

    /// The step as being on the way.
    fn converged(&self, component: &Component, step: &Step) -> Converged {
        let fingerprint = step_fingerprint(component, step);
        let sequence = self.sequence;
        Converged { fingerprint, finished: false, sequence, skipped: false, unchanged: BTreeMap::new() }
    }

    fn execute(
        &mut self,
        component: &Component,
        step: &Step,
        (kind, program): (&str, Program<'_>),
    ) -> Result<Held, Error> {
        let finished = self.start(component, step, &program);
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
        program: &Program<'_>,
    ) -> std::io::Result<Finished> {
        let directory = self.directory(component, step);
        if !directory.is_dir() {
            let missing = format!("its working directory {} is missing", directory.display());
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, missing));
        }
        let mut command = match program {
            Program::Text(text) => {
                let mut command = prepare(Path::new("/bin/sh"), &directory, &self.about.user);
                command.arg("-c").arg(text);
                command
            }
            Program::Script(script) => {
                let artifact = self.about.target.artifact(component);
                let mut command = prepare(&artifact.join(script.path.as_str()), &directory, &self.about.user);
                command.args(&script.arguments);
                command
            }
        };
        command.envs(&step.environment);
        let timeout = Some(Duration::from_secs(step.timeout));
        let target = &self.about.target;
        // Who only looks has no lock, and changes nothing that could go on.
        if self.attention == Attention::Quiet {
            return run(&mut command, timeout, self.connection, self.attention, |_| ());
        }
        let name = format!("{}/{}", component.name, step.name);
        let record = |group| Running::record(target, &name, group);
        let finished = run(&mut command, timeout, self.connection, self.attention, record);
        Running::forget(target);
        finished
    }

    fn directory(&self, component: &Component, step: &Step) -> PathBuf {
        directory(&self.about.target, component, step)
    }
}

/// What a failure has in place of a command's run.
fn nothing_run(component: &Component, step: &Step) -> StepRun {
    StepRun {
        component: component.name.to_string(),
        step: step.name.clone(),
        command: "verify".to_owned(),
        status: None,
        output: String::new(),
    }
}

fn has_step(manifest: Option<&Manifest>, component: &str, fingerprint: &Digest) -> bool {
    let other = manifest.and_then(|manifest| manifest.component(component));
    other.is_some_and(|other| other.steps.iter().any(|step| step_fingerprint(other, step) == *fingerprint))
}

fn failure(component: &Component, step: &Step, problem: &str, run: Box<StepRun>) -> Error {
    Error::Step { reason: format!("step {}/{}: {problem}", component.name, step.name), run }
}
