//! The child's side: evaluates what its parent asks for, answers, and ends.

use std::io::{self, Read, Write};

use rustix::process::{Signal, set_parent_process_death_signal};

use batou_environments::{Diagnostics, Dns, Offline, Options, Project};

use super::message::{self, AnswerPart, EvaluationRequest};
use super::notes::NotePlaces;
use crate::resolver::SystemDns;

/// Serves a parent; returns the exit status.
pub fn serve(mut from: impl Read, to: impl Write) -> u8 {
    let mut to = io::BufWriter::with_capacity(1 << 16, to);
    match answer(&mut from, &mut to).and_then(|()| to.flush()) {
        Ok(()) => 0,
        Err(error) => {
            // The parent decides whether standard error is shown.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

fn answer(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent has already gone, there is no request.
    let Some(request) = message::read::<EvaluationRequest>(from)? else { return Ok(()) };
    request.limits.apply()?;
    if let Some(typed) = &request.explain {
        let explained = with_options(&request, |project, options| {
            batou_environments::explain(project, &request.environment, options, typed)
        });
        return match explained {
            Ok(explained) => message::write(to, &AnswerPart::Explained(Box::new(explained))),
            Err(mistakes) => message::write(to, &AnswerPart::Mistakes(mistakes)),
        };
    }
    let evaluated = with_options(&request, |project, options| {
        batou_environments::evaluate_with_values(project, &request.environment, options)
    });
    let (mut evaluation, values) = match evaluated {
        Ok(evaluated) => evaluated,
        Err(mistakes) => return message::write(to, &AnswerPart::Mistakes(mistakes)),
    };
    // Freeing the values one by one takes a twentieth of the total time, and this process is about to end.
    std::mem::forget(values);
    for component in std::mem::take(&mut evaluation.components) {
        message::write(to, &AnswerPart::Component(component))?;
    }
    message::write(to, &AnswerPart::Rest(Box::new(evaluation)))
}

fn with_options<R>(
    request: &EvaluationRequest,
    work: impl FnOnce(&Project, &Options<'_>) -> Result<R, Diagnostics>,
) -> Result<R, Diagnostics> {
    let places = NotePlaces::new();
    let note = |subject: Option<&str>| places.note(io::stderr(), subject);
    let (system, offline) = (SystemDns::default(), Offline);
    let dns: &dyn Dns = if request.lookup { &system } else { &offline };
    let (user, user_home) = (request.user.clone(), request.user_home.clone());
    let options = Options { dns, user, user_home, notes: Some(&note) };
    work(&batou_environments::project(&request.root)?, &options)
}
