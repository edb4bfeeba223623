//! `provide` and `require`: who gets what from whom, and the order over all hosts that follows.
//!
//! Keys do not depend on values, so requirements are matched before anything is evaluated, and the result does not
//! depend on the order of declaration.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::definition::{Order, Require};
use crate::diagnostic::{Diagnostic, Problems, listed, nearest};
use crate::host::normalise;
use crate::resolve::Model;
use crate::source::At;

/// A `[[provide]]` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Provider {
    pub(crate) instance: usize,
    pub(crate) provide: usize,
}

/// The matched requirements of a model.
#[derive(Debug)]
pub(crate) struct Connections {
    /// By instance and requirement: the providers, by host, component and declaration.
    pub(crate) providers: Vec<Vec<Vec<Provider>>>,
    /// All instances, what is needed first; ties by host and component.
    pub(crate) order: Vec<usize>,
    /// By instance: what must be activated before.
    pub(crate) before: Vec<BTreeSet<usize>>,
}

/// Matches every requirement, and reports those without a provider, with too many, and circles.
pub(crate) fn connect(model: &Model, problems: &mut Problems) -> Connections {
    let mut offered: BTreeMap<&str, Vec<Provider>> = BTreeMap::new();
    for (instance, placed) in model.instances.iter().enumerate() {
        for (provide, declared) in placed.component.definition.provides.iter().enumerate() {
            offered.entry(&declared.key.value).or_default().push(Provider { instance, provide });
        }
    }
    let mut used = BTreeSet::new();
    let mut graph = Graph::new(model.instances.len());
    let mut providers = Vec::with_capacity(model.instances.len());
    for (instance, placed) in model.instances.iter().enumerate() {
        let requires = &placed.component.definition.requires;
        let matched: Vec<Vec<Provider>> = requires
            .iter()
            .map(|require| {
                let found = matching(model, instance, require, &offered, problems);
                // Nobody knows which of them was meant: they count as required.
                let unknown = || offered.get(require.key.value.as_str());
                used.extend(found.as_ref().or_else(unknown).into_iter().flatten().copied());
                let found = found.unwrap_or_default();
                graph.add(instance, require, &found);
                found
            })
            .collect();
        providers.push(matched);
    }
    if model.complete {
        report_unused(model, &offered, &used, problems);
    }
    let order = graph.order(model, problems);
    Connections { providers, order, before: graph.before }
}

/// Who provides what is required; `None` if the host that is to provide it does not exist.
fn matching(
    model: &Model,
    instance: usize,
    require: &Require,
    offered: &BTreeMap<&str, Vec<Provider>>,
    problems: &mut Problems,
) -> Option<Vec<Provider>> {
    let all = offered.get(require.key.value.as_str()).map(Vec::as_slice).unwrap_or_default();
    let wanted_host = match &require.host {
        None => None,
        Some(text) if text.value == "same" => Some(model.host(instance).name.clone()),
        Some(text) => {
            let domain = model.environment.checked.settings.host_domain.as_deref();
            let name = normalise(&text.value, domain);
            let inventory = &model.environment.inventory;
            let known = inventory.known(&name, &text.at, std::slice::from_ref(&name), problems);
            if known.is_empty() && !inventory.dropped.contains(&name) {
                return None;
            }
            Some(name)
        }
    };
    let found: Vec<Provider> = all
        .iter()
        .filter(|provider| {
            wanted_host.as_ref().is_none_or(|host| model.host(provider.instance).name == *host)
        })
        .copied()
        .collect();
    if found.is_empty() && require.strict && model.complete {
        let own = unsatisfied(require, wanted_host.as_deref(), offered).about(model.subject(instance));
        problems.push(own);
    }
    if require.one && found.len() > 1 {
        let subjects: BTreeSet<String> =
            found.iter().map(|provider| model.subject(provider.instance)).collect();
        let who = listed(subjects.iter().map(String::as_str));
        let (key, count) = (&require.key.value, found.len());
        let message = format!("`{key}` is required once, and provided {count} times: by {who}");
        let help = "drop `one = true` to get a list, or choose with `host`";
        problems
            .push(Diagnostic::error(message).at(&require.key.at).help(help).about(model.subject(instance)));
    }
    Some(found)
}

fn unsatisfied(require: &Require, host: Option<&str>, offered: &BTreeMap<&str, Vec<Provider>>) -> Diagnostic {
    let key = &require.key.value;
    let same = require.host.as_ref().is_some_and(|text| text.value == "same");
    let message = match host {
        Some(_) if same => format!("nobody on the same host provides `{key}`"),
        Some(host) => format!("nobody on the host `{host}` provides `{key}`"),
        None => format!("nobody provides `{key}`"),
    };
    let others = offered.keys().copied().filter(|known| known != key);
    let help = match nearest(key, others) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "place a component that provides it on a host; `strict = false` allows none".to_owned(),
    };
    Diagnostic::error(message).at(&require.key.at).help(help)
}

