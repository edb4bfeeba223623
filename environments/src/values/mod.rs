//! All values of an evaluation, each computed when it is first asked for, and once.
//!
//! Attributes refer to other attributes and to what other components provide, in any order. A value that is asked for
//! while it is being computed is in a cycle. After [`LazyValues::configure`] every value is there, and templates are
//! rendered in parallel.

mod advice;
mod answer;
pub(crate) mod explain;
mod facts;
mod key;
mod question;
mod running;
pub(crate) mod scope;
mod value;

pub(crate) use answer::{Asked, Query};

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minijinja::Error;
use minijinja::value::Value;

use crate::model::connect::Connections;
use crate::model::place::{Model, PlacedComponent, Provider};
use crate::notes::{Notes, noted};
use crate::template::cause::{self, UsedValues};
use crate::template::dns::DnsAnswers;
use crate::template::elsewhere::reported_error;
use crate::text::diagnostic::{Diagnostic, Problems};
use answer::ProvidedAnswer;
use key::ValueKey;

/// Stack size for values that refer to values, as deep as `running` allows, each a template as deep as the engine
/// allows. The system takes pages only when they are used.
const STACK: usize = 256 * 1024 * 1024;

/// A computed value, its digest, and what it was made from.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(crate) value: Value,
    pub(crate) digest: String,
    pub(crate) causes: UsedValues,
}

/// Holds `None` once computing failed; the mistake is reported then.
type Cell = OnceLock<Option<Evaluated>>;

#[derive(Default)]
struct Cells {
    attributes: BTreeMap<String, Cell>,
    provides: Vec<Cell>,
    resources: Vec<Cell>,
}

/// The values of a model.
pub(crate) struct LazyValues {
    pub(crate) model: Arc<Model>,
    pub(crate) connections: Arc<Connections>,
    answers: Arc<DnsAnswers>,
    cells: Vec<Cells>,
    problems: Mutex<Problems>,
    /// Answers, for everyone who asks the same question.
    answered: Mutex<HashMap<Query, Arc<ProvidedAnswer>>>,
    /// By instance: what its code asked.
    asked: Vec<Mutex<Vec<Asked>>>,
}

impl LazyValues {
    pub(crate) fn new(
        model: &Arc<Model>,
        connections: &Arc<Connections>,
        answers: &Arc<DnsAnswers>,
    ) -> Arc<LazyValues> {
        let cells = model.instances.iter().map(|instance| {
            let declarations = &instance.component.declarations;
            Cells {
                attributes: instance
                    .component
                    .interface
                    .attributes
                    .keys()
                    .map(|name| (name.clone(), Cell::new()))
                    .collect(),
                provides: declarations.provides.iter().map(|_| Cell::new()).collect(),
                resources: declarations.requires.iter().map(|_| Cell::new()).collect(),
            }
        });
        Arc::new(LazyValues {
            cells: cells.collect(),
            model: Arc::clone(model),
            connections: Arc::clone(connections),
            answers: Arc::clone(answers),
            problems: Mutex::default(),
            answered: Mutex::default(),
            asked: model.instances.iter().map(|_| Mutex::default()).collect(),
        })
    }

    /// Computes every value, on a thread with a stack for values that refer to values.
    pub(crate) fn configure(self: &Arc<Self>, notes: Option<Notes<'_>>) -> io::Result<()> {
        std::thread::scope(|threads| {
            let compute = || {
                for index in 0..self.cells.len() {
                    noted(notes, || self.model.subject(index), || self.compute(index));
                }
            };
            let worker = std::thread::Builder::new().stack_size(STACK).spawn_scoped(threads, compute)?;
            // Passes a panic on to the caller, as if there were no thread.
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
            Ok(())
        })
    }

    fn compute(self: &Arc<Self>, index: usize) {
        let cells = &self.cells[index];
        for name in cells.attributes.keys() {
            self.attribute(index, name);
        }
        for provide in 0..cells.provides.len() {
            self.provided(Provider { instance: index, provide });
        }
        for require in 0..cells.resources.len() {
            self.resource_at(index, require);
        }
    }

    pub(crate) fn instance(&self, index: usize) -> &PlacedComponent {
        &self.model.instances[index]
    }

    /// The mistakes found while values were computed.
    pub(crate) fn take_problems(&self) -> Problems {
        std::mem::take(&mut *self.problems())
    }

