//! An environment's evaluation, made by a child process.
//!
//! The engine of templates counts the work it does, but for some operations counts nothing: a list that is added to itself
//! forty times, or two that hold themselves twice over and are compared. One expression in Starlark can ask for gigabytes at
//! once (`"x" * 10**9`), and either can nest deeper than a stack. So a project is evaluated by the same program in a
//! process of its own, whose memory and time are limited by the kernel: when it is killed, this one goes on and says at
//! what. That process stays until the evaluation is dropped, since the texts of steps are rendered when the artifacts are
//! known.

mod child;
mod death;
mod limits;
mod message;
mod notes;
mod serve;

use std::sync::{Mutex, PoisonError};

use batou_environments::{Configured, Diagnostics, Dns, Explanation, Offline, Options, Project};
use batou_release::Step;
use rayon::prelude::*;

use crate::error::CommandError;
use crate::login;
use crate::resolver::SystemDns;
use child::Child;
use limits::Limits;
use message::Request;
pub use message::Wanted;
pub use serve::serve;

/// An environment, rendered, and whom to ask for its steps.
pub type Evaluation = batou_environments::Evaluation<Source>;

/// Whether names without an entry in `[resolver]` are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// As this machine does.
    System,
    /// No name server is asked.
    Offline,
}

/// What knows the steps of an evaluation.
#[allow(clippy::large_enum_variant)] // one a command
pub enum Source {
    /// It was made in this process.
    Here(Configured),
    /// It was made by a child, which waits.
    Child(Mutex<Child>),
}

/// Evaluates an environment, in a child process. This library's own tests are no program that could be one.
pub fn evaluate(project: &Project, environment: &str, lookup: Lookup) -> Result<Evaluation, CommandError> {
    let login = login::current();
    let request = Request {
        root: project.root.clone(),
        environment: environment.to_owned(),
        lookup: lookup == Lookup::System,
        user: login.user,
        user_home: login.home,
        limits: Limits::from_environment()?,
    };
    if cfg!(test) { Ok(here(project, &request, None)?) } else { in_child(request) }
}

fn in_child(request: Request) -> Result<Evaluation, CommandError> {
    let mut child = Child::start(request.clone())?;
    let mut evaluation = child.evaluation();
    if child.ran_out_among_several() {
        let limits = Limits { threads: 1, ..request.limits };
        child = Child::start(Request { limits, ..request })?;
        evaluation = child.evaluation();
    }
    Ok(evaluation?.replace_source(Source::Child(Mutex::new(child))).0)
}

/// Evaluates in this process.
fn here(
    project: &Project,
    request: &Request,
    notes: Option<batou_environments::Notes<'_>>,
) -> Result<Evaluation, Diagnostics> {
    let (system, offline) = (SystemDns::default(), Offline);
    let dns: &dyn Dns = if request.lookup { &system } else { &offline };
    let options = Options { dns, user: request.user.clone(), user_home: request.user_home.clone(), notes };
    batou_environments::evaluate(project, &request.environment, &options).map(Evaluation::from_here)
}

/// What [`batou_environments::evaluate`] gives, as commands use it.
pub trait FromHere {
    /// The same, with its source as one of two.
    fn from_here(evaluation: batou_environments::Evaluation) -> Self;
}

impl FromHere for Evaluation {
    fn from_here(evaluation: batou_environments::Evaluation) -> Self {
        let (plain, configured) = evaluation.replace_source(());
        plain.replace_source(Source::Here(configured)).0
    }
}

impl Source {
    /// The steps of each of the wanted components, in their order.
    pub fn steps(&self, wanted: &[Wanted]) -> Result<Vec<Vec<Step>>, CommandError> {
        match self {
            Source::Here(configured) => Ok(steps(configured, wanted)?),
            Source::Child(child) => child.lock().unwrap_or_else(PoisonError::into_inner).steps(wanted),
        }
    }

    /// The attributes of a component on a host, and where their values come from; `None` if it is not there.
    pub fn explain(&self, host: &str, component: &str) -> Result<Option<Explanation>, CommandError> {
        match self {
            Source::Here(configured) => Ok(configured.explain(host, component)),
            Source::Child(child) => {
                child.lock().unwrap_or_else(PoisonError::into_inner).explain(host, component)
            }
        }
    }
}

/// Renders the steps of components whose artifacts are known.
fn steps(configured: &Configured, wanted: &[Wanted]) -> Result<Vec<Vec<Step>>, Diagnostics> {
    let steps: Vec<_> = wanted
        .par_iter()
        .map(|wanted| {
            let describe = |path: &str| wanted.contents.get(path).cloned().unwrap_or_default();
            configured.steps((&wanted.host, &wanted.component), &wanted.artifact, &describe)
        })
        .collect();
    steps.into_iter().collect()
}
