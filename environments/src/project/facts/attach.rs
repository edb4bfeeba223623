//! Attaches the facts of facts.lock to the hosts of an environment.

use std::sync::Arc;

use super::known::{DeclaredFacts, Gathered, HostFacts};
use super::{FactsLock, value};
use crate::project::Project;
use crate::project::environment::Environment;
use crate::text::diagnostic::Problems;

/// Reads facts.lock, if batou.toml declares facts, and gives each host its own.
pub(crate) fn attach(project: &Project, environment: &mut Environment, problems: &mut Problems) {
    if project.facts.is_empty() {
        return;
    }
    let name = environment.checked.policy.name.clone();
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
    let declared = Arc::new(DeclaredFacts { environment: name, facts: facts.collect() });
    for entry in &mut environment.inventory.hosts {
        let facts = lock.hosts.get(entry.host.name.as_str()).into_iter().flatten();
        let valid = facts.filter(|(fact, _)| declared.facts.get(*fact) == Some(&Gathered::Yes));
        let known = valid.map(|(fact, value)| (fact.clone(), value::to_template(value))).collect();
        entry.host.facts = HostFacts { declared: Arc::clone(&declared), known };
    }
}
