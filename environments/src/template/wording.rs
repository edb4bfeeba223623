//! The engine's errors in an author's words.

use minijinja::{Error, ErrorKind};

use crate::text::diagnostic::Diagnostic;

/// The engine's words for `in` with a number on its right side, or the like.
pub(super) const NOT_CONTAINING: &str = "cannot perform a containment check on this value";

/// An error that has no better explanation, without its place.
pub(super) fn diagnostic(error: &Error) -> Diagnostic {
    let detail = error.detail().unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::InvalidOperation => operation(detail),
        ErrorKind::SyntaxError => Some(format!("not a valid template: {}", syntax(detail))),
        ErrorKind::CannotUnpack => Some(unpacked(detail)),
        ErrorKind::UnknownFilter => Some(
            between(detail, "filter ", " is unknown")
                .map_or_else(|| "there is no filter of this name".to_owned(), |name| none("filter", name)),
        ),
        ErrorKind::UnknownTest => Some(
            between(detail, "test ", " is unknown")
                .map_or_else(|| "there is no test of this name".to_owned(), |name| none("test", name)),
        ),
        ErrorKind::UnknownFunction => between(detail, "", " is unknown").map(|name| none("function", name)),
        ErrorKind::UnknownMethod => detail
            .split_once(" has no method named ")
            .map(|(kind, name)| format!("{} has no method `{name}`", article(kind))),
        ErrorKind::MissingArgument if detail.is_empty() => Some("an argument is missing".to_owned()),
        ErrorKind::TooManyArguments => detail
            .split_once("unknown keyword argument ")
            .map(|(_, name)| format!("there is no argument `{}`", name.trim_matches(['`', '\'']))),
        _ => None,
    };
    let diagnostic = Diagnostic::error(message.unwrap_or_else(|| said(error, detail)));
    match help(error, detail) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn help(error: &Error, detail: &str) -> Option<&'static str> {
    let (operator, left, right) = operator(detail).filter(|_| error.kind() == ErrorKind::InvalidOperation)?;
    match (operator, left, right) {
        ("%", "string", _) => Some("use the filter: `'%s' | format(x)`"),
        ("+", "string", "number") | ("+", "number", "string") => {
            Some("`~` joins strings and numbers to a string; `x | int` makes a number of a string")
        }
        (_, "string", "number" | "string") | (_, "number", "string") => {
            Some("`x | int` makes a number of a string")
        }
        _ => None,
    }
}

/// The operator and the kinds of both sides.
fn operator(detail: &str) -> Option<(&str, &str, &str)> {
    let (operator, kinds) = between_rest(detail, "tried to use ", " operator on unsupported types ")?;
    let (left, right) = kinds.split_once(" and ")?;
    Some((operator, left, right))
}

