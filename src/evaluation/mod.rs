//! An environment's evaluation, made by a child process.
//!
//! The engine of templates counts the work it does, but for some operations counts nothing: a list that is added to itself
//! forty times, or two that hold themselves twice over and are compared. One expression in Starlark can ask for gigabytes at
//! once (`"x" * 10**9`), and either can nest deeper than a stack. So a project is evaluated by the same program in a
//! process of its own, whose memory and time are limited by the kernel: when it is killed, this one goes on and says at
//! what. It is asked once, answers with plain data, and ends.

mod child;
mod death;
mod limits;
mod message;
mod notes;
mod serve;

use batou_environments::{Evaluation, Explanation, Project, Typed};

use crate::error::CommandError;
use crate::login;
use child::Evaluator;
use limits::Limits;
use message::EvaluationRequest;
pub use serve::serve;

/// Whether names without an entry in `[resolver]` are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// As this machine does.
    System,
    /// No name server is asked.
    Offline,
}

/// Evaluates an environment, in a child process.
pub fn evaluate(project: &Project, environment: &str, lookup: Lookup) -> Result<Evaluation, CommandError> {
    let request = EvaluationRequest { lookup: lookup == Lookup::System, ..request(project, environment)? };
    ask(&request).map(|(evaluation, _)| evaluation)
}

/// Evaluates an environment in a child process, which also tells the attributes of a component on a host and where their
/// values come from; `None` if it is not there. No name server is asked.
pub fn explain(
    project: &Project,
    environment: &str,
    typed: Typed,
) -> Result<(Evaluation, Option<Explanation>), CommandError> {
    ask(&EvaluationRequest { explain: Some(typed), ..request(project, environment)? })
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

fn ask(request: &EvaluationRequest) -> Result<(Evaluation, Option<Explanation>), CommandError> {
    let mut child = Evaluator::start(request.clone())?;
    let answer = child.answer();
    if !child.ran_out_among_several() {
        return answer;
    }
    let limits = Limits { threads: 1, ..request.limits };
    Evaluator::start(EvaluationRequest { limits, ..request.clone() })?.answer()
}
