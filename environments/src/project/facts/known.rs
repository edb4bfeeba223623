//! What an evaluation knows of a host.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::{FactsLock, value};
use crate::project::Project;
use crate::project::environment::Environment;
use crate::template::reported_error;
use crate::text::diagnostic::{Problems, listed, nearest};

/// The facts of one host; which there are is the same for all hosts of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    declared: Arc<Declared>,
    known: BTreeMap<String, Value>,
}

/// The facts that batou.toml declares.
#[derive(Debug, PartialEq, Eq, Default)]
struct Declared {
    environment: String,
    facts: BTreeMap<String, Gathered>,
}

/// Whether facts.lock has a fact at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathered {
    /// At least one host answered it.
    Yes,
    /// No host was asked.
    Never,
    /// The hosts were asked something else by this name.
    Otherwise,
    /// facts.lock is damaged, which is reported.
    Unreadable,
}

/// Reads facts.lock, where batou.toml declares facts, and gives each host its own.
pub(crate) fn attach(project: &Project, environment: &mut Environment, problems: &mut Problems) {
    if project.facts.is_empty() {
        return;
    }
    let name = environment.checked.settings.name.clone();
    let read = FactsLock::read(project, &name, problems);
    let damaged = read.is_none();
    let lock = read.unwrap_or_default();
    let facts = project.facts.iter().map(|(fact, source)| {
        let gathered = match lock.sources.get(fact) {
            _ if damaged => Gathered::Unreadable,
            Some(old) if !old.means(source) => Gathered::Otherwise,
            Some(_) if lock.hosts.values().any(|facts| facts.contains_key(fact)) => Gathered::Yes,
            _ => Gathered::Never,
        };
        (fact.clone(), gathered)
    });
    let declared = Arc::new(Declared { environment: name, facts: facts.collect() });
    for entry in &mut environment.inventory.hosts {
        let facts = lock.hosts.get(entry.host.name.as_str()).into_iter().flatten();
        let valid = facts.filter(|(fact, _)| declared.facts.get(*fact) == Some(&Gathered::Yes));
        let known = valid.map(|(fact, value)| (fact.clone(), value::to_template(value))).collect();
        entry.host.facts = HostFacts { declared: Arc::clone(&declared), known };
    }
}

impl HostFacts {
    /// The value of a fact; an error that says what to do where there is none. `host` is whose facts these are.
    pub(crate) fn get(&self, host: &str, name: &str) -> Result<&Value, Error> {
        self.known.get(name).ok_or_else(|| match self.declared.facts.get(name) {
            Some(Gathered::Unreadable) => reported_error(),
            gathered => Error::new(ErrorKind::InvalidOperation, self.why_not(host, name, gathered)),
        })
    }

    /// The names of all facts that are declared.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.facts.keys().map(String::as_str)
    }

    /// The first fact that is declared and not known.
    pub(crate) fn missing(&self) -> Option<&str> {
        self.names().find(|name| !self.known.contains_key(*name))
    }

    fn why_not(&self, host: &str, name: &str, gathered: Option<&Gathered>) -> String {
        let environment = &self.declared.environment;
        match gathered {
            Some(Gathered::Yes) => format!(
                "the fact `{name}` of {host} is not in {}: run `batou facts {environment} --host {host}`",
                FactsLock::path(environment).display()
            ),
            Some(Gathered::Never) => {
                format!("the fact `{name}` was never gathered: run `batou facts {environment}`")
            }
            Some(Gathered::Otherwise) => format!(
                "the fact `{name}` is declared otherwise than when it was gathered: run `batou facts {environment}`"
            ),
            _ => match nearest(name, self.names()) {
                Some(near) => format!("there is no fact `{name}`: did you mean `{near}`?"),
                None if self.declared.facts.is_empty() => {
                    format!("there is no fact `{name}`: declare it in [facts] of batou.toml")
                }
                None => format!("there is no fact `{name}`: batou.toml declares {}", listed(self.names())),
            },
        }
    }
}