fn report_unused(
    model: &Model,
    offered: &BTreeMap<&str, Vec<Provider>>,
    used: &BTreeSet<Provider>,
    problems: &mut Problems,
) {
    let requires = model.instances.iter().flat_map(|placed| &placed.component.definition.requires);
    let wanted: BTreeSet<&str> = requires.map(|require| require.key.value.as_str()).collect();
    for provider in offered.values().flatten().filter(|provider| !used.contains(provider)) {
        let key = &model.instances[provider.instance].component.definition.provides[provider.provide].key;
        let message = format!("nobody requires `{}`", key.value);
        let help = match nearest(&key.value, wanted.iter().copied().filter(|wanted| *wanted != key.value)) {
            Some(near) => format!("`{near}` is required: is that meant?"),
            None => "require it in a component of this environment, or do not provide it".to_owned(),
        };
        let subject = model.subject(provider.instance);
        problems.push(Diagnostic::error(message).at(&key.at).about(subject).help(help));
    }
}

/// What must come before what.
struct Graph {
    before: Vec<BTreeSet<usize>>,
    /// One place for each edge, to show a circle.
    places: BTreeMap<(usize, usize), At>,
}

impl Graph {
    fn new(count: usize) -> Graph {
        Graph { before: vec![BTreeSet::new(); count], places: BTreeMap::new() }
    }

    fn add(&mut self, requirer: usize, require: &Require, providers: &[Provider]) {
        if require.order == Order::Open {
            return;
        }
        for provider in
            providers.iter().map(|provider| provider.instance).filter(|provider| *provider != requirer)
        {
            let (first, then) = if require.order == Order::RequirerFirst {
                (requirer, provider)
            } else {
                (provider, requirer)
            };
            if self.before[then].insert(first) {
                self.places.insert((first, then), require.key.at.clone());
            }
        }
    }

    /// Kahn's algorithm; circles are reported and their members appended, so that evaluation can go on.
    fn order(&self, model: &Model, problems: &mut Problems) -> Vec<usize> {
        let count = self.before.len();
        let mut missing: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (then, firsts) in self.before.iter().enumerate() {
            for first in firsts {
                after[*first].push(then);
            }
        }
        let mut done = vec![false; count];
        let mut order = Vec::with_capacity(count);
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..count).filter(|index| missing[*index] == 0).map(Reverse).collect();
        loop {
            while let Some(Reverse(next)) = ready.pop() {
                if std::mem::replace(&mut done[next], true) {
                    continue;
                }
                order.push(next);
                for then in &after[next] {
                    missing[*then] = missing[*then].saturating_sub(1);
                    if missing[*then] == 0 {
                        ready.push(Reverse(*then));
                    }
                }
            }
            let Some(left) = done.iter().position(|done| !done) else { return order };
            let circle = self.circle(left, &done);
            self.report(model, &circle, problems);
            ready.extend(circle.into_iter().map(Reverse));
        }
    }

    /// A circle among those that are not done, found by going backwards: each of them has such a predecessor.
    fn circle(&self, start: usize, done: &[bool]) -> Vec<usize> {
        let mut path: Vec<usize> = Vec::new();
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let mut current = start;
        loop {
            if let Some(first) = seen.get(&current) {
                let mut circle = path.split_off(*first);
                circle.reverse();
                let least =
                    circle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
                circle.rotate_left(least);
                return circle;
            }
            seen.insert(current, path.len());
            path.push(current);
            match self.before[current].iter().find(|index| !done[**index]) {
                Some(previous) => current = *previous,
                None => return path,
            }
        }
    }

    fn report(&self, model: &Model, circle: &[usize], problems: &mut Problems) {
        let mut names: Vec<String> = circle.iter().map(|index| model.subject(*index)).collect();
        names.extend(names.first().cloned());
        let message = format!("components need each other in a circle: {}", names.join(" -> "));
        let help = "`dirty = true` on one of the requirements leaves their order open";
        let diagnostic = Diagnostic::error(message).help(help);
        let last = circle.len().saturating_sub(1);
        let place = circle.first().and_then(|first| self.places.get(&(circle[last], *first)));
        problems.push(place.into_iter().fold(diagnostic, Diagnostic::at));
    }
}

/// What must be activated before each instance, among those that are deployed: what an ignored one waits for is
/// waited for in its place.
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
