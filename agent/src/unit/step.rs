//! Steps: commands that bring something about, and checks of whether it holds.
//!
//! First a step's conditions decide whether it is wanted on this host, and whether there is anything to do. Then
//! `verify` decides whether the step holds. If it does not, `update` is run; afterwards `verify` must succeed, and
//! the file that `creates` names must exist. Without `verify`, `update` is run once for each fingerprint. A step with
//! `verify` alone fails unless it holds.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batou_release::{Component, Script, Step};

use super::assertion::{directory, exists, is_wanted, outdated};
use super::{Held, Work};
use crate::activated::Converged;
use crate::command::{Attention, Finished, Termination, prepare, run};
use crate::error::Error;
use crate::protocol::UnitRun;
use crate::running::RunningUnit;
use crate::target::TargetDirectory;

/// Whether a command or an assertion holds and, if not, why, as in `failed with status 1`.
type Verdict = Result<(), (String, Box<UnitRun>)>;

/// What a step's conditions say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// The step is not wanted on this host.
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
    /// Does it hold? A file that has changed is a reason to update only before the update.
    After,
}

/// What is run.
enum StepCommand<'s> {
    /// A command for the shell.
    Shell(&'s str),
    /// A file of the artifact, without a shell.
    Script(&'s Script),
}

/// A step at work.
struct StepRun<'r, 'w, 'a> {
    work: &'r mut Work<'w, 'a>,
    step: &'r Step,
}

/// Whether the record still says that the step holds. For a step that was skipped because a path was missing, it does
/// until the path exists. If the path cannot be examined, the step's convergence will say why.
pub(super) fn holds(
    target: &TargetDirectory,
    component: &Component,
    step: &Step,
    recorded: &Converged,
) -> bool {
    !(recorded.skipped && is_wanted(target, component, step).unwrap_or(true))
}

/// Makes the step hold.
pub(super) fn converge(work: &mut Work<'_, '_>, step: &Step) -> Result<Held, Error> {
    let mut run = StepRun { work, step };
    let condition = run.condition()?;
    let changed = condition == Condition::Open && run.converge()?;
    let unchanged = step.assertions.unchanged.clone();
    Ok(Held { changed, skipped: condition == Condition::Skipped, unchanged })
}

/// Checks the conditions and `verify`; returns why the step does not hold, if it does not.
pub(super) fn verify(work: &mut Work<'_, '_>, step: &Step) -> Result<Option<String>, Error> {
    let mut run = StepRun { work, step };
    if run.condition()? != Condition::Open {
        return Ok(None);
    }
    if let Some(path) = &step.creates {
        return Ok(Some(format!("{}: {path} does not exist", run.work.id)));
    }
    let verdict = run.verify(When::After)?;
    Ok(verdict.err().map(|(problem, _)| format!("{}: verify {problem}", run.work.id)))
}

/// Runs the step's `revert`; returns whether it has one.
pub(super) fn revert(work: &mut Work<'_, '_>, step: &Step) -> Result<bool, Error> {
    let Some(revert) = &step.revert else { return Ok(false) };
    work.begin()?;
    let mut run = StepRun { work, step };
    match run.execute("revert", &StepCommand::Shell(revert))? {
        Err((problem, unit_run)) => Err(run.work.failure(&format!("revert {problem}"), unit_run)),
        Ok(()) => Ok(true),
    }
}

