//! "`x` is undefined", with the names that exist where the path to it breaks off.

use std::collections::BTreeSet;

use minijinja::machinery::ast::Expr;
use minijinja::machinery::parse_expr;
use minijinja::value::{Value, ValueKind};

use crate::template::address::{Address, NetLoc};
use crate::text::diagnostic::{Diagnostic, listed, nearest};
use crate::text::source::At;

/// What a path of names leads to.
enum FollowedPath {
    /// A value, and the path to it as it is written.
    Found(Value, String),
    /// Nothing, and what there is instead.
    Missing(String),
}

/// The mistake of an engine error, which names the expression in its detail or else stands at it. `set` are the names
/// that the template itself sets.
pub(super) fn diagnostic(detail: Option<&str>, at: &At, scope: &Value, set: &BTreeSet<String>) -> Diagnostic {
    // The engine writes `...` for keys that are computed, and `(...)` for other parts that it cannot name.
    match detail.and_then(|detail| detail.split('`').nth(1)).filter(|path| !path.contains("...")) {
        Some(path) => undefined(path.trim(), scope, set),
        None => undefined_at(at, scope, set),
    }
}

/// What is undefined at a place: the expression there or, if the place is the name of a filter, what the filter was
/// given.
fn undefined_at(at: &At, scope: &Value, set: &BTreeSet<String>) -> Diagnostic {
    let text = at.source.text();
    let part = text.get(at.span.clone()).unwrap_or("a value").trim();
    if text.get(..at.span.start).is_some_and(|before| before.trim_end().ends_with('|')) {
        let filter = part.split('(').next().unwrap_or(part).trim_end();
        return Diagnostic::error(format!(
            "the value given to `{filter}` is undefined, or contains something undefined"
        ));
    }
    undefined(part, scope, set)
}

/// An expression that is undefined. Names are suggested only if it is a path of names that begins in the scope.
pub(super) fn undefined(path: &str, scope: &Value, set: &BTreeSet<String>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("`{path}` is undefined"));
    let end = parse_expr(path).ok().and_then(|path| follow(&path, scope, set));
    match end {
        Some(FollowedPath::Missing(help)) => diagnostic.help(help),
        Some(FollowedPath::Found(..)) | None => diagnostic,
    }
}

fn follow(path: &Expr<'_>, scope: &Value, set: &BTreeSet<String>) -> Option<FollowedPath> {
    let (owner, constant) = match path {
        Expr::Var(name) if set.contains(name.id) => return None,
        Expr::Var(name) => return Some(step(scope, "", name.id)),
        Expr::GetAttr(member) => (&member.expr, Value::from(member.name)),
        Expr::GetItem(item) => match &item.subscript_expr {
            Expr::Const(constant) => (&item.expr, constant.value.clone()),
            _ => return None,
        },
        _ => return None,
    };
    let (parent, before) = match follow(owner, scope, set)? {
        FollowedPath::Found(value, before) => (value, before),
        missing @ FollowedPath::Missing(_) => return Some(missing),
    };
    match (constant.as_str(), constant.as_usize()) {
        (Some(name), _) => Some(step(&parent, &before, name)),
        (None, Some(index)) => match parent.get_item_by_index(index) {
            Ok(item) if !item.is_undefined() => Some(FollowedPath::Found(item, format!("{before}[{index}]"))),
            _ => {
                let help = match parent.len()? {
                    0 => format!("`{before}` is empty"),
                    1 => format!("`{before}` has 1 item: `{before}[0]`"),
                    count => {
                        format!("`{before}` has {count} items: `{before}[0]` to `{before}[{}]`", count - 1)
                    }
                };
                Some(FollowedPath::Missing(help))
            }
        },
        (None, None) => None,
    }
}

/// One name further.
fn step(parent: &Value, before: &str, name: &str) -> FollowedPath {
    let path = if before.is_empty() { name.to_owned() } else { format!("{before}.{name}") };
    match parent.get_attr(name) {
        Ok(value) if !value.is_undefined() && value.kind() != ValueKind::Invalid => {
            FollowedPath::Found(value, path)
        }
        _ => FollowedPath::Missing(there_is(name, before, parent)),
    }
}

fn there_is(missing: &str, of: &str, parent: &Value) -> String {
    let mut names: Vec<String> = match parent.kind() {
        ValueKind::Map => parent.try_iter().into_iter().flatten().map(|key| key.to_string()).collect(),
        _ if parent.downcast_object_ref::<Address>().is_some() => {
            ["connect", "listen", "listen_v6"].map(str::to_owned).to_vec()
        }
        _ if parent.downcast_object_ref::<NetLoc>().is_some() => ["host", "port"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    names.sort();
    if let Some(near) = nearest(missing, names.iter().map(String::as_str)) {
        let dot = if of.is_empty() { "" } else { "." };
        return format!("did you mean `{of}{dot}{near}`?");
    }
    match (names.is_empty(), of.is_empty()) {
        (true, true) => "nothing is defined here".to_owned(),
        (true, false) => format!("`{of}` has no members"),
        (false, true) => format!("there are {}", listed(names.iter().map(String::as_str))),
        (false, false) => format!("`{of}` has {}", listed(names.iter().map(String::as_str))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_suggested_only_from_where_the_path_breaks_off() {
        let db = Value::from_pairs([("port", 1)]);
        let (list, none) = (Value::from(vec![1]), Value::from(Vec::<i64>::new()));
        let component = [("pat", Value::from("x")), ("list", list), ("db", db), ("none", none)];
        let scope = Value::from_pairs([("component", Value::from_pairs(component))]);
        for (path, set, help) in [
            ("compnent.pat", "", Some("did you mean `component`?")),
            ("component.patt", "", Some("did you mean `component.pat`?")),
            ("component.db.prot", "", Some("did you mean `component.db.port`?")),
            ("component['db']['prot']", "", Some("did you mean `component.db.port`?")),
            ("component.db.zzzzzz", "", Some("`component.db` has `port`")),
            ("component.list[9]", "", Some("`component.list` has 1 item: `component.list[0]`")),
            ("component.none[0]", "", Some("`component.none` is empty")),
            ("component.list[0].x", "", Some("`component.list[0]` has no members")),
            ("\"abc\"[component.pat]", "", None),
            ("component.db[component.pat]", "", None),
            ("item.prot", "item", None),
            ("component.prot", "component", None),
            ("(component.db or {}).prot", "", None),
        ] {
            let set: BTreeSet<String> = [set.to_owned()].into();
            assert_eq!(undefined(path, &scope, &set).help.as_deref(), help, "{path}");
        }
    }
}
