//! `host.facts` in templates, and the facts of the other hosts.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use crate::project::host::Host;
use crate::template::cause;
use crate::values::LazyValues;

/// The facts of a host, each noted as used when a template asks for it.
pub(crate) struct FactsObject {
    values: Arc<LazyValues>,
    /// The host's place in the inventory.
    host: usize,
    /// Whether it is the host that the template is rendered for.
    own: bool,
}

impl FactsObject {
    /// The facts of the host at this place in the inventory.
    pub(crate) fn value(values: &Arc<LazyValues>, host: usize, own: bool) -> Value {
        Value::from_object(FactsObject { values: Arc::clone(values), host, own })
    }

    fn host(&self) -> &Host {
        &self.values.model.environment.inventory.hosts[self.host].host
    }

    /// A fact, or an error value that says why there is none.
    fn fact(&self, name: &str) -> Value {
        let host = self.host();
        let value = match host.facts.get(&host.name, name) {
            Ok(value) => value,
            Err(mistake) => return Value::from(mistake),
        };
        if cause::is_new(cause::key(value, if self.own { "fact" } else { "fact of" })) {
            let of = if self.own { String::new() } else { format!(" of {}", host.name) };
            cause::record(format!("host fact {name}{of}"), cause::digest_of(value));
        }
        value.clone()
    }
}

/// A host in `environment.hosts`: what is known about it, and its facts. `facts` is found by name but not enumerated,
/// so that going through all values of a host does not use its facts.
#[derive(Debug)]
pub(crate) struct HostWithFacts {
    plain: Value,
    facts: Value,
}

impl HostWithFacts {
    /// The host at this place in the inventory.
    pub(crate) fn value(values: &Arc<LazyValues>, host: usize, plain: Value) -> Value {
        Value::from_object(HostWithFacts { plain, facts: FactsObject::value(values, host, false) })
    }
}

impl Object for HostWithFacts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some("facts") => Some(self.facts.clone()),
            _ => self.plain.get_item(key).ok().filter(|value| !value.is_undefined()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.plain.try_iter().into_iter().flatten().collect())
    }
}

impl fmt::Debug for FactsObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactsObject")
    }
}

impl Object for FactsObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.fact(key.as_str()?))
    }

    /// All facts that are declared. If one is missing, going through them fails, rather than leaving it out.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let facts = &self.host().facts;
        match facts.missing() {
            Some(missing) => Enumerator::Values(vec![self.fact(missing)]),
            None => Enumerator::Values(facts.names().map(Value::from).collect()),
        }
    }
}
