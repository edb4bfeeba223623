//! `[facts]` of batou.toml: what hosts are asked.

use batou_release::{Builtin, FactSource, FactSources};
use globset::GlobBuilder;

use crate::file::{Data, KeyValue, Table, TableReader};
use crate::text::diagnostic::{Diagnostic, Problems, listed, nearest};
use crate::text::name::is_identifier;
use crate::text::source::Text;

/// The default timeout of a command, in seconds.
const TIMEOUT: u32 = 10;
/// The longest timeout that may be set, in seconds.
const LONGEST: u32 = 600;

/// Checks a table `[facts]`.
pub(crate) fn check(table: &Table, problems: &mut Problems) -> FactSources {
    let mut sources = FactSources::new();
    for (name, member) in table {
        if !is_identifier(name) {
            let help =
                "use letters, digits and `_`, beginning with a letter: templates say `host.facts.NAME`";
            let message = format!("`{name}` is not a fact's name");
            problems.push(Diagnostic::error(message).at(&member.key).help(help));
        }
        sources.extend(source(name, member, problems).map(|source| (name.clone(), source)));
    }
    sources
}

fn source(name: &str, member: &KeyValue, problems: &mut Problems) -> Option<FactSource> {
    let at = &member.node.at;
    match &member.node.data {
        Data::String(text) => builtin(&Text { value: text.clone(), at: at.clone(), literal: true }, problems),
        Data::Table(table) => {
            let mut reader = TableReader::new(table, at, format!("the fact `{name}`"), problems);
            let (files, command) = (reader.text("files"), reader.text("command"));
            let json = reader.boolean("json");
            let timeout = reader.number("timeout", 1, LONGEST);
            let options = json.is_some() || timeout.is_some();
            let neither = table.keys().all(|key| ["json", "timeout"].contains(&key.as_str()));
            reader.finish();
            match (files, command) {
                (None, Some(command)) => {
                    let (json, timeout) = (json.unwrap_or(false), timeout.unwrap_or(TIMEOUT));
                    shell(command, problems).map(|command| FactSource::Command { command, json, timeout })
                }
                (Some(files), None) if !options => {
                    pattern(files, problems).map(|pattern| FactSource::Files { pattern })
                }
                (None, None) if !neither => None,
                (None, None) => refuse(name, "needs `files` or `command`", member, problems),
                (Some(_), None) => {
                    refuse(name, "has `json` or `timeout`, which only a `command` can have", member, problems)
                }
                (Some(_), Some(_)) => {
                    refuse(name, "has both `files` and `command`: keep one of them", member, problems)
                }
            }
        }
        other => {
            let what = format!("must be a built-in fact's name or a table, not {}", other.kind());
            refuse(name, &what, member, problems)
        }
    }
}

fn refuse(name: &str, what: &str, member: &KeyValue, problems: &mut Problems) -> Option<FactSource> {
    let help = format!(
        "write {name} = \"memory\" (built in: {}), {name} = {{ files = \"/dev/disk/by-id/*\" }} or {name} = {{ command = \"…\" }}",
        Builtin::ALL.map(|(name, _)| name).join(", ")
    );
    let message = format!("the fact `{name}` {what}");
    problems.push(Diagnostic::error(message).at(&member.node.at).help(help));
    None
}

fn builtin(text: &Text, problems: &mut Problems) -> Option<FactSource> {
    let known = Builtin::ALL.iter().find(|(name, _)| *name == text.value);
    if known.is_none() {
        let names = Builtin::ALL.map(|(name, _)| name);
        let help = match nearest(&text.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}; write {{ command = \"…\" }} for a command", listed(names)),
        };
        let message = format!("there is no built-in fact `{}`", text.value);
        problems.push(Diagnostic::error(message).at(&text.at).help(help));
    }
    known.map(|(_, builtin)| FactSource::Builtin(*builtin))
}

fn shell(command: Text, problems: &mut Problems) -> Option<String> {
    if command.value.trim().is_empty() || command.value.contains('\0') {
        problems.push(Diagnostic::error("`command` is empty, or contains a NUL character").at(&command.at));
        return None;
    }
    Some(command.value)
}

/// A pattern that descends no further than it is written: it has no `**`.
fn pattern(text: Text, problems: &mut Problems) -> Option<String> {
    let names: Vec<&str> = text.value.split('/').skip(1).collect();
    let reason = if !text.value.starts_with('/') {
        "must be an absolute path".to_owned()
    } else if names.iter().any(|name| ["", ".", "..", "**"].contains(name) || name.contains('\0')) {
        "must be a path without empty parts, `.`, `..` or `**`".to_owned()
    } else {
        let unsound = |name: &&str| GlobBuilder::new(name).build().err();
        match names.iter().find_map(unsound) {
            Some(error) => format!("is not a pattern: {}", error.kind()),
            None => return Some(text.value),
        }
    };
    problems.push(Diagnostic::error(format!("`files` {reason}")).at(&text.at).help(
        "write it as /dev/disk/by-id/*, where `*` stands for any part of one name, and `?` for one character",
    ));
    None
}
