//! What is opened in a template and never closed. The engine notices that only far behind the mistake, often at the end.

use std::ops::Range;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// What opens a block that `{% endNAME %}` closes, but for `set`, which may stand alone.
const BLOCKS: [&str; 9] = ["autoescape", "block", "call", "filter", "for", "if", "macro", "set", "with"];

/// What is wrong, where it begins, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    pub(super) message: String,
    pub(super) range: Range<usize>,
    pub(super) help: Option<String>,
}

impl Unclosed {
    fn new(message: impl Into<String>, range: Range<usize>) -> Unclosed {
        Unclosed { message: message.into(), range, help: None }
    }
}

/// What is not closed, if that is the reason why the engine refuses a template at a place.
pub(super) fn find(source: &str, detail: &str, place: &Range<usize>) -> Option<Unclosed> {
    match detail {
        "unexpected end of string" => string(source),
        "unexpected end of comment" => comment(source),
        "unexpected end of raw block" => raw(source),
        _ if detail.starts_with("unexpected end of input") => {
            let reading = Reading::of(source, source.len() + 1);
            let tag = reading.tag.map(|tag| tag.unclosed());
            tag.or_else(|| Some(reading.blocks.last()?.unclosed()))
        }
        _ => match detail.strip_prefix("unknown statement ") {
            Some(name) => misplaced(source, name, place),
            None => bracket(source, detail, place).or_else(|| next_line(source, detail, place)),
        },
    }
}

/// A tag that goes on in the next line only because its end is missing.
fn next_line(source: &str, detail: &str, place: &Range<usize>) -> Option<Unclosed> {
    let reading = Reading::of(source, place.start);
    let between = source.get(reading.end..place.start).filter(|_| detail.contains("expected end of "))?;
    between.contains('\n').then(|| reading.tag.map(|tag| tag.unclosed()))?
}

/// A bracket that another one, or the end of the tag, closes.
fn bracket(source: &str, detail: &str, place: &Range<usize>) -> Option<Unclosed> {
    let closing =
        detail.strip_prefix("unexpected `")?.chars().next().filter(|found| ")]}".contains(*found))?;
    let ends = |at: usize| {
        let rest = source.get(at..).unwrap_or_default();
        rest.starts_with("}}") || rest.starts_with("%}")
    };
    // The engine may have taken the first half of the tag's end for something else.
    let before = place.start.checked_sub(1)?;
    let at = if !ends(place.start) && ends(before) { before } else { place.start };
    let (open, range) = Reading::of(source, at).tag?.brackets.pop()?;
    (open != closing || ends(at))
        .then(|| Unclosed::new(format!("this `{}` has no `{open}`", &source[range.clone()]), range))
}

/// `{% endif %}` and the like where nothing of the kind is open, or something else is open within it.
fn misplaced(source: &str, name: &str, place: &Range<usize>) -> Option<Unclosed> {
    let blocks = Reading::of(source, place.start).blocks;
    let message = match (name, name.strip_prefix("end"), blocks.last()) {
        ("else" | "elif", ..) => format!("this `{{% {name} %}}` belongs to no `{{% if %}}`"),
        (_, Some(closed), Some(open)) if blocks.iter().any(|block| block.name == closed) => {
            let message = format!("`{{% {name} %}}` stands where `{{% end{} %}}` is missing", open.name);
            let help = format!("close the `{{% {} %}}` before it", open.name);
            return Some(Unclosed { help: Some(help), ..Unclosed::new(message, place.clone()) });
        }
        (_, Some(closed), _) if BLOCKS.contains(&closed) => {
            format!("there is no `{{% {closed} %}}` that this `{{% {name} %}}` could close")
        }
        _ => return None,
    };
    Some(Unclosed::new(message, place.clone()))
}

fn string(source: &str) -> Option<Unclosed> {
    let end = Reading::of(source, source.len()).end;
    let quote = end + source.get(end..)?.find(['"', '\''])?;
    Some(Unclosed::new("this string has no closing quote", quote..line_end(source, quote)))
}

