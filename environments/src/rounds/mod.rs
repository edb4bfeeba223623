//! Starlark components are configured in rounds, since what one declares may depend on what others provide.
//!
//! A round reads only what the round before it left, so the result depends neither on the order of components nor on
//! how many run at once. A component runs again when the answer to one of its questions has changed; when none has,
//! everything is settled.

mod instance;
mod placement;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::model::component::LoadedComponent;
use crate::model::connect::Connections;
use crate::model::place::Model;
use crate::notes::Notes;
use crate::template::dns::DnsAnswers;
use crate::text::diagnostic::{Diagnostic, Problems, listed};
use crate::values::LazyValues;
use instance::{CodeInstance, LastRun};

/// Stack size of each thread. What code asks for is computed on the code's own thread, so there must be room for
/// values that refer to values. The system takes pages only when they are used.
const STACK: usize = 256 * 1024 * 1024;

/// How many rounds are allowed in addition to one for each component, all of which may wait for one another in a row.
const SPARE_ROUNDS: usize = 3;

/// Runs the code of every component until nothing changes, and returns the model with what the code declared.
pub(crate) fn settle(
    model: &Arc<Model>,
    answers: &Arc<DnsAnswers>,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> Result<Arc<Model>, rayon::ThreadPoolBuildError> {
    let mut rounds = Rounds::new(model, answers, notes);
    if rounds.all.is_empty() {
        return Ok(Arc::clone(model));
    }
    let threads = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
    Ok(threads.install(|| {
        let values = rounds.settle(problems);
        rounds.finish(&values, problems)
    }))
}

struct Rounds<'a> {
    notes: Option<Notes<'a>>,
    model: Model,
    answers: Arc<DnsAnswers>,
    all: Vec<CodeInstance>,
}

impl<'a> Rounds<'a> {
    fn new(model: &Model, answers: &Arc<DnsAnswers>, notes: Option<Notes<'a>>) -> Rounds<'a> {
        let instances = model.instances.iter().enumerate();
        let all = instances.filter_map(|(index, instance)| {
            let declared = Arc::clone(instance.component.code.as_ref()?);
            Some(CodeInstance { index, declared, last: None })
        });
        Rounds { notes, all: all.collect(), model: model.clone(), answers: Arc::clone(answers) }
    }

    /// The values after the last round.
    fn settle(&mut self, problems: &mut Problems) -> Arc<LazyValues> {
        for round in 0.. {
            let values = self.values();
            let due: Vec<(usize, Option<String>)> = self
                .all
                .par_iter()
                .enumerate()
                .filter_map(|(at, one)| Some((at, one.due(&values)?)))
                .collect();
            if due.is_empty() {
                return values;
            }
            if round > self.all.len() + SPARE_ROUNDS {
                problems.push(self.unsettled(&due));
                return values;
            }
            let lasts: Vec<LastRun> =
                due.par_iter().map(|(at, _)| self.all[*at].run(&values, self.notes)).collect();
            for ((at, _), last) in due.into_iter().zip(lasts) {
                let instance = &mut self.model.instances[self.all[at].index];
                instance.component = Arc::new(instance.component.connected(&last.run.items));
                self.all[at].last = Some(last);
            }
        }
        self.values()
    }

    /// What the last round left, for the next one to read.
    fn values(&self) -> Arc<LazyValues> {
        let model = Arc::new(self.model.clone());
        let connections = Arc::new(Connections::matched(&model));
        LazyValues::new(&model, &connections, &self.answers)
    }

    fn unsettled(&self, due: &[(usize, Option<String>)]) -> Diagnostic {
        let subjects: Vec<String> =
            due.iter().map(|(at, _)| self.model.subject(self.all[*at].index)).collect();
        let mut keys: Vec<&str> = due.iter().filter_map(|(_, key)| key.as_deref()).collect();
        keys.sort_unstable();
        keys.dedup();
        let message = format!("the values of {} do not settle: every run gives different ones", listed(keys));
        let help = "each of these components provides a value that depends on what it requires from the others, so the \
                    values change with every run: let one of them provide a value that does not depend on the others";
        let diagnostic = Diagnostic::error(message).help(help);
        let place = due.first().map(|(at, _)| &self.all[*at].declared.at);
        let diagnostic = place.into_iter().fold(diagnostic, Diagnostic::at);
        subjects.into_iter().fold(diagnostic, Diagnostic::about)
    }

    /// The model with everything that was declared. What is wrong with it is reported.
    fn finish(mut self, values: &Arc<LazyValues>, problems: &mut Problems) -> Arc<Model> {
        for last in self.all.iter().filter_map(|one| one.last.as_ref()) {
            self.model.finished &= last.run.complete;
            self.model.complete &= last.run.complete || last.run.waiting;
        }
        self.model.promised = waiting::promises(values, &self.all, self.notes, problems);
        let finished: BTreeMap<usize, (LoadedComponent, Problems)> = std::mem::take(&mut self.all)
            .into_par_iter()
            .filter_map(|one| {
                let component = &self.model.instances[one.index].component;
                let subject = self.model.subject(one.index);
                let mut own = Problems::default();
                let LastRun { run, causes, .. } = one.last?;
                let whole = component.whole(&run.items, causes, &mut own);
                own.about(&subject);
                own.extend(run.problems);
                Some((one.index, (whole, own)))
            })
            .collect();
        for (index, (component, own)) in finished {
            problems.extend(own);
            self.model.instances[index].component = Arc::new(component);
        }
        Arc::new(self.model)
    }
}
