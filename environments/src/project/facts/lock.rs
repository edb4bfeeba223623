//! `environments/<environment>/facts.lock`: the facts of an environment's hosts, as of the last `batou facts`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use batou_release::{FactSources, Facts, HostName};

use super::{check, value, writer};
use crate::file::{self, Data, Table, TableReader};
use crate::project::Project;
use crate::text::diagnostic::{Diagnostic, Diagnostics, Problems};

/// What is known about the hosts of one environment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FactsLock {
    /// How each fact was declared when it was gathered.
    pub(super) sources: FactSources,
    /// By host.
    pub(super) hosts: BTreeMap<String, Facts>,
}

impl FactsLock {
    /// Where it is, relative to the project.
    pub fn path(environment: &str) -> PathBuf {
        Path::new("environments").join(environment).join("facts.lock")
    }

    /// Reads the file; empty where there is none.
    pub fn load(project: &Project, environment: &str) -> Result<FactsLock, Diagnostics> {
        let mut problems = Problems::default();
        let lock = Self::read(project, environment, &mut problems);
        problems.finish()?;
        Ok(lock.unwrap_or_default())
    }

    /// `None` where the file is damaged, which is reported.
    pub(super) fn read(project: &Project, environment: &str, problems: &mut Problems) -> Option<FactsLock> {
        let path = Self::path(environment);
        if !batou_system::fs::is_taken(project.root.join(&path)) {
            return Some(FactsLock::default());
        }
        let mut found = Problems::default();
        let lock = Self::parse(project, &path, &mut found).filter(|_| !found.has_errors());
        let help = format!("restore it, or remove it and run `batou facts {environment}`");
        problems.extend(found.advised(&help).first());
        lock
    }

    fn parse(project: &Project, path: &Path, problems: &mut Problems) -> Option<FactsLock> {
        let (table, at) = file::load(&project.root, path, problems)?;
        let mut reader = TableReader::new(&table, &at, "facts.lock", problems);
        let (sources, hosts) = (reader.table("facts"), reader.table("host"));
        reader.finish();
        let sources = sources.map(|(table, _)| check(table, problems)).unwrap_or_default();
        let hosts = hosts.map(|(table, _)| by_host(table, problems)).unwrap_or_default();
        Some(FactsLock { sources, hosts })
    }

    /// The facts after hosts were asked: their answers replace the earlier ones. A fact that a host did not answer
    /// stays as it was, as do all facts of a host that was not asked. Facts whose declaration is gone or has changed
    /// are dropped, and so are hosts that are not among `hosts`.
    #[must_use]
    pub fn updated(
        &self,
        declared: &FactSources,
        hosts: &[HostName],
        answers: BTreeMap<HostName, Facts>,
    ) -> FactsLock {
        let valid = |name: &str| {
            self.sources.get(name).zip(declared.get(name)).is_some_and(|(old, new)| old.means(new))
        };
        let mut answers = answers;
        let mut updated = BTreeMap::new();
        for host in hosts {
            let mut facts = self.hosts.get(host.as_str()).cloned().unwrap_or_default();
            facts.retain(|name, _| valid(name));
            facts.extend(answers.remove(host).unwrap_or_default());
            if !facts.is_empty() {
                updated.insert(host.to_string(), facts);
            }
        }
        FactsLock { sources: declared.clone(), hosts: updated }
    }

    /// The file's text: the same for the same facts.
    pub fn to_toml(&self, environment: &str) -> String {
        let mut text = format!(
            "# What the hosts of {environment} said of themselves. `batou facts {environment}` writes this file: it asks for\n\
             # what [facts] in batou.toml declares. Evaluations read it and ask no host. Commit it.\n",
        );
        text.push_str("\n[facts]\n");
        for (name, source) in &self.sources {
            text.push_str(&writer::lines(name, &source.written()));
        }
        for (host, facts) in &self.hosts {
            let _ = write!(text, "\n[host.{}]\n", writer::key(host));
            for (name, value) in facts {
                text.push_str(&writer::lines(name, value));
            }
        }
        text
    }

    /// Refuses a text that could not be read again.
    pub fn fits(&self, text: &str) -> Result<(), String> {
        if text.len() as u64 <= file::LARGEST {
            return Ok(());
        }
        let size =
            |facts: &Facts| facts.iter().map(|(name, value)| writer::lines(name, value).len()).sum::<usize>();
        let largest = self.hosts.iter().max_by_key(|(_, facts)| size(facts)).map_or("", |(host, _)| host);
        Err(format!(
            "the facts are larger than {} MiB; those of {largest} are the largest",
            file::LARGEST >> 20
        ))
    }

    /// The facts of a host.
    pub fn host(&self, host: &str) -> Option<&Facts> {
        self.hosts.get(host)
    }

    /// The hosts that it has facts of.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The facts of a host in lines that can be compared one by one: `os.id = "debian"`.
    pub fn lines(&self, host: &str) -> Vec<String> {
        let facts = self.hosts.get(host).into_iter().flatten();
        facts.flat_map(|(name, value)| writer::parts(name, value)).collect()
    }
}

fn by_host(table: &Table, problems: &mut Problems) -> BTreeMap<String, Facts> {
    let mut hosts = BTreeMap::new();
    for (host, member) in table {
        let Data::Table(facts) = &member.node.data else {
            let message = format!("`host.{host}` must be a table, not {}", member.node.data.kind());
            problems.push(Diagnostic::error(message).at(&member.node.at));
            continue;
        };
        let fact = |(name, member): (&String, &file::KeyValue)| {
            Some((name.clone(), value::from_node(&member.node, problems)?))
        };
        hosts.insert(host.clone(), facts.iter().filter_map(fact).collect());
    }
    hosts
}