    /// The value of an attribute, noted as used; `None` if the component has none of this name.
    pub(crate) fn use_attribute(self: &Arc<Self>, index: usize, name: &str) -> Option<Result<Value, Error>> {
        self.cells[index].attributes.get(name)?;
        let Some(evaluated) = self.attribute(index, name) else { return Some(Err(reported_error())) };
        if cause::is_new(cause::key(evaluated, "attribute")) {
            let component = &self.instance(index).component.name;
            cause::record(format!("attribute {component}.{name}"), evaluated.digest.clone());
            cause::record_all(&evaluated.causes);
        }
        Some(Ok(evaluated.value.clone()))
    }

    /// The value of a required resource, noted as used; `None` if the component requires none under this name.
    pub(crate) fn use_resource(
        self: &Arc<Self>,
        index: usize,
        variable: &str,
    ) -> Option<Result<Value, Error>> {
        let requires = &self.instance(index).component.declarations.requires;
        let require = requires.iter().position(|require| require.variable.as_deref() == Some(variable))?;
        Some(self.use_requirement(index, require))
    }

    /// The same by the requirement's position, since code need not give it a name.
    pub(crate) fn use_requirement(self: &Arc<Self>, index: usize, require: usize) -> Result<Value, Error> {
        let Some(evaluated) = self.resource_at(index, require) else { return Err(reported_error()) };
        if cause::is_new(cause::key(evaluated, "resource")) {
            self.record_resource(index, require, evaluated);
        }
        Ok(evaluated.value.clone())
    }

    fn record_resource(self: &Arc<Self>, index: usize, require: usize, evaluated: &Evaluated) {
        let key = &self.instance(index).component.declarations.requires[require].key.value;
        let providers = &self.connections.providers[index][require];
        if providers.is_empty() {
            cause::record(format!("resource {key}"), evaluated.digest.clone());
        }
        for provider in providers {
            if let Some(provided) = self.provided(*provider) {
                let from = self.model.subject(provider.instance);
                cause::record(format!("resource {key} from {from}"), provided.digest.clone());
            }
        }
    }

    /// An attribute and what it was made from; `None` if it has no value, which is reported.
    pub(crate) fn attribute(self: &Arc<Self>, index: usize, name: &str) -> Option<&Evaluated> {
        let cell = self.cells[index].attributes.get(name)?;
        self.force(
            cell,
            || ValueKey::Attribute(index, name.to_owned()),
            || {
                let node = self.attribute_node(index, name)?;
                collected(|| self.attribute_value(index, name, &node))
            },
        )
    }

    fn provided(self: &Arc<Self>, provider: Provider) -> Option<&Evaluated> {
        let cell = self.cells[provider.instance].provides.get(provider.provide)?;
        self.force(
            cell,
            || ValueKey::Provide(provider.instance, provider.provide),
            || collected(|| self.provided_value(provider)),
        )
    }

    /// Whether a provided value can be computed by now.
    pub(crate) fn has_value(self: &Arc<Self>, provider: Provider) -> bool {
        self.provided(provider).is_some()
    }

    fn resource_at(self: &Arc<Self>, index: usize, require: usize) -> Option<&Evaluated> {
        let cell = self.cells[index].resources.get(require)?;
        self.force(
            cell,
            || ValueKey::Resource(index, require),
            || collected(|| self.resource_value(index, require)),
        )
    }

    /// The content of a cell, computed when it is first asked for.
    fn force<'a>(
        &self,
        cell: &'a Cell,
        key: impl FnOnce() -> ValueKey,
        compute: impl FnOnce() -> Option<Evaluated>,
    ) -> Option<&'a Evaluated> {
        if let Some(done) = cell.get() {
            return done.as_ref();
        }
        let evaluated = self.guarded(key(), compute);
        cell.get_or_init(|| evaluated).as_ref()
    }

    fn report(&self, diagnostic: Diagnostic, index: usize) {
        let diagnostic = self.advise(diagnostic, index);
        self.problems().push(diagnostic.about(self.model.subject(index)));
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes a value, and collects what it was made from.
fn collected(compute: impl FnOnce() -> Option<Value>) -> Option<Evaluated> {
    let (value, causes) = cause::collect(compute);
    let value = value?;
    Some(Evaluated { digest: cause::digest_of(&value), value, causes })
}
