//! Lays one environment over another. However two files spell the name of a host, it is one host.

use std::collections::{BTreeMap, BTreeSet};

use crate::file::{Data, Table, merge};
use crate::project::host::{normalise, normalise_domain};

/// The domain of host names for all layers: that of the first layer that sets one.
pub(crate) fn domain(layers: &[Table]) -> Option<String> {
    layers.iter().find_map(|layer| match &table(layer, "environment")?.get("host_domain")?.node.data {
        Data::String(domain) => Some(normalise_domain(domain)),
        _ => None,
    })
}

/// Tables merge by key. A host of the upper one replaces the same host of the lower one, whether ignored or not.
pub(crate) fn overlay(mut lower: Table, upper: Table, domain: Option<&str>) -> Table {
    let host = |key: &str| normalise(key.strip_prefix('!').unwrap_or(key), domain);
    if let (Some(below), Some(above)) = (table_mut(&mut lower, "hosts"), table(&upper, "hosts")) {
        let replaced: BTreeSet<String> = above.keys().map(|key| host(key)).collect();
        below.retain(|key, _| !replaced.contains(&host(key)));
    }
    respell(&mut lower, &upper, "host", host);
    respell(&mut lower, &upper, "resolver", |name| normalise(name, None));
    respell(&mut lower, &upper, "components", |key| match key.split_once('@') {
        Some((component, name)) => format!("{component}@{}", host(name)),
        None => key.to_owned(),
    });
    merge(lower, upper)
}

/// Gives keys of the lower table the spelling that they have in the upper one, so that the two merge. Two spellings
/// within one file stay apart, to be reported as a mistake.
fn respell(lower: &mut Table, upper: &Table, name: &str, canonical: impl Fn(&str) -> String) {
    let (Some(below), Some(above)) = (table_mut(lower, name), table(upper, name)) else { return };
    let spelled: BTreeMap<String, &String> = above.keys().map(|key| (canonical(key), key)).collect();
    let own: BTreeSet<String> = below.keys().cloned().collect();
    for (key, member) in std::mem::take(below) {
        let other = spelled.get(&canonical(&key)).copied();
        let other = other.filter(|other| !own.contains(*other) && !below.contains_key(*other));
        below.insert(other.cloned().unwrap_or(key), member);
    }
}

fn table<'a>(layer: &'a Table, name: &str) -> Option<&'a Table> {
    match &layer.get(name)?.node.data {
        Data::Table(table) => Some(table),
        _ => None,
    }
}

fn table_mut<'a>(layer: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    match &mut layer.get_mut(name)?.node.data {
        Data::Table(table) => Some(table),
        _ => None,
    }
}
