//! Steps: commands that bring something about, and checks of whether it holds.
//!
//! First a step's conditions decide whether it is wanted on this host, and whether there is anything to do. Then
//! `verify` decides whether the step holds, unless something that a trigger names has changed. If the step does not hold,
//! `update` is run; afterwards `verify` must succeed, and the file that `creates` names must exist. Without `verify`,
//! `update` is run once for each fingerprint. A step with `verify` alone fails unless it holds.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batou_release::{Component, Script, Step};
use batou_system::fs;

use super::assertion::{directory, exists, is_wanted, outdated};
use super::{Held, Work};
use crate::activated::Converged;
use crate::command::{Attention, Finished, Termination, prepare, run};
use crate::error::Error;
use crate::protocol::{Decision, UnitRun};
use crate::running::RunningUnit;
use crate::target::TargetDirectory;

/// Whether a command or an assertion holds and, if not, why.
type Verdict = Result<(), FailedCommand>;

/// A command that failed, or an assertion that does not hold.
struct FailedCommand {
    /// As in `failed with status 1`.
    problem: String,
    run: Box<UnitRun>,
    /// Whether it answers a question: a command that was not found says nothing.
    is_answer: bool,
}

/// The exit status of a shell for a command that it may not execute.
const NOT_EXECUTABLE: i32 = 126;
/// The exit status of a shell for a command that it does not find.
const NOT_FOUND: i32 = 127;

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
    let decision = match run.condition()? {
        Some(decision) => decision,
        None => run.converge()?,
    };
    Ok(Held { decision, unchanged: step.assertions.unchanged.clone() })
}

/// Checks the conditions and `verify`; returns why the step does not hold, if it does not.
pub(super) fn verify(work: &mut Work<'_, '_>, step: &Step) -> Result<Option<String>, Error> {
    match (StepRun { work, step }).problem() {
        // That a condition cannot be answered is a problem of this unit, and the others are asked all the same.
        Err(Error::Unit { reason, .. }) => Ok(Some(reason)),
        problem => problem,
    }
}

/// Runs the step's `revert`; returns whether it has one.
pub(super) fn revert(work: &mut Work<'_, '_>, step: &Step) -> Result<bool, Error> {
    let Some(revert) = &step.revert else { return Ok(false) };
    work.begin()?;
    let mut run = StepRun { work, step };
    match run.execute("revert", &StepCommand::Shell(revert))? {
        Err(failed) => Err(run.work.failure(&format!("revert {}", failed.problem), failed.run)),
        Ok(()) => Ok(true),
    }
}

