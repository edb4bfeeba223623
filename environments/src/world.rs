//! All values of an evaluation, each computed when it is first asked for, and once.
//!
//! Attributes refer to other attributes and to what other components provide, in any order. A value that is asked for
//! while it is being computed is a circle. After [`World::configure`] every value is there, and templates are
//! rendered in parallel.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minijinja::Error;
use minijinja::value::Value;

use crate::address::Address;
use crate::attribute::plain;
use crate::cause::{self, Causes};
use crate::configure::{Connections, Provider};
use crate::diagnostic::{Diagnostic, Problems};
use crate::dns::Answers;
use crate::file::{Data, Node, merge};
use crate::resolve::{Instance, Model};
use crate::scope::Scope;
use crate::source::At;
use crate::template::{self, Mistake, reported_error};

/// Values that refer to values that refer to values: deeper than this is taken for a mistake.
const DEEPEST: usize = 60;

/// Room for that many templates within each other, each as deep as the engine allows. Pages are taken as needed.
const STACK: usize = 256 * 1024 * 1024;

/// A value, where it may be used, and what it was made from.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(crate) value: Value,
    pub(crate) digest: String,
    pub(crate) causes: Causes,
}

/// `None` once it failed: its mistake is reported then.
type Cell = OnceLock<Option<Evaluated>>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Attribute(usize, String),
    Provide(usize, usize),
    Resource(usize, usize),
}

#[derive(Default)]
struct Cells {
    attributes: BTreeMap<String, Cell>,
    provides: Vec<Cell>,
    resources: Vec<Cell>,
}

/// The values of a model.
pub(crate) struct World {
    pub(crate) model: Arc<Model>,
    pub(crate) connections: Arc<Connections>,
    answers: Arc<Answers>,
    cells: Vec<Cells>,
    running: Mutex<Vec<Key>>,
    problems: Mutex<Problems>,
}

impl World {
    pub(crate) fn new(
        model: &Arc<Model>,
        connections: &Arc<Connections>,
        answers: &Arc<Answers>,
    ) -> Arc<World> {
        let cells = model.instances.iter().map(|instance| {
            let definition = &instance.component.definition;
            Cells {
                attributes: definition.attributes.keys().map(|name| (name.clone(), Cell::new())).collect(),
                provides: definition.provides.iter().map(|_| Cell::new()).collect(),
                resources: definition.requires.iter().map(|_| Cell::new()).collect(),
            }
        });
        Arc::new(World {
            cells: cells.collect(),
            model: Arc::clone(model),
            connections: Arc::clone(connections),
            answers: Arc::clone(answers),
            running: Mutex::default(),
            problems: Mutex::default(),
        })
    }

    /// Computes every value, on a thread whose stack holds values that refer to values as deep as they may.
    pub(crate) fn configure(self: &Arc<Self>) -> io::Result<()> {
        std::thread::scope(|threads| {
            let worker =
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(threads, || self.compute())?;
            worker.join().map_err(|_| io::Error::other("the evaluation ended early"))
        })
    }

