//! `environment.toml`: loaded with what it inherits, merged, and checked as far as possible without the components.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::file::{self, ConfigNode, Data, Table, TableReader};
use crate::project::host::{Host, normalise};
use crate::project::inventory::{self, Inventory};
use crate::project::overlay::{domain, overlay};
use crate::project::overrides::Overrides;
use crate::project::policy::{self, CheckedPolicy};
use crate::project::{Project, environment_names};
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::name::is_project_or_environment;
use crate::text::source::{At, Text};

/// An environment whose every part is valid by itself.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) checked: CheckedPolicy,
    pub(crate) inventory: Inventory,
    pub(crate) values: Table,
    pub(crate) overrides: Overrides,
    pub(crate) resolver: BTreeMap<String, Vec<IpAddr>>,
}

/// The merged tables, not yet checked.
struct Raw {
    table: Table,
    at: At,
}

/// Loads and checks an environment; `None` if nothing useful can follow.
pub(crate) fn load(project: &Project, name: &str, problems: &mut Problems) -> Option<Environment> {
    let raw = raw(project, name, problems)?;
    let mut reader = TableReader::new(&raw.table, &raw.at, "environment.toml", problems);
    let environment = reader.table("environment");
    let hosts = reader.table("hosts");
    let more = reader.table("host");
    let values = reader.table("settings").map(|(table, _)| table.clone()).unwrap_or_default();
    let components = reader.table("components");
    let resolver = reader.table("resolver");
    reader.later(&["vfs"]);
    reader.finish();

    let empty = Table::new();
    let (table, at) = environment.unwrap_or((&empty, &raw.at));
    let checked = policy::check(name, table, at, problems);
    let domain = checked.policy.host_domain.as_deref();
    let empty_tables = (&empty, &raw.at);
    let inventory = inventory::check(
        hosts.unwrap_or(empty_tables).0,
        more.unwrap_or(empty_tables).0,
        &checked,
        project,
        problems,
    );
    let overrides = Overrides::check(components.unwrap_or(empty_tables).0, domain, &inventory, problems);
    let resolver = resolver.map(|(table, _)| check_resolver(table, problems)).unwrap_or_default();
    Some(Environment { checked, inventory, values, overrides, resolver })
}

impl Environment {
    pub(crate) fn hosts(&self) -> Vec<Host> {
        self.inventory.hosts.iter().map(|entry| entry.host.clone()).collect()
    }
}

/// The environment's own file over those that it inherits, the nearest on top.
fn raw(project: &Project, name: &str, problems: &mut Problems) -> Option<Raw> {
    let mut layers: Vec<Table> = Vec::new();
    let mut chain: Vec<String> = Vec::new();
    let mut top: Option<At> = None;
    let mut next = Some(name.to_owned());
    let mut asked_at: Option<At> = None;
    while let Some(current) = next.take() {
        if let Some(first) = chain.iter().position(|seen| *seen == current) {
            let cycle = format!("{} -> {current}", chain[first..].join(" -> "));
            let diagnostic =
                Diagnostic::error(format!("environments inherit from each other in a cycle: {cycle}"));
            problems.push(asked_at.iter().fold(diagnostic, Diagnostic::at));
            return None;
        }
        let (table, at) = layer(project, &current, asked_at.as_ref(), problems)?;
        let base: Option<Text> = policy::inherits(&table, problems);
        layers.push(table);
        top.get_or_insert(at);
        chain.push(current);
        asked_at = base.as_ref().map(|text| text.at.clone());
        next = base.map(|text| text.value);
    }
    let domain = domain(&layers);
    let table = layers.into_iter().rev().reduce(|lower, upper| overlay(lower, upper, domain.as_deref()))?;
    Some(Raw { table, at: top? })
}

/// One environment's own table.
fn layer(
    project: &Project,
    name: &str,
    asked_at: Option<&At>,
    problems: &mut Problems,
) -> Option<(Table, At)> {
    let folder = PathBuf::from("environments").join(name);
    let path = folder.join("environment.toml");
    if !is_project_or_environment(name) || !batou_system::fs::is_taken(project.root.join(&path)) {
        let known = environment_names(project).unwrap_or_default();
        let diagnostic = Diagnostic::error(format!("there is no environment `{name}`"));
        let diagnostic = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic.help("create environments/NAME/environment.toml"),
            None => diagnostic.help(format!("there are: {}", known.join(", "))),
        };
        problems.push(match asked_at {
            Some(at) => diagnostic.at(at),
            None => diagnostic,
        });
        return None;
    }
    let secrets = folder.join("secrets.toml");
    if project.root.join(&secrets).exists() {
        problems.push(Diagnostic::error("secrets.toml is not supported yet").in_file(&secrets));
    }
    file::load(&project.root, &path, problems)
}

fn check_resolver(table: &Table, problems: &mut Problems) -> BTreeMap<String, Vec<IpAddr>> {
    let mut resolver = BTreeMap::new();
    for (name, member) in table {
        let items: Vec<&ConfigNode> = match &member.node.data {
            Data::Array(items) => items.iter().collect(),
            _ => vec![&member.node],
        };
        let mut addresses = Vec::new();
        for item in items {
            match &item.data {
                Data::String(text) if text.trim().parse::<IpAddr>().is_ok() => {
                    addresses.extend(text.trim().parse::<IpAddr>());
                }
                _ => {
                    let message = format!("`{name}` in [resolver] must be an IP address or a list of them");
                    problems.push(Diagnostic::error(message).at(&item.at));
                }
            }
        }
        if resolver.insert(normalise(name, None), addresses).is_some() {
            let message = format!("the name `{name}` is declared twice in [resolver]");
            problems.push(Diagnostic::error(message).at(&member.key).help("keep one of the two"));
        }
    }
    resolver
}
