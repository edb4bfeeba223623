//! Where the arguments of a call stand in the file, so that a mistake in one of them is shown there.

use std::ops::Range;

use starlark::eval::Evaluator;

use crate::source::{At, Source};
use crate::starlark::lex::{Kind, tokens};
use crate::starlark::sources::Sources;

/// A call as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The whole call.
    pub(crate) at: At,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
struct Argument {
    /// Empty for a positional one.
    name: Range<usize>,
    value: Range<usize>,
}

impl Site {
    /// The call that is being made.
    pub(crate) fn of(eval: &Evaluator<'_, '_, '_>, sources: &Sources) -> Site {
        match eval.call_stack_top_location() {
            Some(span) => Site::new(sources.at(&span)),
            None => Site::new(At::new(&Source::new("", ""), 0..0)),
        }
    }

    /// A call at a known place.
    pub(crate) fn new(at: At) -> Site {
        let arguments = arguments(&at);
        Site { at, arguments }
    }

    /// The place of a positional argument; of the call, if it is not written there.
    pub(crate) fn positional(&self, index: usize) -> At {
        let found = self.arguments.iter().filter(|argument| argument.name.is_empty()).nth(index);
        self.part(found.map(|argument| &argument.value))
    }

    /// The place of a named argument's value.
    pub(crate) fn value(&self, name: &str) -> At {
        self.part(self.named(name).map(|argument| &argument.value))
    }

    /// The place of a named argument's name.
    pub(crate) fn key(&self, name: &str) -> At {
        self.part(self.named(name).map(|argument| &argument.name))
    }

    /// The place of an argument that may be given either way.
    pub(crate) fn either(&self, index: usize, name: &str) -> At {
        match self.named(name) {
            Some(argument) => self.part(Some(&argument.value)),
            None => self.positional(index),
        }
    }

    fn named(&self, name: &str) -> Option<&Argument> {
        let text = self.at.source.text();
        self.arguments.iter().find(|argument| text.get(argument.name.clone()) == Some(name))
    }

    fn part(&self, part: Option<&Range<usize>>) -> At {
        part.map_or_else(|| self.at.clone(), |range| At::new(&self.at.source, range.clone()))
    }
}

/// The arguments in the last brackets of an expression.
fn arguments(at: &At) -> Vec<Argument> {
    let base = at.span.start;
    let Some(text) = at.source.text().get(at.span.clone()) else { return Vec::new() };
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut current: Vec<(Kind, Range<usize>)> = Vec::new();
    for (kind, range) in tokens(text) {
        match kind {
            Kind::Open => {
                depth += 1;
                if depth == 1 {
                    found.clear();
                    current.clear();
                    continue;
                }
            }
            Kind::Close => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    found.extend(argument(text, &current, base));
                    current.clear();
                    continue;
                }
            }
            Kind::Comma if depth == 1 => {
                found.extend(argument(text, &current, base));
                current.clear();
                continue;
            }
            Kind::Newline => continue,
            _ => {}
        }
        if depth > 0 {
            current.push((kind, range));
        }
    }
    found
}

fn argument(text: &str, tokens: &[(Kind, Range<usize>)], base: usize) -> Option<Argument> {
    let shift = |range: &Range<usize>| range.start + base..range.end + base;
    let (first, last) = (tokens.first()?, tokens.last()?);
    if let [(Kind::Word, name), (Kind::Operator, equals), value, ..] = tokens
        && &text[equals.clone()] == "="
    {
        return Some(Argument { name: shift(name), value: shift(&(value.1.start..last.1.end)) });
    }
    let value = shift(&(first.1.start..last.1.end));
    Some(Argument { name: value.start..value.start, value })
}

/// The place of a key of a dictionary, as it is written in a part of a file.
pub(crate) fn key_in(at: &At, key: &str) -> At {
    let base = at.span.start;
    let text = at.source.text().get(at.span.clone()).unwrap_or_default();
    let written = |range: &Range<usize>| text[range.clone()].trim_matches(['"', '\'']) == key;
    let found = tokens(text).find(|(kind, range)| *kind == Kind::Text && written(range));
    found.map_or_else(|| at.clone(), |(_, range)| At::new(&at.source, range.start + base..range.end + base))
}

/// The place of what a global is set to, at the top of a file; of its beginning, if it is set otherwise.
pub(crate) fn global(source: &std::sync::Arc<Source>, name: &str) -> At {
    let mut depth = 0_usize;
    let mut line: Vec<(Kind, Range<usize>)> = Vec::new();
    for (kind, range) in tokens(source.text()).chain([(Kind::Newline, 0..0)]) {
        match kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Newline if depth == 0 => {
                if let Some(at) = assigned(source, name, &line) {
                    return at;
                }
                line.clear();
                continue;
            }
            Kind::Newline => continue,
            _ => {}
        }
        line.push((kind, range));
    }
    At::new(source, 0..0)
}

fn assigned(source: &std::sync::Arc<Source>, name: &str, line: &[(Kind, Range<usize>)]) -> Option<At> {
    let word = |range: &Range<usize>| &source.text()[range.clone()];
    match line {
        [(Kind::Word, first), (Kind::Operator, equals), value, ..]
            if word(first) == name && word(equals) == "=" =>
        {
            Some(At::new(source, value.1.start..line.last()?.1.end))
        }
        [(Kind::Word, def), (Kind::Word, second), ..] if word(def) == "def" && word(second) == name => {
            Some(At::new(source, second.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(at: &At) -> &str {
        &at.source.text()[at.span.clone()]
    }

    #[test]
    fn arguments_have_places() {
        let text = "x = c.file(\"a,b\", # )\n  mode = f(1, y = 2),\n  content=\"\"\"(\n\"\"\", *more)";
        let site = Site::new(At::new(&Source::new("a.star", text), 4..text.len()));
        assert_eq!(shown(&site.positional(0)), "\"a,b\"");
        assert_eq!(shown(&site.positional(1)), "*more");
        assert_eq!(shown(&site.value("mode")), "f(1, y = 2)");
        assert_eq!(shown(&site.key("mode")), "mode");
        assert_eq!(shown(&site.value("content")), "\"\"\"(\n\"\"\"");
        assert_eq!(shown(&site.value("y")), shown(&site.at));
    }

    #[test]
    fn globals_have_places() {
        let text = "attributes = {\n  'port': 1,\n}\ndef configure(c):\n  attributes = 2\n";
        let source = Source::new("a.star", text);
        assert_eq!(shown(&global(&source, "attributes")), "{\n  'port': 1,\n}");
        assert_eq!(shown(&key_in(&global(&source, "attributes"), "port")), "'port'");
        assert_eq!(shown(&global(&source, "configure")), "configure");
        assert_eq!(shown(&global(&source, "features")), "");
    }
}