    fn compute(self: &Arc<Self>) {
        for (index, cells) in self.cells.iter().enumerate() {
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
    }

    pub(crate) fn instance(&self, index: usize) -> &Instance {
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
        let requires = &self.instance(index).component.definition.requires;
        let require = requires.iter().position(|require| require.variable == variable)?;
        let Some(evaluated) = self.resource_at(index, require) else { return Some(Err(reported_error())) };
        if cause::is_new(cause::key(evaluated, "resource")) {
            self.record_resource(index, require, evaluated);
        }
        Some(Ok(evaluated.value.clone()))
    }

    fn record_resource(self: &Arc<Self>, index: usize, require: usize, evaluated: &Evaluated) {
        let key = &self.instance(index).component.definition.requires[require].key.value;
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

    fn attribute(self: &Arc<Self>, index: usize, name: &str) -> Option<&Evaluated> {
        let cell = self.cells[index].attributes.get(name)?;
        self.force(
            cell,
            || Key::Attribute(index, name.to_owned()),
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
            || Key::Provide(provider.instance, provider.provide),
            || {
                let provide =
                    &self.instance(provider.instance).component.definition.provides[provider.provide];
                collected(|| self.node(provider.instance, &provide.value).ok())
            },
        )
    }

    fn resource_at(self: &Arc<Self>, index: usize, require: usize) -> Option<&Evaluated> {
        let cell = self.cells[index].resources.get(require)?;
        self.force(
            cell,
            || Key::Resource(index, require),
            || collected(|| self.resource_value(index, require)),
        )
    }

    /// What an attribute is set to: the override, laid over the default where both are tables.
    fn attribute_node(&self, index: usize, name: &str) -> Option<Node> {
        let instance = self.instance(index);
        let declaration = instance.component.definition.attributes.get(name)?;
        match (&declaration.default, instance.overrides.get(name)) {
            (Some(Node { data: Data::Table(below), .. }), Some(above)) => match &above.node.data {
                Data::Table(table) => {
                    let data = Data::Table(merge(below.clone(), table.clone()));
                    Some(Node { data, at: above.node.at.clone() })
                }
                _ => Some(above.node.clone()),
            },
            (_, Some(above)) => Some(above.node.clone()),
            (Some(default), None) => Some(default.clone()),
            (None, None) => {
                let component = &instance.component.name;
                let message = format!("the attribute `{name}` of `{component}` has no value");
                let help =
                    format!("set it in [components.{component}] of environment.toml, or give it a default");
                self.report(Diagnostic::error(message).at(&declaration.at).help(help), index);
                None
            }
        }
    }

    fn attribute_value(self: &Arc<Self>, index: usize, name: &str, node: &Node) -> Option<Value> {
        let component = &self.instance(index).component;
        let declaration = component.definition.attributes.get(name)?;
        let value = self.node(index, node).ok()?;
        let checked = &self.model.environment.checked;
        let address = |connect| Address::new(connect, checked.require_v4, checked.require_v6, &self.answers);
        let written = !matches!(&node.data, Data::String(text) if template::is_template(text));
        match declaration.kind.convert(&value, written, address) {
            Ok(value) => Some(value),
            Err(reason) => {
                let colon = if reason.starts_with("must ") { "" } else { ":" };
                let message = format!("the attribute `{name}` of `{}`{colon} {reason}", component.name);
                let mut diagnostic = Diagnostic::error(message).at(&node.at);
                if reason.contains("has no port") {
                    diagnostic = diagnostic.help("write it as host:port, or [v6]:port");
                }
                self.report(diagnostic, index);
                None
            }
        }
    }

    fn resource_value(self: &Arc<Self>, index: usize, require: usize) -> Option<Value> {
        let declared = &self.instance(index).component.definition.requires[require];
        let providers = &self.connections.providers[index][require];
        if providers.is_empty() && (declared.strict || !self.model.complete) {
            return None;
        }
        let values: Option<Vec<Value>> = providers
            .iter()
            .map(|provider| self.provided(*provider).map(|evaluated| evaluated.value.clone()))
            .collect();
        let mut values = values?;
        if declared.one {
            return match values.len() {
                0 => Some(Value::from(())),
                1 => values.pop(),
                _ => None,
            };
        }
        if let Some(field) = &declared.sort {
            if values
                .iter()
                .any(|value| value.get_attr(&field.value).map_or(true, |value| value.is_undefined()))
            {
                let message =
                    format!("not every `{}` has a field `{}` to sort by", declared.key.value, field.value);
                self.report(Diagnostic::error(message).at(&field.at), index);
                return None;
            }
            values.sort_by_cached_key(|value| value.get_attr(&field.value).unwrap_or_default());
        }
        Some(Value::from(values))
    }

    /// The value of a part of a file, every string in it taken for a template.
    fn node(self: &Arc<Self>, index: usize, node: &Node) -> Result<Value, Reported> {
        match &node.data {
            Data::String(text) => self.text(index, text, &node.at),
            Data::Array(items) => {
                let values: Vec<_> = items.iter().map(|item| self.node(index, item)).collect();
                values.into_iter().collect::<Result<Vec<Value>, Reported>>().map(Value::from)
            }
            Data::Table(table) => {
                let pairs: Vec<_> =
                    table.iter().map(|(key, member)| (key.clone(), self.node(index, &member.node))).collect();
                let pairs: Result<Vec<(String, Value)>, Reported> =
                    pairs.into_iter().map(|(key, value)| Ok((key, value?))).collect();
                pairs.map(Value::from_pairs)
            }
            _ => Ok(plain(node)),
        }
    }

    fn text(self: &Arc<Self>, index: usize, text: &str, at: &At) -> Result<Value, Reported> {
        let scope = Scope::value(self, index, None);
        template::evaluate(&self.instance(index).component.engine, text, at, &scope).map_err(
            |mistake: Mistake| {
                if let Some(diagnostic) = mistake {
                    self.report(*diagnostic, index);
                }
                Reported
            },
        )
    }

    /// The content of a cell, computed if it is the first to ask.
    fn force<'a>(
        &self,
        cell: &'a Cell,
        key: impl FnOnce() -> Key,
        compute: impl FnOnce() -> Option<Evaluated>,
    ) -> Option<&'a Evaluated> {
        if let Some(done) = cell.get() {
            return done.as_ref();
        }
        if !self.enter(key()) {
            return None;
        }
        let evaluated = compute();
        self.running().pop();
        cell.get_or_init(|| evaluated).as_ref()
    }

