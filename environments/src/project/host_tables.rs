//! Tables keyed by hosts: a host's own entry beats patterns that match it, and patterns must not disagree.

use std::collections::BTreeMap;

use batou_release::HostName;

use crate::file::{ConfigNode, Data, KeyValue, Table, merge};
use crate::project::host::normalise;
use crate::project::pattern::{expand, is_pattern};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::At;

/// The hosts that a key (a name or a pattern) stands for, normalised. An invalid key is reported and stands for no
/// hosts.
pub(crate) fn hosts_of(key: &str, at: &At, domain: Option<&str>, problems: &mut Problems) -> Vec<HostName> {
    let names = match expand(key) {
        Ok(names) => names,
        Err(error) => {
            let help = "write `web{01..12}` for a range or `{a,b}` for a choice";
            problems.push(Diagnostic::error(error.to_string()).at(at).help(help));
            return Vec::new();
        }
    };
    let checked: Result<Vec<_>, String> = names
        .iter()
        .map(|name| normalise(name, domain))
        .map(|name| HostName::new(name.as_str()).map_err(|_| name))
        .collect();
    checked.unwrap_or_else(|bad| {
        let help = if bad.contains(':') {
            "set the port in ssh_config; only an IPv6 address has colons"
        } else {
            "use letters, digits, `_` and `-`, with single dots between, and no leading dash"
        };
        problems.push(Diagnostic::error(format!("`{bad}` is not a host's name")).at(at).help(help));
        Vec::new()
    })
}

/// What a table says about one host: under its own name, and under patterns.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) exact: Option<(&'a str, &'a KeyValue)>,
    pub(crate) patterns: Vec<(&'a str, &'a KeyValue)>,
}

impl<'a> Said<'a> {
    pub(crate) fn add(&mut self, key: &'a str, member: &'a KeyValue, host: &str, problems: &mut Problems) {
        if is_pattern(key) {
            self.patterns.push((key, member));
        } else if self.exact.is_some() {
            let message = format!("the host `{host}` is declared twice");
            problems.push(Diagnostic::error(message).at(&member.key).help("keep one of the two"));
        } else {
            self.exact = Some((key, member));
        }
    }

    /// The value that applies to the host, in tables whose values are not merged.
    pub(crate) fn one(&self, host: &str, problems: &mut Problems) -> Option<(&'a str, &'a KeyValue)> {
        if self.exact.is_some() {
            return self.exact;
        }
        let (first, rest) = self.patterns.split_first()?;
        for (key, member) in rest {
            if !same(&first.1.node, &member.node) || key.starts_with('!') != first.0.starts_with('!') {
                disagree(first.0, (key, &member.key), host, None, problems);
            }
        }
        Some(*first)
    }

    /// All tables that apply to the host, merged.
    pub(crate) fn merged(&self, host: &str, problems: &mut Problems) -> Table {
        let mut below: BTreeMap<&str, (&str, &KeyValue)> = BTreeMap::new();
        for (key, member) in &self.patterns {
            for (name, value) in table_of(member) {
                match below.get(name.as_str()) {
                    Some((other, known)) if !same(&known.node, &value.node) => {
                        let decided = self.exact.is_some_and(|(_, exact)| table_of(exact).contains_key(name));
                        if !decided {
                            disagree(other, (key, &value.key), host, Some(name), problems);
                        }
                    }
                    Some(_) => {}
                    None => {
                        below.insert(name, (key, value));
                    }
                }
            }
        }
        let below = below.into_iter().map(|(name, (_, value))| (name.to_owned(), value.clone())).collect();
        match self.exact {
            Some((_, exact)) => merge(below, table_of(exact).clone()),
            None => below,
        }
    }
}

fn table_of(member: &KeyValue) -> &Table {
    static EMPTY: Table = Table::new();
    match &member.node.data {
        Data::Table(table) => table,
        _ => &EMPTY,
    }
}

fn disagree(first: &str, second: (&str, &At), host: &str, name: Option<&str>, problems: &mut Problems) {
    let what = name.map(|name| format!(" about `{name}`")).unwrap_or_default();
    let message = format!("the patterns `{first}` and `{}` disagree{what}", second.0);
    let help = "give each host that both match an entry of its own";
    problems.push(Diagnostic::error(message).at(second.1).help(help).about(host));
}

/// Whether two values are equal, wherever they are written.
fn same(left: &ConfigNode, right: &ConfigNode) -> bool {
    match (&left.data, &right.data) {
        (Data::String(a), Data::String(b)) | (Data::Date(a), Data::Date(b)) => a == b,
        (Data::Integer(a), Data::Integer(b)) => a == b,
        (Data::Float(a), Data::Float(b)) => a.to_bits() == b.to_bits(),
        (Data::Boolean(a), Data::Boolean(b)) => a == b,
        (Data::Array(a), Data::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Data::Table(a), Data::Table(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((x, a), (y, b))| x == y && same(&a.node, &b.node))
        }
        _ => false,
    }
}