impl StepRun<'_, '_, '_> {
    fn condition(&mut self) -> Result<Condition, Error> {
        let step = self.step;
        if !is_wanted(self.target(), self.work.component, step)? {
            return Ok(Condition::Skipped);
        }
        if let Some(path) = &step.creates
            && exists(&self.directory(), path)?
        {
            return Ok(Condition::Met);
        }
        let Some(unless) = &step.unless else { return Ok(Condition::Open) };
        let verdict = self.execute("unless", &StepCommand::Shell(unless))?;
        Ok(if verdict.is_ok() { Condition::Met } else { Condition::Open })
    }

    /// Makes the step hold; returns whether that took an update.
    fn converge(&mut self) -> Result<bool, Error> {
        let step = self.step;
        let update = step.update.as_deref().map(StepCommand::Shell);
        let update = update.or(step.script.as_ref().map(StepCommand::Script));
        if step.has_verify() {
            match (self.verify(When::Before)?, &update) {
                (Ok(()), _) => return Ok(false),
                (Err((problem, run)), None) => {
                    let problem = format!("verify {problem}, and there is no update");
                    return Err(self.work.failure(&problem, run));
                }
                (Err(_), Some(_)) => {}
            }
        }
        let Some(update) = update else { return Ok(false) };
        self.update(&update).map(|()| true)
    }

    fn update(&mut self, update: &StepCommand<'_>) -> Result<(), Error> {
        self.work.begin()?;
        if let Err((problem, run)) = self.execute("update", update)? {
            return Err(self.work.failure(&format!("update {problem}"), run));
        }
        if let Some(path) = &self.step.creates
            && !exists(&self.directory(), path)?
        {
            let problem = format!("update did not create {path}");
            return Err(self.work.failure(&problem, Box::new(self.work.nothing_run())));
        }
        match self.verify(When::After)? {
            Err((problem, run)) => {
                Err(self.work.failure(&format!("verify {problem}, even after update"), run))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether everything that `verify` says holds. What needs no command is checked first.
    fn verify(&mut self, when: When) -> Result<Verdict, Error> {
        if let Some(problem) = self.unmet(when)? {
            return Ok(Err((format!("failed: {problem}"), Box::new(self.work.nothing_run()))));
        }
        let step = self.step;
        let script = step.assertions.script.as_ref().map(StepCommand::Script);
        for program in script.into_iter().chain(step.verify.as_deref().map(StepCommand::Shell)) {
            let verdict = self.execute("verify", &program)?;
            if verdict.is_err() {
                return Ok(verdict);
            }
        }
        Ok(Ok(()))
    }

    /// The assertion about files that does not hold, if there is one.
    fn unmet(&self, when: When) -> Result<Option<String>, Error> {
        let (assertions, directory) = (&self.step.assertions, self.directory());
        if let Some(path) = &assertions.path
            && !exists(&directory, path)?
        {
            return Ok(Some(format!("{path} does not exist")));
        }
        let outdated = assertions.newer.as_ref().map(|newer| outdated(&directory, newer)).transpose()?;
        if let Some(problem) = outdated.flatten() {
            return Ok(Some(problem));
        }
        Ok(if when == When::Before { self.changed() } else { None })
    }

    /// What has changed since the step last converged, although `verify` requires it to be unchanged.
    fn changed(&self) -> Option<String> {
        let recorded = self.work.recorded().filter(|it| it.finished && !it.skipped);
        let before = |name: &String| recorded.and_then(|it| it.unchanged.get(name));
        let mut unchanged = self.step.assertions.unchanged.iter();
        let (name, _) = unchanged.find(|(name, digest)| before(name) != Some(digest))?;
        Some(format!("{name} has changed"))
    }

    fn execute(&mut self, kind: &str, program: &StepCommand<'_>) -> Result<Verdict, Error> {
        let (status, output, problem) = match self.start(program) {
            Ok(Finished { ending: Termination::Disturbed(disturbance), .. }) => {
                let subject = format!("{}: its {kind} was ended", self.work.id);
                return Err(Error::Disturbed(format!("{subject}: {disturbance}")));
            }
            Ok(Finished { ending: Termination::Status(status), output }) => {
                (Some(status), output, format!("failed with status {status}"))
            }
            Ok(Finished { ending: Termination::TimedOut, output }) => {
                (None, output, format!("was killed after {} s", self.step.timeout))
            }
            Err(error) => (None, String::new(), format!("could not be run: {error}")),
        };
        let run = UnitRun { unit: self.work.id.clone(), command: kind.to_owned(), status, output };
        self.work.convergence.runs.push(run.clone());
        Ok(if status == Some(0) { Ok(()) } else { Err((problem, Box::new(run))) })
    }

    fn start(&mut self, program: &StepCommand<'_>) -> io::Result<Finished> {
        let directory = self.directory();
        if !directory.is_dir() {
            let missing = format!("its working directory {} is missing", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        }
        let user = &self.work.convergence.about.user;
        let mut command = match program {
            StepCommand::Shell(text) => {
                let mut command = prepare(Path::new("/bin/sh"), &directory, user);
                command.arg("-c").arg(text);
                command
            }
            StepCommand::Script(script) => {
                let artifact = self.target().artifact(self.work.component);
                let mut command = prepare(&artifact.join(script.path.as_str()), &directory, user);
                command.args(&script.arguments);
                command
            }
        };
        command.envs(&self.step.environment);
        let timeout = Some(Duration::from_secs(self.step.timeout));
        let (target, id) = (&self.work.convergence.about.target, &self.work.id);
        let (connection, attention) =
            (&mut *self.work.convergence.connection, self.work.convergence.attention);
        // A check has no lock and changes nothing: if its agent is killed, nothing has to be ended.
        if attention == Attention::Quiet {
            return run(&mut command, timeout, connection, attention, |_| ());
        }
        let record = |group| RunningUnit::record(target, id, group);
        let finished = run(&mut command, timeout, connection, attention, record);
        RunningUnit::forget(target);
        finished
    }

    fn target(&self) -> &TargetDirectory {
        &self.work.convergence.about.target
    }

    fn directory(&self) -> PathBuf {
        directory(self.target(), self.work.component, self.step)
    }
}