    /// Notes that a value is being computed; false if it cannot be, as it needs itself.
    fn enter(&self, key: Key) -> bool {
        let mut running = self.running();
        if let Some(first) = running.iter().position(|other| *other == key) {
            let circle = running[first..].to_vec();
            drop(running);
            self.report_circle(circle);
            return false;
        }
        if running.len() >= DEEPEST {
            let (index, at) = self.place(&key);
            drop(running);
            let message = format!("values refer to each other more than {DEEPEST} deep");
            self.report(Diagnostic::error(message).at(&at), index);
            return false;
        }
        running.push(key);
        true
    }

    fn report_circle(&self, mut circle: Vec<Key>) {
        let least = circle.iter().enumerate().min_by_key(|(_, key)| *key).map_or(0, |(at, _)| at);
        circle.rotate_left(least);
        let Some(first) = circle.first().cloned() else { return };
        let alone = circle.iter().all(|key| self.place(key).0 == self.place(&first).0);
        let names: Vec<String> =
            circle.iter().chain([&first]).map(|key| self.described(key, alone)).collect();
        let message = format!("values need each other in a circle: {}", names.join(" -> "));
        let (index, at) = self.place(&first);
        self.report(Diagnostic::error(message).at(&at).help("one of them must not refer to the next"), index);
    }

    fn place(&self, key: &Key) -> (usize, At) {
        match key {
            Key::Attribute(index, name) => {
                let declaration = &self.instance(*index).component.definition.attributes[name];
                (*index, declaration.at.clone())
            }
            Key::Provide(index, provide) => {
                (*index, self.instance(*index).component.definition.provides[*provide].key.at.clone())
            }
            Key::Resource(index, require) => {
                (*index, self.instance(*index).component.definition.requires[*require].key.at.clone())
            }
        }
    }

    fn described(&self, key: &Key, alone: bool) -> String {
        let of =
            |index: &usize| if alone { String::new() } else { format!(" of {}", self.model.subject(*index)) };
        match key {
            Key::Attribute(index, name) => format!("attribute `{name}`{}", of(index)),
            Key::Provide(index, provide) => {
                let key = &self.instance(*index).component.definition.provides[*provide].key.value;
                format!("provided `{key}`{}", of(index))
            }
            Key::Resource(index, require) => {
                let key = &self.instance(*index).component.definition.requires[*require].key.value;
                format!("required `{key}`{}", of(index))
            }
        }
    }

    fn report(&self, diagnostic: Diagnostic, index: usize) {
        self.problems().push(diagnostic.about(self.model.subject(index)));
    }

    fn running(&self) -> MutexGuard<'_, Vec<Key>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value, and what it was made from.
fn collected(compute: impl FnOnce() -> Option<Value>) -> Option<Evaluated> {
    let (value, causes) = cause::collect(compute);
    let value = value?;
    Some(Evaluated { digest: cause::digest_of(&value), value, causes })
}

/// A mistake was made and is reported.
struct Reported;
