//! The parent's side of a child that evaluates.

use std::io::{self, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

use batou_environments::{Evaluation, Explanation};
use batou_release::Step;

use super::death::Death;
use super::message::{self, Answer, Question, Request, Wanted};
use super::notes::Notes;
use crate::error::CommandError;

/// A process that evaluates and then answers questions. It ends with this value, and with this process.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    notes: Notes,
    request: Request,
    death: Option<Death>,
}

impl Child {
    /// Starts one. For the kernel the thread that calls this is its parent, and it ends with that thread.
    pub(super) fn start(request: Request) -> Result<Self, CommandError> {
        Self::spawn(request).map_err(|error| {
            CommandError::failed("the process that evaluates cannot be started").because(error)
        })
    }

    /// The child has a process group of its own: what is typed at a terminal is this process's to decide.
    fn spawn(request: Request) -> io::Result<Self> {
        let notes = Notes::new()?;
        let mut process = Command::new("/proc/self/exe")
            .arg0("batou")
            .arg("evaluate")
            .env("RAYON_NUM_THREADS", request.limits.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(notes.stdio()?)
            .process_group(0)
            .spawn()?;
        let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Child { process, to, from: BufReader::with_capacity(1 << 16, from), notes, request, death: None })
    }

    /// Has the environment evaluated.
    pub(super) fn evaluation(&mut self) -> Result<Evaluation<()>, CommandError> {
        if message::write(&mut self.to, &self.request).is_err() {
            return Err(self.ended());
        }
        let mut components = Vec::new();
        loop {
            match self.answer()? {
                Answer::Component(rendered) => components.push(rendered),
                Answer::Evaluation(evaluation) => return Ok(Evaluation { components, ..*evaluation }),
                Answer::Mistakes(mistakes) => return Err(mistakes.into()),
                Answer::Explained(_) => return Err(confused("attributes that nobody asked for")),
                Answer::Steps(_) => return Err(confused("steps that nobody asked for")),
            }
        }
    }

    /// The steps of each of the wanted components, in their order: one question for all.
    pub(super) fn steps(&mut self, wanted: &[Wanted]) -> Result<Vec<Vec<Step>>, CommandError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        match self.ask(&Question::Steps(wanted.to_vec()))? {
            Answer::Steps(steps) if steps.len() == wanted.len() => Ok(steps),
            Answer::Mistakes(mistakes) => Err(mistakes.into()),
            _ => Err(confused("something else than the steps")),
        }
    }

    /// The attributes of a component; `None` if it is not on the host.
    pub(super) fn explain(
        &mut self,
        host: &str,
        component: &str,
    ) -> Result<Option<Explanation>, CommandError> {
        match self.ask(&Question::Explain(host.to_owned(), component.to_owned()))? {
            Answer::Explained(explained) => Ok(explained),
            _ => Err(confused("something else than the attributes")),
        }
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, CommandError> {
        if message::write(&mut self.to, question).is_err() {
            return Err(self.ended());
        }
        self.answer()
    }

    /// Whether one thread alone would show at what the memory ran out, or do with it.
    pub(super) fn ran_out_among_several(&self) -> bool {
        self.request.limits.threads > 1 && self.death.as_ref().is_some_and(Death::is_uncertain)
    }

    fn answer(&mut self) -> Result<Answer, CommandError> {
        match message::read(&mut self.from) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.ended()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.ended()),
            Err(error) => Err(confused("what cannot be read").because(error)),
        }
    }

    /// Why there is no answer: the child has ended, or is about to.
    fn ended(&mut self) -> CommandError {
        match self.process.wait() {
            Ok(status) => {
                let death = Death::of(status, &self.notes);
                self.death.insert(death).explain(&self.request.limits, &self.request.environment)
            }
            Err(error) => CommandError::failed("the process that evaluates is lost").because(error),
        }
    }
}

fn confused(what: &str) -> CommandError {
    CommandError::failed(format!("the process that evaluates answered {what}"))
        .hint("this is a mistake in batou: please report it")
}

impl Drop for Child {
    /// It has nothing to finish. Killed and waited for, it leaves nothing behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
