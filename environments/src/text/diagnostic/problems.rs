//! Diagnostics: while they are collected ([`Problems`]), and as the user gets them ([`Diagnostics`]), sorted by place
//! and each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Diagnostic, Severity};

/// One or more diagnostics, sorted by place, each once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// The diagnostics in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// These and others, each once.
    #[must_use]
    pub fn and(self, others: Diagnostics) -> Diagnostics {
        Diagnostics(unique(self.0.into_iter().chain(others.0).collect()))
    }

    /// How many there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic:#}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Collects diagnostics while an evaluation goes on.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Diagnostic>);

impl Problems {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// Adds to all of them what they affect.
    pub(crate) fn about(&mut self, subject: &str) {
        for diagnostic in &mut self.0 {
            diagnostic.subject.push(format!("{subject}{}", diagnostic.part));
        }
    }

    /// Takes in what was found in a sub-component, as [`crate::component::item::Caller::within`] writes it.
    pub(crate) fn extend_within(&mut self, part: &str, found: Problems) {
        self.0.extend(found.0.into_iter().map(|diagnostic| diagnostic.within(part)));
    }

    /// Gives this advice to each that has none of its own.
    pub(crate) fn advised(mut self, help: &str) -> Problems {
        for diagnostic in &mut self.0 {
            diagnostic.help.get_or_insert_with(|| help.to_owned());
        }
        self
    }

    /// Only the first that was found. A file that nobody writes by hand is damaged as a whole, and the rest says no
    /// more.
    pub(crate) fn first(mut self) -> Problems {
        self.0.truncate(1);
        self
    }

    /// Whether there is an error among them.
    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// `Err` with errors and warnings if there is an error, otherwise the warnings.
    pub(crate) fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let failed = self.has_errors();
        let sorted = unique(self.0);
        if failed { Err(Diagnostics(sorted)) } else { Ok(sorted) }
    }
}

impl FromIterator<Diagnostic> for Problems {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Problems {
        Problems(diagnostics.into_iter().collect())
    }
}

/// Sorts the diagnostics, and merges those that differ only in what they affect and where their values are set.
fn unique(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut merged: BTreeMap<_, Diagnostic> = BTreeMap::new();
    for mut diagnostic in diagnostics {
        for set in diagnostic.set.iter_mut().filter(|set| set.of.is_empty()) {
            set.of.clone_from(&diagnostic.subject);
        }
        match merged.entry(diagnostic.key()) {
            Entry::Vacant(slot) => {
                slot.insert(diagnostic);
            }
            Entry::Occupied(mut slot) => slot.get_mut().extend(diagnostic),
        }
    }
    let mut result: Vec<Diagnostic> = merged.into_values().collect();
    for diagnostic in &mut result {
        diagnostic.subject.sort();
        diagnostic.subject.dedup();
        for set in &mut diagnostic.set {
            set.of.sort();
            set.of.dedup();
        }
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::text::source::{At, SourceText};

    #[test]
    fn one_mistake_on_many_hosts_is_one_diagnostic() {
        let place = At::new(&SourceText::new("batou.toml", "x"), 0..1);
        let mut problems = Problems::default();
        for host in ["web02", "web01", "web02"] {
            problems.push(Diagnostic::error("bad").at(&place).about(host));
        }
        let all = problems.finish().unwrap_err();
        assert_eq!(all.len(), 1);
        assert_eq!(all.iter().next().unwrap().subject, ["web01", "web02"]);
    }
}
