//! What a release decided about units, gathered from all hosts and printed once at the end. Printed line by
//! line as it arrives, the output of a release to hundreds of hosts would be unreadable.

use std::cell::RefCell;
use std::collections::BTreeMap;

use batou_agent::protocol::{Decision, UnitDecision};
use batou_release::Instance;

use crate::plan::render::hosts;
use crate::ui::{Ui, visible_name};

/// The decisions of a release, in the order in which components are activated.
#[derive(Default)]
pub struct Decisions(RefCell<Vec<ComponentDecisions>>);

/// What was decided about a component, with the hosts on which it was the same.
struct ComponentDecisions {
    component: String,
    units: Vec<UnitDecision>,
    hosts: Vec<String>,
}

impl Decisions {
    /// Adds what was decided about one instance.
    pub fn add(&self, instance: &Instance, units: &[UnitDecision]) {
        if units.is_empty() {
            return;
        }
        let mut known = self.0.borrow_mut();
        let (component, host) = (instance.component.to_string(), instance.host.to_string());
        match known.iter_mut().find(|other| other.component == component && other.units == units) {
            Some(alike) => alike.hosts.push(host),
            None => known.push(ComponentDecisions { component, units: units.to_vec(), hosts: vec![host] }),
        }
    }

    /// Prints them: `web{01..12}/app: ran migrate, reload; verify held, not run: touch`.
    pub fn show(&self, ui: &Ui) {
        for line in self.lines() {
            ui.status(&line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let line = |decided: &ComponentDecisions| {
            let mut names: Vec<_> = decided.hosts.iter().map(String::as_str).collect();
            names.sort_unstable();
            let mut by_decision: BTreeMap<Decision, Vec<String>> = BTreeMap::new();
            for one in &decided.units {
                by_decision.entry(one.decision).or_default().push(visible_name(&one.unit.name));
            }
            let parts = by_decision
                .iter()
                .map(|(decision, units)| format!("{} {}", word(*decision), units.join(", ")));
            let parts = parts.collect::<Vec<_>>().join("; ");
            format!("{}/{}: {parts}", hosts(&names), visible_name(&decided.component))
        };
        self.0.borrow().iter().map(line).collect()
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Ran => "ran",
        Decision::Held => "verify held, not run:",
        Decision::Created => "already created, not run:",
        Decision::Unneeded => "unless held, not run:",
        Decision::Unwanted => "only_if_path is missing, not run:",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_release::{UnitId, UnitKind};

    use super::*;

    #[test]
    fn hosts_that_decided_the_same_share_a_line() {
        let decisions = Decisions::default();
        let unit = |name: &str, decision| UnitDecision {
            unit: UnitId::new("app".parse().unwrap(), UnitKind::Step, name),
            decision,
        };
        let held = [unit("reload", Decision::Ran), unit("touch", Decision::Held), unit("go", Decision::Ran)];
        for host in ["web1", "web4", "web2", "web3"] {
            let instance = Instance { host: host.parse().unwrap(), component: "app".parse().unwrap() };
            decisions.add(&instance, &held);
            decisions.add(&instance, &[]);
        }
        let other = Instance { host: "db1".parse().unwrap(), component: "app".parse().unwrap() };
        decisions.add(&other, &[unit("reload", Decision::Unwanted)]);
        let expected = [
            "web{1..4}/app: ran reload, go; verify held, not run: touch",
            "db1/app: only_if_path is missing, not run: reload",
        ];
        assert_eq!(decisions.lines(), expected);
    }
}
