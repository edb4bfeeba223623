//! The interpreter's messages in an author's words.

/// What a value that can no longer be changed is told as.
pub(super) const CANNOT_CHANGE: &str = "the value can no longer be changed";

/// What the assignment to an attribute is told as.
pub(super) const CANNOT_BE_SET: &str = "an attribute cannot be set by code";

/// One of the interpreter's messages.
pub(super) fn plain(message: &str) -> String {
    let message = message.lines().next().unwrap_or("the evaluation failed");
    names(message)
        .or_else(|| operation(message))
        .or_else(|| arguments(message))
        .or_else(|| values(message))
        .unwrap_or_else(|| lower(message))
}

fn names(message: &str) -> Option<String> {
    if let Some(name) = between(message, "Variable `", "` not found") {
        return Some(format!("`{name}` is not defined"));
    }
    if let Some((kind, name)) =
        between(message, "Object of type `", "`").zip(between(message, "has no attribute `", "`"))
    {
        return Some(format!("a value of the type `{kind}` has no `{name}`"));
    }
    if let Some(name) = between(message, "Local variable `", "` referenced before assignment") {
        return Some(format!("`{name}` is used before it is set"));
    }
    between(message, "Module has no symbol `", "`").map(|name| format!("the file defines no `{name}`"))
}

fn operation(message: &str) -> Option<String> {
    let operation = between(message, "Operation `", "` not supported ")?;
    if message.starts_with("Operation `.") && message.contains("=` not supported on type `component`") {
        return Some(CANNOT_BE_SET.to_owned());
    }
    if let Some((left, right)) = between(message, "for types `", "`").zip(between(message, "and `", "`")) {
        let (left, right) = (article(left), article(right));
        return Some(match operation {
            "cmp()" => format!("{left} and {right} cannot be compared"),
            "in" => format!("`in` cannot look for {left} in {right}"),
            "[]" => format!("{left} has no items that {right} could choose"),
            operation => format!("`{operation}` cannot be used with {left} and {right}"),
        });
    }
    let kind = article(between(message, "on type `", "`")?);
    Some(match operation {
        "(iter)" => format!("a list is needed here, not {kind}"),
        "call()" => format!("{kind} cannot be called"),
        "[]" => format!("{kind} has no items"),
        "[::]" => format!("{kind} cannot be sliced"),
        operation => match operation.strip_prefix("format(").and_then(|rest| rest.strip_suffix(')')) {
            Some(place) => format!("`{place}` in a string cannot be filled with {kind}"),
            None => format!("`{operation}` cannot be used with {kind}"),
        },
    })
}

/// One of the interpreter's types, or several. As an annotation, `string` is called `str`.
fn kind(name: &str) -> String {
    let one = |name: &str| if name == "str" { "string".to_owned() } else { name.to_owned() };
    name.split(" | ").map(one).collect::<Vec<_>>().join(" | ")
}

/// A value of one of the interpreter's types.
fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} `{kind}`", if vowel { "an" } else { "a" })
}

fn arguments(message: &str) -> Option<String> {
    if let Some(names) = between(message, "Found `", "` extra named parameter(s) for call to ") {
        let function = message.rsplit(' ').next().unwrap_or_default();
        return Some(format!("`{function}` takes no argument `{names}`"));
    }
    if let Some(count) = between(message, "Found ", " extra positional argument(s) for call to ") {
        let function = message.rsplit(' ').next().unwrap_or_default();
        let arguments = if count == "1" { "argument" } else { "arguments" };
        return Some(format!("`{function}` is given {count} {arguments} too many"));
    }
    if let Some(wanted) = between(message, "` does not match the type annotation `", "` for ") {
        let found = kind(between(message, "` of type `", "` does not match")?);
        let what = message.rsplit_once("` for ").map_or("", |(_, what)| what);
        // A variable is told as a return type, too.
        let what = if what == "return type" { "the value" } else { &format!("the {what}") };
        return Some(format!("{what} must have the type `{}`, not `{found}`", kind(wanted)));
    }
    if let Some((name, wanted)) = message
        .strip_prefix("Error unpacking value for parameter `")
        .and_then(|rest| rest.split_once("` of type `"))
    {
        let wanted = kind(wanted.trim_end_matches('`'));
        return Some(format!("the value of the argument `{name}` does not have the type `{wanted}`"));
    }
    if let Some(name) = between(message, "Type of parameter `", "` doesn't match") {
        let (wanted, found) =
            between(message, "expected `", "`").zip(between(message, "actual `", " (repr"))?;
        let (wanted, found) = (kind(wanted), kind(found));
        return Some(format!("the argument `{name}` must have the type `{wanted}`, not `{found}`"));
    }
    let begins = ["Type of parameters mismatch, expected `", "Expected `"];
    let wanted = begins.iter().find_map(|begin| message.strip_prefix(begin)?.split('`').next());
    let found = between(message, "actual `", " (repr").or_else(|| between(message, "but got `", " (repr"));
    if let Some((wanted, found)) = wanted.zip(found) {
        let (wanted, found) = (kind(wanted), kind(found));
        return Some(format!("a value of the type `{wanted}` is needed here, not `{found}`"));
    }
    if let Some((name, function)) =
        between(message, "Missing parameter `", "`").zip(between(message, "for call to `", "`"))
    {
        return Some(format!("`{function}` needs the argument `{name}`"));
    }
    let (wanted, given) = message
        .strip_prefix("Wrong number of positional arguments, expected ")
        .and_then(|rest| rest.split_once(", got "))?;
    Some(format!("the number of arguments without a name is {given}, and should be {wanted}"))
}

