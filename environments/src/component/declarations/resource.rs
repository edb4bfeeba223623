//! `[[provide]]` and `[[require]]`.

use std::sync::Arc;

use crate::component::item::{Caller, Item};
use crate::file::{ConfigNode, TableReader};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::name::{BUILT_IN, is_identifier};
use crate::text::source::Text;

/// `[[provide]]`
#[derive(Debug)]
pub(crate) struct Provide {
    pub(crate) key: Text,
    pub(crate) value: ConfigNode,
    pub(crate) by: Arc<Caller>,
}

/// `[[require]]`
#[derive(Debug)]
pub(crate) struct Require {
    pub(crate) key: Text,
    /// The name under which templates find it. Code has the value itself, and need not name it.
    pub(crate) variable: Option<String>,
    pub(crate) one: bool,
    pub(crate) host: Option<Text>,
    pub(crate) strict: bool,
    pub(crate) order: RequireOrder,
    pub(crate) sort: Option<Text>,
    pub(crate) by: Arc<Caller>,
}

/// What a requirement says about the order in which components are activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequireOrder {
    ProviderFirst,
    /// `reverse = true`
    RequirerFirst,
    /// `dirty = true`
    Open,
}

pub(super) fn provide(item: &Item, problems: &mut Problems) -> Option<Provide> {
    let mut reader = item.reader(problems);
    let key = reader.required("key");
    let value = reader.node("value").cloned();
    if value.is_none() {
        let message = format!("`value` is missing in {}", item.name());
        reader.problems.push(Diagnostic::error(message).at(reader.at()));
    }
    reader.finish();
    Some(Provide { key: key?, value: value?, by: Arc::clone(&item.by) })
}

pub(super) fn require(item: &Item, problems: &mut Problems) -> Option<Require> {
    let mut reader = item.reader(problems);
    let key = reader.required("key");
    let variable = reader.text("as");
    let one = reader.boolean("one").unwrap_or(false);
    let host = reader.text("host");
    let strict = reader.boolean("strict").unwrap_or(true);
    let order = order(&mut reader);
    let sort = reader.text("sort");
    if let Some(sort) = &sort
        && one
    {
        let message = "`sort` orders a list, and `one = true` gives a single value";
        reader.problems.push(Diagnostic::error(message).at(&sort.at).help("drop one of the two"));
    }
    reader.finish();
    let key = key?;
    let variable = match variable {
        None if item.by.is_code() => None,
        None => Some(Text { value: key.value.replace('-', "_"), at: key.at.clone(), literal: true }),
        named => named,
    };
    if let Some(named) = &variable
        && (!is_identifier(&named.value) || BUILT_IN.contains(&named.value.as_str()))
    {
        let message = format!("`{}` cannot be the name of a template's variable", named.value);
        let help = "choose another name with `as`: letters, digits and `_`";
        problems.push(Diagnostic::error(message).at(&named.at).help(help));
        return None;
    }
    let (variable, by) = (variable.map(|text| text.value), Arc::clone(&item.by));
    Some(Require { key, variable, one, host, strict, order, sort, by })
}

fn order(reader: &mut TableReader<'_, '_>) -> RequireOrder {
    let reverse = reader.boolean("reverse").unwrap_or(false);
    let dirty = reader.boolean("dirty").unwrap_or(false);
    match (reverse, dirty) {
        (true, true) => {
            let message = "`reverse` orders two components, and `dirty` leaves their order open";
            reader.problems.push(Diagnostic::error(message).at(reader.at()).help("drop one of the two"));
            RequireOrder::Open
        }
        (true, false) => RequireOrder::RequirerFirst,
        (false, true) => RequireOrder::Open,
        (false, false) => RequireOrder::ProviderFirst,
    }
}

pub(super) fn check_variables(requires: &[Require], problems: &mut Problems) {
    for (index, require) in requires.iter().enumerate() {
        let Some(variable) = &require.variable else { continue };
        if requires[..index].iter().any(|earlier| earlier.variable.as_ref() == Some(variable)) {
            let message = format!("two requirements have the variable `{variable}`");
            let help = "give one of them another name with `as`";
            problems.push(Diagnostic::error(message).at(&require.key.at).help(help));
        }
    }
}
