//! An environment's evaluation, made by a child process.
//!
//! The template engine counts the work it does, but counts some operations as nothing: adding a list to itself
//! forty times, or comparing two lists that each contain themselves twice. One Starlark expression can ask for
//! gigabytes at once (`"x" * 10**9`), and both languages can nest deeper than a stack. So a project is
//! evaluated by the same program in a process of its own, whose memory and time the kernel limits. If that
//! process is killed, this one goes on and says what was being evaluated. The child is asked once, answers with
//! plain data, and ends.

mod child;
mod death;
mod limits;
mod message;
mod notes;
mod serve;

use batou_environments::{Evaluation, ExplainedEnvironment, Project, Typed};

use crate::error::CommandError;
use crate::login;
use child::{Answer, Evaluator};
use limits::Limits;
use message::EvaluationRequest;
pub use serve::serve;

/// Whether names without an entry in `[resolver]` are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Looked up as this machine does.
    System,
    /// Not looked up: no name server is asked.
    Offline,
}

/// Evaluates an environment, in a child process.
pub fn evaluate(project: &Project, environment: &str, lookup: Lookup) -> Result<Evaluation, CommandError> {
    let request = EvaluationRequest { lookup: lookup == Lookup::System, ..request(project, environment)? };
    match ask(&request)? {
        Answer::Evaluation(evaluation) => Ok(*evaluation),
        Answer::Explained(_) => Err(another_answer()),
    }
}

/// Explains the attributes of a component on a host and where their values come from, in a child process. Mistakes do
/// not prevent it, as far as they leave values. No name server is asked.
pub fn explain(
    project: &Project,
    environment: &str,
    typed: Typed,
) -> Result<ExplainedEnvironment, CommandError> {
    match ask(&EvaluationRequest { explain: Some(typed), ..request(project, environment)? })? {
        Answer::Explained(explained) => Ok(*explained),
        Answer::Evaluation(_) => Err(another_answer()),
    }
}

fn another_answer() -> CommandError {
    CommandError::failed("the process that evaluates answered another question")
        .hint("this is a bug in batou: please report it")
}

/// A request that asks no name server and explains nothing.
fn request(project: &Project, environment: &str) -> Result<EvaluationRequest, CommandError> {
    let login = login::current();
    Ok(EvaluationRequest {
        root: project.root.clone(),
        environment: environment.to_owned(),
        lookup: false,
        user: login.user,
        user_home: login.home,
        limits: Limits::from_environment()?,
        explain: None,
    })
}

fn ask(request: &EvaluationRequest) -> Result<Answer, CommandError> {
    let mut child = Evaluator::start(request.clone())?;
    let answer = child.answer();
    if !child.ran_out_among_several() {
        return answer;
    }
    let limits = Limits { threads: 1, ..request.limits };
    Evaluator::start(EvaluationRequest { limits, ..request.clone() })?.answer()
}
