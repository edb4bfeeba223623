//! Components whose code stopped at an unmet requirement. Some lack a provider; others wait for each other, in a
//! cycle.
//!
//! What a component would provide later on is learned from a phantom run, which goes on with a placeholder for the
//! missing value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::instance::CodeInstance;
use super::placement::InstancePlacement;
use crate::component::declarations::{self, Declarations, Require};
use crate::model::connect::wanted_host;
use crate::model::graph::Graph;
use crate::notes::Notes;
use crate::starlark::{self, RunMode};
use crate::text::diagnostic::Problems;
use crate::values::LazyValues;

/// What the waiting components would provide, by key and host. Cycles among them are reported.
pub(super) fn promises(
    values: &Arc<LazyValues>,
    all: &[CodeInstance],
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> BTreeSet<(String, String)> {
    let waits = |one: &&CodeInstance| one.last.as_ref().is_some_and(|last| last.run.waiting);
    let waiting: Vec<&CodeInstance> = all.iter().filter(waits).collect();
    let phantoms: Vec<Declarations> = waiting
        .par_iter()
        .map(|one| {
            let run = starlark::run(
                &one.declared,
                InstancePlacement::new(values, one.index),
                RunMode::Phantom,
                notes,
            );
            // Its mistakes are those of the normal run, or come from the placeholder.
            declarations::connected(&run.items, &mut Problems::default())
        })
        .collect();
    let mut suppliers: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (one, phantom) in waiting.iter().zip(&phantoms) {
        let host = &values.model.host(one.index).name;
        for provide in &phantom.provides {
            suppliers.entry((provide.key.value.clone(), host.to_string())).or_default().push(one.index);
        }
    }
    if !waiting.is_empty() {
        let members: BTreeSet<usize> = waiting.iter().map(|one| one.index).collect();
        needs(values, &suppliers).report_waiting(&values.model, &members, problems);
    }
    suppliers.into_keys().collect()
}

/// Which instance cannot go on before which. One with an unmet requirement waits for those that would meet it, and one
/// whose provider has no value yet waits for that provider. A component.toml can be as stuck as code, if what it
/// provides is made from what it requires.
fn needs(values: &Arc<LazyValues>, suppliers: &BTreeMap<(String, String), Vec<usize>>) -> Graph {
    let mut graph = Graph::new(values.model.instances.len());
    for (index, instance) in values.model.instances.iter().enumerate() {
        let requires = &instance.component.declarations.requires;
        for (require, providers) in requires.iter().zip(&values.connections.providers[index]) {
            for provider in providers.iter().filter(|provider| !values.has_value(**provider)) {
                graph.wait(index, require, provider.instance);
            }
            if require.strict && providers.is_empty() {
                for supplier in suppliers_of(values, index, require, suppliers) {
                    graph.wait(index, require, supplier);
                }
            }
        }
    }
    graph
}

/// The waiting instances that would meet a requirement.
fn suppliers_of(
    values: &LazyValues,
    index: usize,
    require: &Require,
    suppliers: &BTreeMap<(String, String), Vec<usize>>,
) -> Vec<usize> {
    let key = &require.key.value;
    let host = wanted_host(&values.model, index, require);
    let first = (key.clone(), String::new());
    let of_key = suppliers.range(first..).take_while(|((known, _), _)| known == key);
    let of_host = of_key.filter(|((_, known), _)| host.as_ref().is_none_or(|host| host == known));
    of_host.flat_map(|(_, instances)| instances.iter().copied()).collect()
}
