//! `provide` and `require`: who gets what from whom, and the order across all hosts that follows from it.
//!
//! Keys do not depend on values, so requirements are matched before anything is evaluated, and the result does not
//! depend on the order of declaration.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::declarations::Require;
use crate::model::graph::Graph;
use crate::model::place::{Model, Provider};
use crate::text::diagnostic::{Diagnostic, Problems, listed, nearest};

/// Who provides which key.
#[derive(Debug, Default)]
pub(crate) struct Offers(BTreeMap<String, Vec<Provider>>);

impl Offers {
    fn new(model: &Model) -> Offers {
        let mut offers: BTreeMap<String, Vec<Provider>> = BTreeMap::new();
        for (instance, placed) in model.instances.iter().enumerate() {
            for (provide, declared) in placed.component.declarations.provides.iter().enumerate() {
                let provider = Provider { instance, provide };
                match offers.get_mut(&declared.key.value) {
                    Some(providers) => providers.push(provider),
                    None => drop(offers.insert(declared.key.value.clone(), vec![provider])),
                }
            }
        }
        Offers(offers)
    }

    /// Who provides a key, on one host or on all, by host, component and declaration.
    pub(crate) fn of(&self, model: &Model, key: &str, host: Option<&str>) -> &[Provider] {
        let all = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        let Some(host) = host else { return all };
        // Instances are in the order of hosts.
        let name = |provider: &Provider| model.host(provider.instance).name.as_str();
        let start = all.partition_point(|provider| name(provider) < host);
        let end = start + all[start..].partition_point(|provider| name(provider) == host);
        &all[start..end]
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The matched requirements of a model.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) offers: Offers,
    /// By instance and requirement: the providers, by host, component and declaration.
    pub(crate) providers: Vec<Vec<Vec<Provider>>>,
    /// All instances, required ones first; ties broken by host and component.
    pub(crate) order: Vec<usize>,
    /// By instance: what must be activated before it.
    pub(crate) before: Vec<BTreeSet<usize>>,
}

impl Connections {
    /// Matches every requirement, and leaves mistakes and the order for [`connect`].
    pub(crate) fn matched(model: &Model) -> Connections {
        let offers = Offers::new(model);
        let of = |(instance, require)| {
            let host = wanted_host(model, instance, require);
            offers.of(model, &require.key.value, host.as_deref()).to_vec()
        };
        let instances = model.instances.iter().enumerate();
        let providers = instances.map(|(instance, placed)| {
            let requires = &placed.component.declarations.requires;
            requires.iter().map(|require| of((instance, require))).collect()
        });
        let providers = providers.collect();
        Connections { offers, providers, order: Vec::new(), before: Vec::new() }
    }
}

/// Matches every requirement, and reports those without a provider, with too many, and cycles.
pub(crate) fn connect(model: &Model, problems: &mut Problems) -> Connections {
    let offers = Offers::new(model);
    let mut used = BTreeSet::new();
    let mut graph = Graph::new(model.instances.len());
    let mut providers = Vec::with_capacity(model.instances.len());
    for (instance, placed) in model.instances.iter().enumerate() {
        let requires = &placed.component.declarations.requires;
        let matched: Vec<Vec<Provider>> = requires
            .iter()
            .map(|require| {
                let found = matching(model, instance, require, &offers, problems);
                // It is not known which provider was meant, so none of them is reported as unused.
                let meant = found.as_deref().unwrap_or(offers.of(model, &require.key.value, None));
                used.extend(meant.iter().copied());
                let found = found.unwrap_or_default();
                graph.add(instance, require, &found);
                found
            })
            .collect();
        providers.push(matched);
    }
    if model.complete && model.finished {
        report_unused(model, &offers, &used, problems);
    }
    let order = graph.order(model, problems);
    Connections { offers, providers, order, before: graph.before }
}

