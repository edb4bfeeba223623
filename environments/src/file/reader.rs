//! Takes a raw table apart by its known keys; what is left over is a mistake.

use crate::file::{ConfigNode, Data, Table};
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::source::{At, Text};

/// Reads one table. Every getter notes its key as known; [`TableReader::finish`] reports the others.
pub(crate) struct TableReader<'a, 'p> {
    table: &'a Table,
    at: &'a At,
    name: String,
    known: Vec<&'static str>,
    later: Vec<&'static str>,
    pub(crate) problems: &'p mut Problems,
}

impl<'a, 'p> TableReader<'a, 'p> {
    /// `name` is what messages call the table, such as `[environment]`.
    pub(crate) fn new(
        table: &'a Table,
        at: &'a At,
        name: impl Into<String>,
        problems: &'p mut Problems,
    ) -> Self {
        TableReader { table, at, name: name.into(), known: Vec::new(), later: Vec::new(), problems }
    }

    /// The place of the whole table.
    pub(crate) fn at(&self) -> &'a At {
        self.at
    }

    /// The value of a key, of whatever type.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'a ConfigNode> {
        self.known.push(key);
        self.table.get(key).map(|member| &member.node)
    }

    /// Lists a key among those that can be used, though it is read elsewhere.
    pub(crate) fn suggest(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key that nobody asked for looks like one of these.
    pub(crate) fn misspells(&self, keys: &[&'static str]) -> bool {
        let unknown = self.table.keys().filter(|key| !self.known.contains(&key.as_str()));
        unknown
            .into_iter()
            .any(|key| nearest(key, self.known.iter().copied()).is_some_and(|near| keys.contains(&near)))
    }

    /// The text of a key.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text> {
        let node = self.node(key)?;
        match text(node) {
            Some(text) => Some(text),
            None => self.wrong(key, "a string", &node.data, &node.at),
        }
    }

    /// The text of a key that is taken as it is written. What looks like a template in it is a mistake.
    pub(crate) fn plain_text(&mut self, key: &'static str, help: &str) -> Option<Text> {
        let text = self.text(key)?;
        let Some(place) = ["{{", "{%", "{#"].iter().filter_map(|mark| text.value.find(mark)).min() else {
            return Some(text);
        };
        let at = text.at.within(&text.value, place..text.value.len());
        let message = format!("`{key}` in {} is no template: it is taken as it is written", self.name);
        self.problems.push(Diagnostic::error(message).at(&at).help(help));
        None
    }

    /// The text of a key that must be there.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Text> {
        if !self.has(key) {
            self.known.push(key);
            let message = format!("`{key}` is missing in {}", self.name);
            self.problems.push(Diagnostic::error(message).at(self.at));
            return None;
        }
        self.text(key)
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.data {
            Data::Boolean(value) => Some(*value),
            other => self.wrong(key, "true or false", other, &node.at),
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(&mut self, key: &'static str, least: u32, most: u32) -> Option<u32> {
        let node = self.node(key)?;
        let Data::Integer(value) = &node.data else {
            return self.wrong(key, "an integer", &node.data, &node.at);
        };
        let number = u32::try_from(*value).ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{key}` must be from {least} to {most}, not {value}");
            self.problems.push(Diagnostic::error(message).at(&node.at));
        }
        number
    }

    pub(crate) fn table(&mut self, key: &'static str) -> Option<(&'a Table, &'a At)> {
        let node = self.node(key)?;
        match &node.data {
            Data::Table(table) => Some((table, &node.at)),
            other => self.wrong(key, "a table", other, &node.at),
        }
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<(&'a Table, &'a At)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Data::Array(items) = &node.data else {
            self.wrong::<()>(key, "a list of tables, written `[[…]]`", &node.data, &node.at);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match &item.data {
                Data::Table(table) => tables.push((table, &item.at)),
                other => {
                    self.wrong::<()>(key, "a list of tables, written `[[…]]`", other, &item.at);
                }
            }
        }
        tables
    }

    /// A list of strings.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Text> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Data::Array(items) = &node.data else {
            self.wrong::<()>(key, "a list of strings", &node.data, &node.at);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match text(item) {
                Some(text) => texts.push(text),
                None => drop(self.wrong::<()>(key, "a list of strings", &item.data, &item.at)),
            }
        }
        texts
    }

    /// Refuses keys of features that are not supported yet.
    pub(crate) fn later(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.later.push(key);
            if let Some(member) = self.table.get(*key) {
                let message = format!("`{key}` in {} is not supported yet", self.name);
                self.problems.push(Diagnostic::error(message).at(&member.key).help("remove it for now"));
            }
        }
    }

    /// Refuses keys that belong to another table, and says what to do.
    pub(crate) fn elsewhere(&mut self, keys: &[&'static str], help: &str) {
        for key in keys {
            self.later.push(key);
            if let Some(member) = self.table.get(*key) {
                let message = format!("`{key}` is no key of {}", self.name);
                self.problems.push(Diagnostic::error(message).at(&member.key).help(help));
            }
        }
    }

    /// Reports the keys that no getter asked for.
    pub(crate) fn finish(self) {
        for (key, member) in self.table {
            if self.known.contains(&key.as_str()) || self.later.contains(&key.as_str()) {
                continue;
            }
            let help = match nearest(key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => self.known_keys(),
            };
            let message = format!("unknown key `{key}` in {}", self.name);
            self.problems.push(Diagnostic::error(message).at(&member.key).help(help));
        }
    }

    fn known_keys(&self) -> String {
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        format!("the keys are {}", known.join(", "))
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong<T>(&mut self, key: &str, wanted: &str, found: &Data, at: &At) -> Option<T> {
        let message = format!("`{key}` must be {wanted}, not {}", found.kind());
        self.problems.push(Diagnostic::error(message).at(at));
        None
    }
}

/// The text of a node, if it is a string.
pub(crate) fn text(node: &ConfigNode) -> Option<Text> {
    let (value, literal) = match &node.data {
        Data::String(value) => (value.clone(), false),
        Data::Value(value) => (value.as_str()?.to_owned(), true),
        _ => return None,
    };
    Some(Text { value, at: node.at.clone(), literal })
}
