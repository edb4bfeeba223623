//! The parent's side of a child process that evaluates.

use std::io::{self, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

use batou_environments::{Evaluation, ExplainedEnvironment};

use super::death::Death;
use super::message::{self, AnswerPart, EvaluationRequest};
use super::notes::NotesFile;
use crate::error::CommandError;

/// What a child answers.
#[derive(Debug)]
pub(super) enum Answer {
    Evaluation(Box<Evaluation>),
    /// If an explanation was asked for.
    Explained(Box<ExplainedEnvironment>),
}

/// A process that evaluates once. It ends after its answer, and at the latest when this value or this process
/// does.
#[derive(Debug)]
pub(super) struct Evaluator {
    process: process::Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    notes: NotesFile,
    request: EvaluationRequest,
    death: Option<Death>,
}

impl Evaluator {
    /// Starts the process. The kernel counts the calling thread as its parent, and ends it together with that
    /// thread.
    pub(super) fn start(request: EvaluationRequest) -> Result<Self, CommandError> {
        Self::spawn(request)
            .map_err(|error| CommandError::failed("the evaluation process cannot be started").because(error))
    }

    /// The child has its own process group, because this process decides what an interrupt at the terminal
    /// does.
    fn spawn(request: EvaluationRequest) -> io::Result<Self> {
        let notes = NotesFile::new()?;
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
        Ok(Evaluator {
            process,
            to,
            from: BufReader::with_capacity(1 << 16, from),
            notes,
            request,
            death: None,
        })
    }

    /// Asks, and reads the answer.
    pub(super) fn answer(&mut self) -> Result<Answer, CommandError> {
        if message::write(&mut self.to, &self.request).is_err() {
            return Err(self.ended());
        }
        let mut components = Vec::new();
        loop {
            match self.part()? {
                AnswerPart::Component(rendered) => components.push(rendered),
                AnswerPart::Rest(rest) => {
                    return Ok(Answer::Evaluation(Box::new(Evaluation { components, ..*rest })));
                }
                AnswerPart::Explained(explained) => return Ok(Answer::Explained(explained)),
                AnswerPart::Mistakes(mistakes) => return Err(mistakes.into()),
            }
        }
    }

    /// Whether memory ran out while several threads evaluated. With one thread it might be enough; if not, the
    /// error can name what needed it.
    pub(super) fn ran_out_among_several(&self) -> bool {
        self.request.limits.threads > 1 && self.death.as_ref().is_some_and(Death::is_uncertain)
    }

    fn part(&mut self) -> Result<AnswerPart, CommandError> {
        match message::read(&mut self.from) {
            Ok(Some(part)) => Ok(part),
            Ok(None) => Err(self.ended()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.ended()),
            Err(error) => Err(CommandError::failed("the answer of the evaluation process cannot be read")
                .because(error)
                .hint("this is a bug in batou: please report it")),
        }
    }

    /// Why there is no answer: the child has ended, or is about to.
    fn ended(&mut self) -> CommandError {
        match self.process.wait() {
            Ok(status) => {
                let death = Death::of(status, &self.notes);
                self.death.insert(death).explain(&self.request.limits, &self.request.environment)
            }
            Err(error) => CommandError::failed("the evaluation process was lost").because(error),
        }
    }
}

impl Drop for Evaluator {
    /// The child is about to end, or has nothing left to finish. It is killed and waited for, so that nothing
    /// remains of it.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
