//! The order in which components are activated, over all hosts: providers before requirers.

use std::collections::{BTreeMap, BTreeSet};

use batou_release::{HostName, Instance, Manifest};

/// What is still to be activated, and what each instance waits for.
#[derive(Debug)]
pub struct Schedule {
    waiting: BTreeMap<Instance, BTreeSet<Instance>>,
    /// Each instance's place in its host's manifest, which breaks ties on one host.
    rank: BTreeMap<Instance, usize>,
}

impl Schedule {
    /// Orders the `pending` instances by the dependencies in the manifests of all hosts that take part. An
    /// instance with nothing to run still keeps those before it ahead of those after it.
    pub fn new<'m>(manifests: impl IntoIterator<Item = &'m Manifest>, pending: &BTreeSet<Instance>) -> Self {
        let (mut after, mut rank) = (BTreeMap::new(), BTreeMap::new());
        for manifest in manifests {
            for (place, component) in manifest.components.iter().enumerate() {
                let instance = Instance { host: manifest.host.clone(), component: component.name.clone() };
                rank.insert(instance.clone(), place);
                after.insert(instance, &component.after);
            }
        }
        let waits = |instance: &Instance| (instance.clone(), nearest(instance, &after, pending));
        Schedule { waiting: pending.iter().map(waits).collect(), rank }
    }

    /// The next instance of each host that is not `busy`, among those that wait for nothing.
    pub fn ready(&self, busy: &BTreeSet<HostName>) -> BTreeMap<HostName, Instance> {
        let mut chosen: BTreeMap<HostName, Instance> = BTreeMap::new();
        let free = self
            .waiting
            .iter()
            .filter(|(instance, before)| before.is_empty() && !busy.contains(&instance.host));
        for (instance, _) in free {
            let better =
                chosen.get(&instance.host).is_none_or(|other| self.rank(instance) < self.rank(other));
            if better {
                chosen.insert(instance.host.clone(), instance.clone());
            }
        }
        chosen
    }

    /// Marks the instance as converged, which frees the instances that waited for it.
    pub fn finish(&mut self, done: &Instance) {
        self.waiting.remove(done);
        for before in self.waiting.values_mut() {
            before.remove(done);
        }
    }

    /// The instances that are left. If none of them is running, they wait for each other in a circle.
    pub fn rest(&self) -> Vec<Instance> {
        self.waiting.keys().cloned().collect()
    }

    fn rank(&self, instance: &Instance) -> usize {
        self.rank.get(instance).copied().unwrap_or(usize::MAX)
    }
}

/// The nearest pending instances before `instance`, looking through those with nothing to do.
fn nearest(
    instance: &Instance,
    after: &BTreeMap<Instance, &BTreeSet<Instance>>,
    pending: &BTreeSet<Instance>,
) -> BTreeSet<Instance> {
    let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![instance]);
    while let Some(next) = open.pop() {
        for before in after.get(next).into_iter().copied().flatten() {
            if pending.contains(before) {
                found.insert(before.clone());
            } else if seen.insert(before) {
                open.push(before);
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_store::{ArtifactId, Digest, Name};

    use super::*;
    use batou_release::{Component, MANIFEST_FORMAT};

    fn instance(text: &str) -> Instance {
        let (host, component) = text.split_once('/').unwrap();
        Instance { host: host.parse().unwrap(), component: component.parse().unwrap() }
    }

    fn manifest(host: &str, components: &[(&str, &[&str])]) -> Manifest {
        let component = |(name, after): &(&str, &[&str])| Component {
            name: Name::new(*name).unwrap(),
            artifact: ArtifactId::from(Digest::of(b"")),
            after: after.iter().map(|text| instance(text)).collect(),
            units: Vec::new(),
        };
        Manifest {
            format: MANIFEST_FORMAT,
            project: "p".into(),
            environment: "e".into(),
            host: host.parse().unwrap(),
            components: components.iter().map(component).collect(),
        }
    }

    fn run(schedule: &mut Schedule) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(next) = schedule.ready(&BTreeSet::new()).into_values().next() {
            schedule.finish(&next);
            order.push(next.to_string());
        }
        order
    }

    #[test]
    fn a_provider_on_another_host_comes_first_even_through_one_with_nothing_to_do() {
        let lb = manifest("a", &[("proxy", &["b/app"])]);
        let app = manifest("b", &[("app", &["c/db"])]);
        let db = manifest("c", &[("db", &[])]);
        let pending = [instance("a/proxy"), instance("c/db")].into_iter().collect();
        let mut schedule = Schedule::new([&lb, &app, &db], &pending);
        assert_eq!(run(&mut schedule), ["c/db", "a/proxy"]);
    }

    #[test]
    fn a_host_goes_in_the_order_of_its_manifest() {
        let host = manifest("a", &[("zeta", &[]), ("alpha", &[])]);
        let pending = [instance("a/alpha"), instance("a/zeta")].into_iter().collect();
        assert_eq!(run(&mut Schedule::new([&host], &pending)), ["a/zeta", "a/alpha"]);
    }

    #[test]
    fn a_busy_host_gets_nothing_more() {
        let host = manifest("a", &[("x", &[]), ("y", &[])]);
        let pending = [instance("a/x"), instance("a/y")].into_iter().collect();
        let schedule = Schedule::new([&host], &pending);
        assert!(schedule.ready(&BTreeSet::from(["a".parse().unwrap()])).is_empty());
    }

    #[test]
    fn a_cycle_leaves_a_rest_and_ends() {
        let host = manifest("a", &[("x", &["a/y"]), ("y", &["a/x"])]);
        let pending = [instance("a/x"), instance("a/y")].into_iter().collect();
        let mut schedule = Schedule::new([&host], &pending);
        assert!(run(&mut schedule).is_empty());
        assert_eq!(schedule.waiting.len(), 2);
    }
}