fn comment(source: &str) -> Option<Unclosed> {
    let mut from = Reading::of(source, source.len()).end;
    loop {
        let begin = from + source.get(from..)?.find("{#")?;
        match source[begin..].find("#}") {
            Some(end) => from = begin + end + 2,
            None => return Some(Unclosed::new("this comment has no `#}`", begin..begin + 2)),
        }
    }
}

fn raw(source: &str) -> Option<Unclosed> {
    let end = Reading::of(source, source.len()).end;
    let begins = source.get(end..)?.match_indices("{%").map(|(at, _)| end + at);
    let is_raw = |at: &usize| {
        let inside = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        inside.starts_with("raw")
    };
    let begin = begins.into_iter().find(is_raw)?;
    Some(Unclosed::new("this `{% raw %}` has no `{% endraw %}`", begin..line_end(source, begin)))
}

/// Where the line around a place ends, without its newline.
fn line_end(source: &str, place: usize) -> usize {
    source[place..].find(['\r', '\n']).map_or(source.len(), |length| place + length)
}

/// What is open at some place of a template.
struct Reading<'s> {
    /// The tag around the place.
    tag: Option<Tag<'s>>,
    /// The innermost last.
    blocks: Vec<OpenBlock<'s>>,
    /// The end of the last token before the place, or before what the engine cannot read.
    end: usize,
}

/// `{{ … }}` or `{% … %}` as far as it was read.
struct Tag<'s> {
    begin: Range<usize>,
    delimiters: [&'static str; 2],
    name: Option<&'s str>,
    /// The brackets that are open, the innermost last: what would close each, and where it stands.
    brackets: Vec<(char, Range<usize>)>,
    /// It sets a name to a value, so that it needs no end.
    assigns: bool,
}

struct OpenBlock<'s> {
    name: &'s str,
    tag: Range<usize>,
}