fn values(message: &str) -> Option<String> {
    if let Some(index) = between(message, "Index `", "` is out of bound") {
        return Some(format!("there is no item {index}: there are fewer"));
    }
    if let Some(key) = between(message, "Key `", "` was not found") {
        return Some(format!("there is no key `{key}`"));
    }
    if let Some((items, names)) =
        message.strip_prefix("Unpacked ").and_then(|rest| rest.split_once(" values but expected "))
    {
        let items = if items == "1" { "1 item".to_owned() } else { format!("{items} items") };
        return Some(format!("{items} cannot be taken apart into {names} names"));
    }
    if let Some(text) = not_an_integer(message) {
        return Some(text);
    }
    if let Some((part, text)) =
        message.strip_prefix("Substring '").and_then(|rest| rest.split_once("' not found in '"))
    {
        return Some(format!("the string '{part}' is not in '{text}"));
    }
    if let Some(kind) = between(message, "Value of type `", "` is not hashable") {
        return Some(format!("a `{kind}` cannot be a key of a dict"));
    }
    let plain = match message {
        "Immutable" => CANNOT_CHANGE,
        "This operation mutates an iterable for an iterator while iterating." => {
            "a list or a dict cannot be changed while a loop goes through it"
        }
        "Not enough arguments for format string" => {
            "the string has more places with `%` than there are values"
        }
        "Too many arguments for format string" => "there are more values than the string has places with `%`",
        _ => return None,
    };
    Some(plain.to_owned())
}

/// The message of `int()`, which the interpreter takes for one of its parser.
pub(super) fn not_an_integer(message: &str) -> Option<String> {
    between(message, "Cannot parse `", "` as an integer")
        .map(|text| format!("`{text}` is not a whole number"))
}

/// What stands between two words, somewhere in a text.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(&text[start..start + length])
}

/// With a lower-case letter at its begin, unless it begins with an abbreviation.
pub(super) fn lower(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if !rest.as_str().starts_with(|c: char| c.is_uppercase()) => {
            first.to_lowercase().chain(rest).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use starlark::environment::{Globals, Module};
    use starlark::eval::Evaluator;

    use super::*;
    use crate::starlark::syntax;

    /// The messages are those of the interpreter itself, which may change with it.
    #[test]
    fn an_author_is_told_in_his_own_words() {
        for (code, said) in [
            ("'a' - 1", "`-` cannot be used with a `string` and an `int`"),
            ("'a' < 1", "a `string` and an `int` cannot be compared"),
            ("'a' in 1", "`in` cannot look for a `string` in an `int`"),
            ("-'a'", "`-` cannot be used with a `string`"),
            ("len(1)", "`len()` cannot be used with an `int`"),
            ("1()", "an `int` cannot be called"),
            ("1[0]", "an `int` has no items that an `int` could choose"),
            ("[x for x in 1]", "a list is needed here, not an `int`"),
            ("'%d' % 'a'", "`%d` in a string cannot be filled with a `string`"),
            ("'%s %s' % 'a'", "the string has more places with `%` than there are values"),
            ("'a' % 'a'", "there are more values than the string has places with `%`"),
            ("[1][7]", "there is no item 7: there are fewer"),
            ("'x'[7]", "there is no item 7: there are fewer"),
            ("'x'.index('nope')", "the string 'nope' is not in 'x'"),
            ("[1]['a']", "a value of the type `int` is needed here, not `string`"),
            ("3 in 'abc'", "a value of the type `string` is needed here, not `int`"),
            ("'a'.join(['b', 3])", "the argument `to_join` must have the type `string`, not `int`"),
            ("x: int = 'a'", "the value must have the type `int`, not `string`"),
            ("def f() -> str:\n  return 1\nf()", "the value must have the type `string`, not `int`"),
            (
                "def f(x: int | None):\n  pass\nf('a')",
                "the argument `x` must have the type `None | int`, not `string`",
            ),
            ("{}['a']", "there is no key `\"a\"`"),
            ("len(1, 2)", "the number of arguments without a name is 2, and should be 1"),
            ("{[]: 1}", "a `list` cannot be a key of a dict"),
            ("'a'.upper(1)", "the number of arguments without a name is 1, and should be 0"),
            ("a, b = [1]", "1 item cannot be taken apart into 2 names"),
            ("a, b = (1, 2, 3)", "3 items cannot be taken apart into 2 names"),
            ("def f(x):\n  pass\nf()", "`f` needs the argument `x`"),
            ("def f(x):\n  pass\nf(1, 2)", "`f` is given 1 argument too many"),
            ("def f(x):\n  pass\nf(1, y = 2)", "`f` takes no argument `y`"),
            ("for x in y:\n  y.append(x)", "a list or a dict cannot be changed while a loop goes through it"),
        ] {
            let code = format!("y = [1]\n{code}\n");
            let message = Module::with_temp_heap(|module| {
                let mut eval = Evaluator::new(&module);
                let error = eval.eval_module(syntax::parse("x.star", &code).unwrap(), &Globals::standard());
                error.err().map(|error| error.without_diagnostic().to_string().replace("x.star.", ""))
            });
            assert_eq!(plain(&message.unwrap()), said, "{code}");
        }
    }
}