/// Who provides what is required; `None` if the host that is to provide it does not exist.
fn matching(
    model: &Model,
    instance: usize,
    require: &Require,
    offers: &Offers,
    problems: &mut Problems,
) -> Option<Vec<Provider>> {
    let wanted_host = wanted_host(model, instance, require);
    if let (Some(text), Some(name)) = (&require.host, &wanted_host)
        && text.value != "same"
    {
        let inventory = &model.environment.inventory;
        let known = inventory.known(name, &text.at, std::slice::from_ref(name), problems);
        if known.is_empty() && !inventory.dropped.contains(name.as_str()) {
            return None;
        }
    }
    let found = offers.of(model, &require.key.value, wanted_host.as_deref()).to_vec();
    let promised = || is_promised(model, &require.key.value, wanted_host.as_deref());
    if found.is_empty() && require.strict && model.complete && !promised() {
        let own = unsatisfied(require, wanted_host.as_deref(), offers);
        problems.push(own.about(model.subject_of(instance, &require.by)));
    }
    if require.one && found.len() > 1 {
        let subjects: BTreeSet<String> =
            found.iter().map(|provider| model.subject(provider.instance)).collect();
        let who = listed(subjects.iter().map(String::as_str));
        let (key, count) = (&require.key.value, found.len());
        let message =
            format!("`{key}` must be provided exactly once, but is provided {count} times: by {who}");
        let help = if require.by.is_code() {
            "use c.require() to get a list, or choose a provider with `host`"
        } else {
            "drop `one = true` to get a list, or choose a provider with `host`"
        };
        let subject = model.subject_of(instance, &require.by);
        problems.push(Diagnostic::error(message).at(&require.key.at).help(help).about(subject));
    }
    Some(found)
}

/// The host that a requirement is limited to.
pub(crate) fn wanted_host(model: &Model, instance: usize, require: &Require) -> Option<String> {
    Some(model.meant_host(instance, &require.host.as_ref()?.value))
}

/// Whether a waiting component would provide a key.
fn is_promised(model: &Model, key: &str, host: Option<&str>) -> bool {
    let from = (key.to_owned(), host.unwrap_or_default().to_owned());
    let found = model.promised.range(from..).next();
    found.is_some_and(|(known, by)| known == key && host.is_none_or(|host| host == by))
}

fn unsatisfied(require: &Require, host: Option<&str>, offers: &Offers) -> Diagnostic {
    let key = &require.key.value;
    let same = require.host.as_ref().is_some_and(|text| text.value == "same");
    let message = match host {
        Some(_) if same => format!("no component on the same host provides `{key}`"),
        Some(host) => format!("no component on the host `{host}` provides `{key}`"),
        None => format!("no component provides `{key}`"),
    };
    let others = offers.keys().filter(|known| known != key);
    let help = if let Some(near) = nearest(key, others) {
        format!("did you mean `{near}`?")
    } else {
        let lenient = require.by.flag("strict", false);
        format!("place a component that provides it on a host; with {lenient} there may be none")
    };
    Diagnostic::error(message).at(&require.key.at).help(help)
}

fn report_unused(model: &Model, offers: &Offers, used: &BTreeSet<Provider>, problems: &mut Problems) {
    let requires = model.instances.iter().flat_map(|placed| &placed.component.declarations.requires);
    let wanted: BTreeSet<&str> = requires.map(|require| require.key.value.as_str()).collect();
    for provider in offers.0.values().flatten().filter(|provider| !used.contains(provider)) {
        let provide = &model.instances[provider.instance].component.declarations.provides[provider.provide];
        let key = &provide.key;
        let message = format!("no component requires `{}`", key.value);
        let help = match nearest(&key.value, wanted.iter().copied().filter(|wanted| *wanted != key.value)) {
            Some(near) => format!("`{near}` is required: did you mean that?"),
            None => "require it in a component of this environment, or do not provide it".to_owned(),
        };
        let subject = model.subject_of(provider.instance, &provide.by);
        problems.push(Diagnostic::error(message).at(&key.at).about(subject).help(help));
    }
}

/// What must be activated before each instance, among those that are deployed. An ignored instance is replaced by what
/// it waits for itself.
pub(crate) fn deployed_before(model: &Model, connections: &Connections) -> Vec<BTreeSet<usize>> {
    let mut result: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); model.instances.len()];
    for index in &connections.order {
        let mut before = BTreeSet::new();
        for first in &connections.before[*index] {
            if model.instances[*first].ignored {
                before.extend(result[*first].iter().copied());
            } else {
                before.insert(*first);
            }
        }
        result[*index] = before;
    }
    result
}
