//! Which component must come before which, and cycles among them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::component::declarations::{Require, RequireOrder};
use crate::model::place::{Model, Provider};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::At;

/// What must come before what.
pub(crate) struct Graph {
    pub(crate) before: Vec<BTreeSet<usize>>,
    /// One place for each edge, to show a cycle.
    places: BTreeMap<(usize, usize), At>,
}

impl Graph {
    pub(crate) fn new(count: usize) -> Graph {
        Graph { before: vec![BTreeSet::new(); count], places: BTreeMap::new() }
    }

    /// Notes the order of a requirement and its providers.
    pub(crate) fn add(&mut self, requirer: usize, require: &Require, providers: &[Provider]) {
        if require.order == RequireOrder::Open {
            return;
        }
        for provider in
            providers.iter().map(|provider| provider.instance).filter(|provider| *provider != requirer)
        {
            let (first, then) = if require.order == RequireOrder::RequirerFirst {
                (requirer, provider)
            } else {
                (provider, requirer)
            };
            if self.before[then].insert(first) {
                self.places.insert((first, then), require.key.at.clone());
            }
        }
    }

    /// Notes that a component cannot go on before another one does.
    pub(crate) fn wait(&mut self, waiting: usize, require: &Require, supplier: usize) {
        if self.before[waiting].insert(supplier) {
            self.places.insert((supplier, waiting), require.key.at.clone());
        }
    }

    /// Reports the cycles that contain a waiting Starlark component.
    pub(crate) fn report_waiting(&self, model: &Model, waiting: &BTreeSet<usize>, problems: &mut Problems) {
        let help = "call `c.provide` before `c.require` in one of them, and require with `dirty = True` there, which \
                    leaves their order open";
        self.sort(|cycle| {
            if cycle.iter().any(|index| waiting.contains(index)) {
                self.report(model, cycle, help, problems);
            }
        });
    }

    /// All instances, required ones first. Cycles are reported.
    pub(crate) fn order(&self, model: &Model, problems: &mut Problems) -> Vec<usize> {
        let help = "`dirty = true` on one of the requirements leaves their order open";
        self.sort(|cycle| self.report(model, cycle, help, problems))
    }

    /// Kahn's algorithm; cycles are passed to `on_cycle` and their members appended, so that evaluation can go on.
    fn sort(&self, mut on_cycle: impl FnMut(&[usize])) -> Vec<usize> {
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
                // A member of a cycle is made ready by hand below, and once more when its last predecessor is done.
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
            let cycle = self.cycle(left, &done);
            on_cycle(&cycle);
            ready.extend(cycle.into_iter().map(Reverse));
        }
    }

    /// A cycle among the instances that are not done. Going backwards finds one, since each of them has a predecessor
    /// that is not done.
    fn cycle(&self, start: usize, done: &[bool]) -> Vec<usize> {
        let mut path: Vec<usize> = Vec::new();
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let mut current = start;
        loop {
            if let Some(first) = seen.get(&current) {
                let mut cycle = path.split_off(*first);
                cycle.reverse();
                let least = cycle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
                cycle.rotate_left(least);
                return cycle;
            }
            seen.insert(current, path.len());
            path.push(current);
            match self.before[current].iter().find(|index| !done[**index]) {
                Some(previous) => current = *previous,
                None => return path,
            }
        }
    }

    fn report(&self, model: &Model, cycle: &[usize], help: &str, problems: &mut Problems) {
        let mut names: Vec<String> = cycle.iter().map(|index| model.subject(*index)).collect();
        names.extend(names.first().cloned());
        let message = format!("components require each other in a cycle: {}", names.join(" -> "));
        let diagnostic = Diagnostic::error(message).help(help);
        let last = cycle.len().saturating_sub(1);
        let place = cycle.first().and_then(|first| self.places.get(&(cycle[last], *first)));
        problems.push(place.into_iter().fold(diagnostic, Diagnostic::at));
    }
}
