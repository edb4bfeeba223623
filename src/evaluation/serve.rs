//! The child's side: evaluates what its parent asks for, then answers its questions until it has no more.

use std::io::{self, Read, Write};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::message::{self, Answer, Question, Request};
use super::notes::Places;
use super::{Source, here, steps};

/// Serves a parent; the exit status.
pub fn serve(mut from: impl Read, to: impl Write) -> u8 {
    let mut to = io::BufWriter::with_capacity(1 << 16, to);
    match answer(&mut from, &mut to) {
        Ok(()) => 0,
        Err(error) => {
            // Standard error is the parent's to show.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

fn answer(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that is gone already says nothing.
    let Some(request) = message::read::<Request>(from)? else { return Ok(()) };
    request.limits.apply()?;
    let configured = match evaluate(&request) {
        Err(mistakes) => return message::write(to, &Answer::Mistakes(mistakes)),
        Ok(mut evaluation) => {
            for component in std::mem::take(&mut evaluation.components) {
                message::write(to, &Answer::Component(component))?;
            }
            let (plain, configured) = evaluation.replace_source(());
            message::write(to, &Answer::Evaluation(Box::new(plain)))?;
            configured
        }
    };
    let Source::Here(configured) = configured else { return Ok(()) };
    while let Some(question) = message::read::<Question>(from)? {
        let answer = match question {
            Question::Steps(wanted) => match steps(&configured, &wanted) {
                Ok(steps) => Answer::Steps(steps),
                Err(mistakes) => Answer::Mistakes(mistakes),
            },
            Question::Explain(host, component) => Answer::Explained(configured.explain(&host, &component)),
        };
        message::write(to, &answer)?;
    }
    Ok(())
}

fn evaluate(request: &Request) -> Result<super::Evaluation, batou_environments::Diagnostics> {
    let places = Places::new();
    let note = |subject: Option<&str>| places.note(io::stderr(), subject);
    here(&batou_environments::project(&request.root)?, request, Some(&note))
}