fn operation(detail: &str) -> Option<String> {
    if let Some((operator, left, right)) = operator(detail) {
        return Some(format!("`{operator}` cannot be used with {} and {}", article(left), article(right)));
    }
    if let Some((kind, target)) = between_rest(detail, "cannot convert ", " to ") {
        return Some(format!("{} is needed here, not {}", wanted(target), article(kind)));
    }
    let about = |begin: &str, end: &str| between(detail, begin, end).map(article);
    if let Some(kind) = about("value of type ", " cannot be sliced") {
        return Some(format!("{kind} cannot be sliced: a list or a string is needed"));
    }
    if let Some(kind) = about("value of type ", " is not callable") {
        return Some(format!("{kind} cannot be called"));
    }
    if let Some(kind) = about("", " is not iterable") {
        return Some(format!("a list is needed here, not {kind}"));
    }
    if let Some(kind) = about("cannot round value (", ")") {
        return Some(format!("{kind} cannot be rounded"));
    }
    if let Some(kind) = detail.strip_prefix("can only sum numbers, got ") {
        return Some(format!("only numbers can be added up, not {}", article(kind)));
    }
    if let Some(kind) = detail.strip_prefix("cannot join value of type ") {
        return Some(format!("`join` needs a list, not {}", article(kind)));
    }
    if let Some(kind) = detail.strip_prefix("cannot calculate length of value of type ") {
        return Some(format!("{} has no length", article(kind)));
    }
    if let Some(kind) = detail.strip_prefix("cannot reverse values of type ") {
        return Some(format!("{} cannot be reversed", article(kind)));
    }
    if let Some(kind) = detail.strip_prefix("can only assign to namespaces, not ") {
        // The engine adds the name of what is undefined.
        let kind = kind.split(" (").next().unwrap_or(kind);
        return Some(format!("only a member of a `namespace()` can be set, not one of {}", article(kind)));
    }
    if let Some(calculation) = detail.strip_prefix("unable to calculate ") {
        return Some(format!("`{calculation}` cannot be calculated"));
    }
    let plain = match detail {
        "" => "only a number can have a `-` before it",
        NOT_CONTAINING => "`in` needs a list, a map or a string on its right side",
        "cannot get first item from value" => "`first` needs a list, a map or a string",
        "cannot get last item from value" => "`last` needs a list, a map or a string",
        "cannot get absolute value" => "`abs` needs a number",
        "cannot convert value to list" => "a list is needed here",
        "cannot convert value into pairs" | "cannot convert value into pair list" => "a map is needed here",
        "recursion limit exceeded" => "macros, includes or loops are nested too deeply",
        _ => return None,
    };
    Some(plain.to_owned())
}

fn unpacked(detail: &str) -> String {
    let length = between(detail, "sequence of wrong length (expected ", ")");
    match length.and_then(|length| length.split_once(", got ")) {
        Some((names, "1")) => format!("1 item cannot be taken apart into {names} names"),
        Some((names, items)) => format!("{items} items cannot be taken apart into {names} names"),
        None => "only a list can be taken apart into several names".to_owned(),
    }
}

/// The engine's names for what it found and what it wanted, as they are written.
fn syntax(detail: &str) -> String {
    if detail.starts_with("expected call expression in call block") {
        return "`{% call %}` needs the call of a macro".to_owned();
    }
    let found = detail.strip_prefix("unexpected ").and_then(|rest| rest.split_once(", expected "));
    match found {
        Some((found, wanted)) => format!("{} is expected here, not {}", token(wanted), token(found)),
        None => match detail.strip_prefix("unexpected ") {
            Some(found) => format!("unexpected {}", token(found)),
            None => detail.to_owned(),
        },
    }
}

fn token(name: &str) -> &str {
    match name {
        "end of variable block" => "`}}`",
        "start of variable block" => "`{{`",
        "end of block" => "`%}`",
        "start of block" => "`{%`",
        "identifier" => "a name",
        "string" => "a string",
        "integer" | "float" => "a number",
        other => other,
    }
}

/// A template that is not there, as it was named.
pub(super) fn no_template(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    let name = between(detail, "tried to include non-existing template '", "'")
        .or_else(|| between(detail, "template \"", "\" does not exist"));
    let list = detail.strip_prefix("tried to include one of multiple templates, none of which existed ");
    match (name, list) {
        (Some(name), _) => none("template", name),
        (None, Some(list)) => format!("there is none of the templates {list}"),
        (None, None) => said(error, detail),
    }
}

fn none(what: &str, name: &str) -> String {
    format!("there is no {what} `{name}`")
}

/// A value of one of the engine's kinds.
fn article(kind: &str) -> String {
    match kind {
        "sequence" | "iterable" => "a list".to_owned(),
        "bool" => "a boolean".to_owned(),
        "none" => "none".to_owned(),
        "undefined" => "something undefined".to_owned(),
        "plain object" => "an object".to_owned(),
        "bytes" => "bytes".to_owned(),
        other => format!("a {other}"),
    }
}

