//! Refuses, before they are parsed, templates whose expressions are nested so deeply that the engine would run out of
//! stack: it bounds brackets and blocks, but not the operators of a chain, of which each holds what is before it.

/// Operators that one expression may chain, over all brackets that it stands in.
const CHAIN: usize = 500;

/// `elif` after `elif`, of which each stands in the one before.
const BRANCHES: usize = 200;

/// Where and how a template is nested too deeply.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut branches = Vec::new();
    let mut rest = text;
    while let Some(start) = next_tag(rest) {
        let tag = &rest[start..];
        rest = match &tag[..2] {
            "{#" => after(tag, "#}"),
            kind => {
                let inside = &tag[2..];
                let end = end_of(inside, if kind == "{{" { "}}" } else { "%}" });
                let at = |what: &str| {
                    let line = 1 + text[..text.len() - tag.len()].matches('\n').count();
                    format!("line {line}: {what}; split it with `set`")
                };
                if depth(&inside[..end]) > CHAIN {
                    return Err(at(&format!("an expression has more than {CHAIN} operators")));
                }
                if kind == "{%" && !branch(&mut branches, word(&inside[..end])) {
                    return Err(at(&format!("an `if` has more than {BRANCHES} times `elif`")));
                }
                if kind == "{%" && word(&inside[..end]) == "raw" {
                    end_of_raw(inside)
                } else {
                    &inside[end..]
                }
            }
        };
    }
    Ok(())
}

/// Where the next tag begins. One pass for all kinds: a search for each would read to the end of the text for every tag.
fn next_tag(text: &str) -> Option<usize> {
    let kind = |at: usize| text.as_bytes().get(at + 1);
    text.match_indices('{').map(|(at, _)| at).find(|at| matches!(kind(*at), Some(b'{' | b'%' | b'#')))
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

/// The first word of a tag.
fn word(tag: &str) -> &str {
    let tag = tag.trim_start_matches(['-', '+']).trim_start();
    &tag[..tag.find(|c: char| !c.is_alphanumeric()).unwrap_or(tag.len())]
}

/// Counts the branches of the `if`s that are open; whether there are not too many.
fn branch(open: &mut Vec<usize>, word: &str) -> bool {
    match (word, open.last_mut()) {
        ("if", _) => open.push(0),
        ("endif", _) => drop(open.pop()),
        ("elif", Some(count)) => {
            *count += 1;
            return *count <= BRANCHES;
        }
        _ => {}
    }
    true
}

/// What follows `{% raw %}`, from its end on.
fn end_of_raw(text: &str) -> &str {
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        rest = &rest[at + 2..];
        if word(rest) == "endraw" {
            return rest;
        }
    }
    ""
}

/// Where a tag ends, which a string in it does not do.
fn end_of(tag: &str, end: &str) -> usize {
    let mut at = 0;
    while let Some(c) = tag[at..].chars().next() {
        if tag[at..].starts_with(end) {
            return at;
        }
        at += if c == '"' || c == '\'' { string(&tag[at..], c) } else { c.len_utf8() };
    }
    tag.len()
}

/// How long the string is that a text begins with.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How deep the expressions of a tag are: a bracket is as deep as its deepest part, and each operator adds a level.
fn depth(tag: &str) -> usize {
    // For each open bracket, its deepest part and the depth of the present one.
    let mut open: Vec<(usize, usize)> = vec![(0, 0)];
    let mut at = 0;
    while let Some(c) = tag[at..].chars().next() {
        let mut length = c.len_utf8();
        let (deepest, present) = open.last_mut().map_or((0, 0), |level| *level);
        let level = match c {
            '"' | '\'' => {
                length = string(&tag[at..], c);
                (deepest, present)
            }
            '(' | '[' | '{' => {
                open.push((0, 0));
                at += length;
                continue;
            }
            ')' | ']' | '}' if open.len() > 1 => {
                open.pop();
                let inner = deepest.max(present) + 1;
                let (deepest, present) = open.last().copied().unwrap_or_default();
                // A call or a subscript holds what is before it, and the bracket as well.
                (deepest, present + inner)
            }
            ',' => (deepest.max(present), 0),
            c if c.is_alphanumeric() || c == '_' => {
                let rest = &tag[at..];
                length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let operator = ["not", "and", "or", "in", "is", "if", "else"].contains(&&rest[..length]);
                (deepest, present + usize::from(operator))
            }
            c if c.is_whitespace() => (deepest, present),
            _ => (deepest, present + 1),
        };
        if let Some(last) = open.last_mut() {
            *last = level;
        }
        at += length;
    }
    open.into_iter().map(|(deepest, present)| deepest.max(present)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_is_a_level_and_each_comma_begins_anew() {
        assert_eq!(depth("1 + 2 + 3"), 2);
        assert_eq!(depth("[1 + 2, 3 + 4 + 5, 6]"), 3);
        assert_eq!(depth("a.b | c(d + e) and not f"), 6);
        assert_eq!(depth("'+ + +' ~ \"\\\"+\""), 1);
        assert_eq!(depth("((((1))))"), 4);
        assert_eq!(depth("(1 + 1) + 1 + (1 + 1 + 1)"), 7);
        assert_eq!(depth("(((1"), 0);
    }

    #[test]
    fn what_is_not_evaluated_does_not_count() {
        let chain = "1".to_owned() + &"+1".repeat(CHAIN + 1);
        for text in
            [chain.clone(), format!("{{# {chain} #}}"), format!("{{% raw %}}{{{{ {chain} }}}}{{% endraw %}}")]
        {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        assert_eq!(check(&format!("{{{{ '{chain} }}}}' }}}} {{{{ 1 + 1 }}}}")), Ok(()));
        let checked = check(&format!("a\n{{% raw %}}{{{{{{% endraw %}}\n{{% if {chain} %}}"));
        let message = "line 3: an expression has more than 500 operators; split it with `set`";
        assert_eq!(checked, Err(message.to_owned()));
    }

    #[test]
    fn the_time_grows_with_the_length_only() {
        let time = |tags: usize| {
            let text = "{% if a %}x{% endif %}".repeat(tags);
            let start = std::time::Instant::now();
            assert_eq!(check(&text), Ok(()));
            start.elapsed()
        };
        let _ = time(1_000);
        assert!(time(100_000) < time(1_000) * 1_000, "for a hundred times the text");
    }

    #[test]
    fn branches_are_counted_for_each_if() {
        let branches = |count| format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(count));
        assert_eq!(check(&branches(BRANCHES).repeat(3)), Ok(()));
        assert!(check(&branches(BRANCHES + 1)).is_err_and(|message| message.contains("`elif`")));
    }
}
