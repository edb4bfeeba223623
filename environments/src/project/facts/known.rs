//! What an evaluation knows about a host.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::FactsLock;
use crate::template::elsewhere::reported_error;
use crate::text::diagnostic::{listed, nearest};

/// The facts of one host. Which facts are declared is the same for all hosts of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    pub(super) declared: Arc<DeclaredFacts>,
    pub(super) known: BTreeMap<String, Value>,
}

/// The facts that batou.toml declares.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct DeclaredFacts {
    pub(super) environment: String,
    pub(super) facts: BTreeMap<String, Gathered>,
}

/// Whether facts.lock has a fact at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathered {
    /// At least one host answered it.
    Yes,
    /// No host was asked.
    Never,
    /// The hosts were asked something else under this name.
    Otherwise,
    /// facts.lock is damaged, which is already reported.
    Unreadable,
}

impl HostFacts {
    /// The value of a fact or, if there is none, an error that says what to do. `host` is the name of the host in that
    /// error.
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

    /// The first fact that is declared but not known.
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
                "the declaration of the fact `{name}` has changed since it was gathered: run `batou facts {environment}`"
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
