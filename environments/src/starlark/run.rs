//! Runs a component's `configure` for one host.

use std::sync::Arc;

use starlark::environment::Module;
use starlark::eval::Evaluator;

use crate::component::item::Item;
use crate::notes::{Notes, noted};
use crate::starlark::component::StarlarkComponent;
use crate::starlark::configure;
use crate::starlark::context::CallContext;
use crate::starlark::limits;
use crate::starlark::placement::Placement;
use crate::starlark::report::diagnose;
use crate::starlark::session::{ConfigureSession, RunMode, Unused};
use crate::starlark::stop::{self, Stop};
use crate::starlark::subcomponent::adopt;
use crate::starlark::subcomponent::configured::SubComponent;
use crate::template::cause;
use crate::text::diagnostic::{Diagnostic, Problems};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct ConfigureRun {
    /// What was declared, as far as the run got.
    pub(crate) items: Vec<Item>,
    pub(crate) problems: Problems,
    /// It stopped at a requirement that is not met, the last of its items.
    pub(crate) waiting: bool,
    /// It ran to its end.
    pub(crate) complete: bool,
}

/// Runs a component where it is placed. The thread needs the stack of [`limits::STACK`].
pub(crate) fn run(
    declared: &StarlarkComponent,
    placement: Arc<dyn Placement>,
    mode: RunMode,
    notes: Option<Notes<'_>>,
) -> ConfigureRun {
    let session = ConfigureSession::new(declared, placement, mode, adopt);
    for (name, digest) in &declared.causes {
        cause::record(name.clone(), digest.clone());
    }
    let subject = || format!("{} ({})", session.subject(), declared.file);
    let result = noted(notes, subject, || evaluate(declared, &session));
    finish(&session, result.err().as_ref())
}

fn evaluate(declared: &StarlarkComponent, session: &Arc<ConfigureSession>) -> starlark::Result<()> {
    let context = CallContext::Run(Arc::clone(session));
    let component = SubComponent::top(declared, session);
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        limits::bound(&mut eval);
        // A run is short, and its memory bounded: collecting would cost more than it frees.
        eval.disable_gc();
        eval.extra = Some(&context);
        configure::run(&component, None, &mut eval)
    })
}

fn finish(session: &ConfigureSession, error: Option<&starlark::Error>) -> ConfigureRun {
    let subject = session.subject();
    let innermost = session.innermost();
    let left = session.take();
    let mut problems = left.problems;
    let waiting = match (&left.noted, error) {
        (None, Some(error)) => matches!(stop::found(error), Some(Stop::Waiting)),
        _ => false,
    };
    let explained = match (error, &left.noted) {
        (Some(error), noted) => {
            let made = innermost.as_ref().map(|running| running.made.clone()).unwrap_or_default();
            diagnose(error, noted.as_ref(), session.sources(), made)
        }
        // The code asked for a value and went on without it, by `getattr` with a default, say. The mistake stays one.
        (None, Some(Stop::Mistake { message, help, at })) => {
            let diagnostic = Diagnostic::error(message.clone());
            let diagnostic = at.iter().fold(diagnostic, Diagnostic::at);
            Some(help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help.clone())))
        }
        (None, Some(Stop::Diagnosed(diagnostic))) => Some(diagnostic.as_ref().clone()),
        (None, _) => None,
    };
    if let Some(diagnostic) = explained {
        // What the interpreter notices only after a while, such as a limit that is exceeded, has no place.
        let code = innermost.filter(|_| diagnostic.location.is_none()).map(|running| running.code_at);
        let diagnostic = code.iter().fold(diagnostic, Diagnostic::at);
        problems.push(session.placement.advised(diagnostic).about(subject));
    }
    let complete = error.is_none() && left.noted.is_none();
    if error.is_none() {
        for Unused { shown, at } in left.unused {
            let message = format!("`{shown}` is made, but neither added nor provided");
            let help = "add it with c.add(…), or remove it";
            let host = session.placement.subject();
            problems.push(Diagnostic::error(message).at(&at).help(help).about(host).warning());
        }
    }
    ConfigureRun { items: left.items, problems, waiting, complete }
}
