//! `[components.app]` and `[components."app@web01"]`: values that an environment sets for its components.

use std::collections::BTreeMap;

use batou_release::HostName;

use crate::file::{Data, KeyValue, Table, merge};
use crate::project::host_tables::{Said, hosts_of};
use crate::project::inventory::Inventory;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::name::is_component;
use crate::text::source::At;

/// The overrides of an environment, by component.
#[derive(Debug, Default)]
pub(crate) struct Overrides(BTreeMap<String, ComponentOverrides>);

/// The overrides of one component.
#[derive(Debug, Default)]
pub(crate) struct ComponentOverrides {
    /// Where the component is first named.
    pub(crate) at: Option<At>,
    general: Table,
    hosts: BTreeMap<HostName, Vec<(String, KeyValue)>>,
}

impl Overrides {
    pub(crate) fn check(
        table: &Table,
        domain: Option<&str>,
        inventory: &Inventory,
        problems: &mut Problems,
    ) -> Overrides {
        let mut overrides = Overrides::default();
        for (key, member) in table {
            let (name, host) =
                key.split_once('@').map_or((key.as_str(), None), |(name, host)| (name, Some(host)));
            if !is_component(name) {
                problems
                    .push(Diagnostic::error(format!("`{name}` is not a component's name")).at(&member.key));
                continue;
            }
            let Data::Table(values) = &member.node.data else {
                let message = format!("`components.{key}` must be a table, not {}", member.node.data.kind());
                problems.push(Diagnostic::error(message).at(&member.node.at));
                continue;
            };
            let component = overrides.0.entry(name.to_owned()).or_default();
            component.at.get_or_insert_with(|| member.key.clone());
            let Some(host) = host else {
                component.general = values.clone();
                continue;
            };
            let named = hosts_of(host, &member.key, domain, problems);
            for known in inventory.known(host, &member.key, &named, problems) {
                component.hosts.entry(known.clone()).or_default().push((host.to_owned(), member.clone()));
            }
        }
        overrides
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = (&String, &ComponentOverrides)> {
        self.0.iter()
    }

    /// The overrides of a component on a host: the host's own beat those of patterns, and these the general ones.
    pub(crate) fn of(&self, component: &str, host: &str, problems: &mut Problems) -> Table {
        let Some(overrides) = self.0.get(component) else { return Table::new() };
        let mut said = Said::default();
        for (key, member) in overrides.hosts.get(host).into_iter().flatten() {
            said.add(key, member, host, problems);
        }
        merge(overrides.general.clone(), said.merged(host, problems))
    }

    /// Where an attribute of a component is set for a host: for the host itself or by patterns, then for all hosts.
    pub(crate) fn places(&self, component: &str, host: &str, attribute: &str) -> Vec<&At> {
        let Some(overrides) = self.0.get(component) else { return Vec::new() };
        let hosts = overrides.hosts.get(host).into_iter().flatten();
        let tables = hosts.filter_map(|(_, member)| match &member.node.data {
            Data::Table(table) => Some(table),
            _ => None,
        });
        let all = tables.chain(std::iter::once(&overrides.general));
        all.filter_map(|table| table.get(attribute)).map(|member| &member.node.at).collect()
    }
}

impl ComponentOverrides {
    /// Every name that is overridden anywhere, with its places.
    pub(crate) fn names(&self) -> BTreeMap<&str, Vec<&At>> {
        let mut names: BTreeMap<&str, Vec<&At>> = BTreeMap::new();
        let tables = self.hosts.values().flatten().filter_map(|(_, member)| match &member.node.data {
            Data::Table(table) => Some(table),
            _ => None,
        });
        for (name, member) in tables.chain(std::iter::once(&self.general)).flatten() {
            names.entry(name).or_default().push(&member.key);
        }
        names
    }
}