impl<'s> Reading<'s> {
    fn of(source: &'s str, place: usize) -> Reading<'s> {
        let mut reading = Reading { tag: None, blocks: Vec::new(), end: 0 };
        for token in tokenize(source, false, SyntaxConfig::default()) {
            let Ok((token, span)) = token else { break };
            if span.start_offset as usize >= place {
                break;
            }
            reading.end = span.end_offset as usize;
            reading.token(&token, span);
        }
        reading
    }

    fn token(&mut self, token: &Token<'s>, span: Span) {
        let range = span.start_offset as usize..span.end_offset as usize;
        match (token, &mut self.tag) {
            (Token::VariableStart, _) => self.tag = Some(Tag::new(range, ["{{", "}}"])),
            (Token::BlockStart, _) => self.tag = Some(Tag::new(range, ["{%", "%}"])),
            (Token::VariableEnd, _) => self.tag = None,
            (Token::BlockEnd, _) => {
                if let Some(tag) = self.tag.take() {
                    self.statement(&tag, range.end);
                }
            }
            (Token::Ident(name), Some(tag)) if tag.name.is_none() => tag.name = Some(*name),
            (Token::BracketOpen, Some(tag)) => tag.brackets.push((']', range)),
            (Token::ParenOpen, Some(tag)) => tag.brackets.push((')', range)),
            (Token::BraceOpen, Some(tag)) => tag.brackets.push(('}', range)),
            (Token::BracketClose | Token::ParenClose | Token::BraceClose, Some(tag)) => {
                tag.brackets.pop();
            }
            (Token::Assign, Some(tag)) => tag.assigns |= tag.brackets.is_empty(),
            _ => {}
        }
    }

    fn statement(&mut self, tag: &Tag<'s>, end: usize) {
        let Some(name) = tag.name else { return };
        if BLOCKS.contains(&name) && !(name == "set" && tag.assigns) {
            self.blocks.push(OpenBlock { name, tag: tag.begin.start..end });
        } else if name.strip_prefix("end") == self.blocks.last().map(|open| open.name) {
            self.blocks.pop();
        }
    }
}

impl Tag<'_> {
    fn new(begin: Range<usize>, delimiters: [&'static str; 2]) -> Self {
        Tag { begin, delimiters, name: None, brackets: Vec::new(), assigns: false }
    }

    fn unclosed(&self) -> Unclosed {
        let [begin, end] = self.delimiters;
        Unclosed::new(format!("this `{begin}` has no `{end}`"), self.begin.clone())
    }
}

impl OpenBlock<'_> {
    fn unclosed(&self) -> Unclosed {
        let name = self.name;
        Unclosed::new(format!("this `{{% {name} %}}` has no `{{% end{name} %}}`"), self.tag.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_closed_is_shown_where_it_begins() {
        for (source, message, part) in [
            ("a {{ x", "this `{{` has no `}}`", "{{"),
            ("a {{ x +", "this `{{` has no `}}`", "{{"),
            ("a {{ x\nb", "this `{{` has no `}}`", "{{"),
            ("{{ 1 }}{% if [x\n", "this `{%` has no `%}`", "{%"),
            ("{% if x\nb{% endif %}", "this `{%` has no `%}`", "{%"),
            ("{{ [1, 2 }}", "this `[` has no `]`", "["),
            ("{{ (1 + 2 }}", "this `(` has no `)`", "("),
            ("{{ {'a': 1 }}", "this `{` has no `}`", "{"),
            ("{{ [{'a': [1] }}", "this `{` has no `}`", "{"),
            ("{{ range(1 }}", "this `(` has no `)`", "("),
            ("{% if [1 %}x{% endif %}", "this `[` has no `]`", "["),
            ("{{ ([1, 2) }}", "this `[` has no `]`", "["),
            ("{% if x %}\nb\n", "this `{% if %}` has no `{% endif %}`", "{% if x %}"),
            (
                "{%- for x in y -%}{% if x %}{% endif %}",
                "this `{% for %}` has no `{% endfor %}`",
                "{%- for x in y -%}",
            ),
            ("{% if x %}{% else %}b", "this `{% if %}` has no `{% endif %}`", "{% if x %}"),
            ("{% macro m() %}", "this `{% macro %}` has no `{% endmacro %}`", "{% macro m() %}"),
            ("{% set a = 1 %}{% set b %}", "this `{% set %}` has no `{% endset %}`", "{% set b %}"),
            ("{% set b | f(a=1) %}", "this `{% set %}` has no `{% endset %}`", "{% set b | f(a=1) %}"),
            ("{{ 'a' }}{{ \"b }}\nc", "this string has no closing quote", "\"b }}"),
            ("{% if 'b %}\r\nc", "this string has no closing quote", "'b %}"),
            ("{# a #}b{# c", "this comment has no `#}`", "{#"),
            ("{% raw %}a{% endraw %}\n{%- raw %}\n", "this `{% raw %}` has no `{% endraw %}`", "{%- raw %}"),
            (
                "{% if 1 %}{% for x in y %}{% endif %}",
                "`{% endif %}` stands where `{% endfor %}` is missing",
                "endif",
            ),
            ("a {% endif %}", "there is no `{% if %}` that this `{% endif %}` could close", "endif"),
            (
                "{% if 1 %}{% endfor %}{% endif %}",
                "there is no `{% for %}` that this `{% endfor %}` could close",
                "endfor",
            ),
            ("a {% else %}", "this `{% else %}` belongs to no `{% if %}`", "else"),
        ] {
            let error = crate::template::engine().render_str(source, ()).expect_err(source);
            let place = error.range().expect(source);
            let found = find(source, error.detail().expect(source), &place).expect(source);
            assert_eq!((found.message.as_str(), &source[found.range]), (message, part), "{source}");
        }
    }

    #[test]
    fn other_mistakes_are_left_to_the_engine() {
        for source in [
            "{{ 1 2 }}",
            "{{ 1] }}",
            "{{ [1, 2 3 }}",
            "{% nothing %}",
            "{{ a\n.b c }}",
            "{{ | }}",
            "{% for 1 in x %}{% endfor %}",
        ] {
            let error = crate::template::engine().render_str(source, ()).expect_err(source);
            let place = error.range().expect(source);
            assert_eq!(find(source, error.detail().expect(source), &place), None, "{source}");
        }
    }
}