/// One of Rust's types, as an author would say it.
fn wanted(target: &str) -> String {
    match target {
        "isize" | "usize" | "i128" | "i64" | "i32" | "i16" | "i8" | "u128" | "u64" | "u32" | "u16" | "u8"
        | "integer" => "a whole number".to_owned(),
        "f64" | "f32" | "float" => "a number".to_owned(),
        "bool" => "true or false".to_owned(),
        "String" | "str" | "&str" | "string" | "Cow<str>" => "a string".to_owned(),
        "char" => "a single character".to_owned(),
        other => article(other),
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(begin)?.strip_suffix(end)
}

/// What stands between two words, and what follows.
fn between_rest<'a>(text: &'a str, begin: &str, middle: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(begin)?.split_once(middle)
}

fn said(error: &Error, detail: &str) -> String {
    match (error.kind(), detail) {
        (ErrorKind::InvalidOperation, detail) => detail.to_owned(),
        (kind, "") => kind.to_string(),
        (kind, detail) => format!("{kind}: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use minijinja::Value;

    use super::*;

    /// The messages are those of the engine itself, which may change with it.
    #[test]
    fn an_author_is_told_in_his_own_words() {
        for (text, said) in [
            ("{{ 'a' - 1 }}", "`-` cannot be used with a string and a number"),
            ("{{ [] + 1 }}", "`+` cannot be used with a list and a number"),
            ("{{ range('a') }}", "a whole number is needed here, not a string"),
            ("{{ 1[1:] }}", "a number cannot be sliced: a list or a string is needed"),
            ("{{ 'a'[:'b'] }}", "a whole number is needed here, not a string"),
            ("{% for x in 1 %}{% endfor %}", "a list is needed here, not a number"),
            ("{% set a, b = 1 %}", "only a list can be taken apart into several names"),
            ("{% set a, b = [1] %}", "1 item cannot be taken apart into 2 names"),
            ("{% set a, b = [1, 2, 3] %}", "3 items cannot be taken apart into 2 names"),
            ("{{ -'a' }}", "only a number can have a `-` before it"),
            ("{{ 1 | first }}", "`first` needs a list, a map or a string"),
            ("{{ 1 | last }}", "`last` needs a list, a map or a string"),
            ("{{ [1] | select('nothing') | list }}", "there is no test of this name"),
            ("{{ [1] | map('nothing') | list }}", "there is no filter of this name"),
            ("{% call 1 %}{% endcall %}", "not a valid template: `{% call %}` needs the call of a macro"),
            (
                "{% set nothing.b = 1 %}",
                "only a member of a `namespace()` can be set, not one of something undefined",
            ),
            ("{{ 'a' in 1 }}", "`in` needs a list, a map or a string on its right side"),
            ("{{ 1 / 0 }}", "`1 / 0` cannot be calculated"),
            ("{{ 'a' | round }}", "a string cannot be rounded"),
            ("{{ 'a' | abs }}", "`abs` needs a number"),
            ("{{ ['a'] | sum }}", "only numbers can be added up, not a string"),
            ("{{ 1 | nothing }}", "there is no filter `nothing`"),
            ("{{ 1 is nothing }}", "there is no test `nothing`"),
            ("{{ nothing() }}", "there is no function `nothing`"),
            ("{{ 'a'.nothing() }}", "a string has no method `nothing`"),
            ("{{ 1() }}", "a number cannot be called"),
            ("{% set a.b = 1 %}", "only a member of a `namespace()` can be set, not one of a map"),
            ("{{ 1 2 }}", "not a valid template: `}}` is expected here, not a number"),
            ("{% if 1 x %}", "not a valid template: `%}` is expected here, not a name"),
            ("{% for 1 in x %}", "not a valid template: a name is expected here, not a number"),
            ("{% for x in %}", "not a valid template: unexpected `%}`"),
        ] {
            let engine = crate::template::engine();
            let scope = Value::from_pairs([("a", Value::from_pairs([("c", 1)]))]);
            let error = engine.render_str(text, scope).expect_err(text);
            assert_eq!(diagnostic(&error).message, said, "{text}");
        }
    }
}