impl StepRun<'_, '_, '_> {
    /// Why the step does not hold, if it does not.
    fn problem(&mut self) -> Result<Option<String>, Error> {
        if self.condition()?.is_some() {
            return Ok(None);
        }
        if let Some(path) = &self.step.creates {
            return Ok(Some(format!("{}: {path} does not exist", self.work.id)));
        }
        let verdict = self.verify(When::After)?;
        Ok(verdict.err().map(|failed| format!("{}: verify {}", self.work.id, failed.problem)))
    }

    /// What the conditions decide; `None` if they leave it to `verify` and `update`.
    fn condition(&mut self) -> Result<Option<Decision>, Error> {
        let step = self.step;
        if !is_wanted(self.target(), self.work.component, step)? {
            return Ok(Some(Decision::Unwanted));
        }
        if let Some(path) = &step.creates
            && exists(&self.directory(), path)?
        {
            return Ok(Some(Decision::Created));
        }
        let Some(unless) = &step.unless else { return Ok(None) };
        let verdict = self.ask("unless", &StepCommand::Shell(unless))?;
        Ok(verdict.is_ok().then_some(Decision::Unneeded))
    }

    /// Makes the step hold.
    fn converge(&mut self) -> Result<Decision, Error> {
        let step = self.step;
        let update = step.update.as_deref().map(StepCommand::Shell);
        let update = update.or(step.script.as_ref().map(StepCommand::Script));
        let Some(update) = update else {
            return match self.verify(When::Before)? {
                Ok(()) => Ok(Decision::Held),
                Err(FailedCommand { problem, run, .. }) => {
                    let problem = format!("verify {problem}, and there is no update");
                    Err(self.work.failure(&problem, run))
                }
            };
        };
        // What a service does with a file cannot be seen from whether it runs: a reload is due all the same.
        if step.has_verify() && !self.work.is_triggered() && self.verify(When::Before)?.is_ok() {
            return Ok(Decision::Held);
        }
        self.update(&update).map(|()| Decision::Ran)
    }

    fn update(&mut self, update: &StepCommand<'_>) -> Result<(), Error> {
        self.work.begin()?;
        if let Err(failed) = self.execute("update", update)? {
            return Err(self.work.failure(&format!("update {}", failed.problem), failed.run));
        }
        if let Some(path) = &self.step.creates
            && !exists(&self.directory(), path)?
        {
            let problem = format!("update did not create {path}");
            return Err(self.work.failure(&problem, Box::new(self.work.nothing_run())));
        }
        match self.verify(When::After)? {
            Err(FailedCommand { problem, run, .. }) => {
                Err(self.work.failure(&format!("verify {problem}, even after update"), run))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether everything that `verify` says holds. What needs no command is checked first.
    fn verify(&mut self, when: When) -> Result<Verdict, Error> {
        if let Some(problem) = self.unmet(when)? {
            let (problem, run) = (format!("failed: {problem}"), Box::new(self.work.nothing_run()));
            return Ok(Err(FailedCommand { problem, run, is_answer: true }));
        }
        let step = self.step;
        let script = step.assertions.script.as_ref().map(StepCommand::Script);
        for program in script.into_iter().chain(step.verify.as_deref().map(StepCommand::Shell)) {
            let verdict = self.ask("verify", &program)?;
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

    /// Runs a command whose exit status is an answer. That it cannot be run is none.
    fn ask(&mut self, kind: &str, program: &StepCommand<'_>) -> Result<Verdict, Error> {
        match self.execute(kind, program)? {
            Err(FailedCommand { problem, run, is_answer: false }) => {
                let hint = "to ask whether there is a command, use `command -v NAME`";
                Err(self.work.failure(&format!("{kind} {problem}, which answers nothing ({hint})"), run))
            }
            verdict => Ok(verdict),
        }
    }

    fn execute(&mut self, kind: &str, program: &StepCommand<'_>) -> Result<Verdict, Error> {
        let mut is_answer = true;
        let (status, output, problem) = match self.start(program) {
            Ok(Finished { ending: Termination::Disturbed(disturbance), .. }) => {
                let subject = format!("{}: its {kind} was ended", self.work.id);
                return Err(Error::Disturbed(format!("{subject}: {disturbance}")));
            }
            Ok(Finished { ending: Termination::Status(status), output }) => {
                // A shell says what it did not find. Where it says nothing, it was asked: by `command -v` in dash.
                let why = match status {
                    NOT_FOUND if !output.is_empty() => ": a command in it was not found",
                    NOT_EXECUTABLE if !output.is_empty() => ": a command in it could not be executed",
                    _ => "",
                };
                is_answer = why.is_empty();
                (Some(status), output, format!("failed with status {status}{why}"))
            }
            Ok(Finished { ending: Termination::TimedOut, output }) => {
                (None, output, format!("was killed after {} s", self.step.timeout))
            }
            Err(error) => {
                is_answer = false;
                (None, String::new(), format!("could not be run: {error}"))
            }
        };
        let run = UnitRun { unit: self.work.id.clone(), command: kind.to_owned(), status, output };
        self.work.convergence.runs.push(run.clone());
        Ok(if status == Some(0) {
            Ok(())
        } else {
            Err(FailedCommand { problem, run: Box::new(run), is_answer })
        })
    }

    fn start(&mut self, program: &StepCommand<'_>) -> io::Result<Finished> {
        let directory = self.directory();
        if !fs::is_dir(&directory) {
            let missing = format!("the folder that it runs in, {}, is missing", directory.display());
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
