//! The interpreter's errors as diagnostics: in the user's own file, with the calls that led there, in plain words.

use starlark::codemap::FileSpan;
use starlark::{Error, ErrorKind};

use crate::starlark::limits;
use crate::starlark::sources::{SourceTexts, is_own};
use crate::starlark::stop::{self, Stop};
use crate::starlark::trace;
use crate::starlark::wording::{CANNOT_BE_SET, CANNOT_CHANGE, between, lower, not_an_integer, plain};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;

/// How many calls are shown: a recursion would repeat the same ones.
const MOST_CALLS: usize = 8;

/// The diagnostic for an error; `None` if it is reported elsewhere, or if the run only has to wait. `made` are the places
/// where the sub-components were made that were being configured, the innermost first.
pub(crate) fn diagnose(
    error: &Error,
    noted: Option<&Stop>,
    sources: &SourceTexts,
    made: Vec<At>,
) -> Option<Diagnostic> {
    let places = places(error, sources);
    let stop = noted.or_else(|| stop::found(error));
    let (diagnostic, at) = match stop {
        Some(Stop::Reported | Stop::Waiting) => return None,
        Some(Stop::Diagnosed(diagnostic)) => {
            let calls = match places.split_first() {
                Some((call, rest)) if stands_in(diagnostic, call) => rest,
                _ => places.as_slice(),
            };
            return Some(with_calls(diagnostic.as_ref().clone(), calls));
        }
        Some(Stop::Mistake { message, help, at }) => {
            let diagnostic = Diagnostic::error(message.clone());
            (help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help.clone())), at.clone())
        }
        None => (translated(error, sources), None),
    };
    let own = at.filter(|at| is_own(&at.source.path().to_string_lossy()));
    let (first, calls) = match (own, places.split_first()) {
        (Some(at), Some((call, rest))) if same_call(&at, call) => (Some(at), rest),
        (Some(at), _) => (Some(at), places.as_slice()),
        (None, Some((first, rest))) => (Some(first.clone()), rest),
        (None, None) => (None, places.as_slice()),
    };
    let message = error.without_diagnostic().to_string();
    let first = first.map(|at| if message.contains(NO_TABS) { at_tab(&at) } else { at });
    let operands = trace::operands(error, &message, first.as_ref(), made);
    let shown = first.map(|at| with_brackets(&at));
    let diagnostic = shown.iter().fold(diagnostic, Diagnostic::at).made_of(operands);
    Some(with_calls(diagnostic, calls))
}

/// The interpreter's message for an indentation with tabs. It names the end of the line before.
const NO_TABS: &str = "tabs are not allowed";

/// The tabs behind a place.
fn at_tab(at: &At) -> At {
    let rest = at.source.text().get(at.span.start..).unwrap_or_default();
    let Some(begin) = rest.find('\t').map(|tab| at.span.start + tab) else { return at.clone() };
    let tabs = at.source.text()[begin..].bytes().take_while(|byte| *byte == b'\t').count();
    At::new(&at.source, begin..begin + tabs)
}

/// A place with the bracket that begins it, which the interpreter leaves out: `(1 + 2) + "a"`.
fn with_brackets(at: &At) -> At {
    let text = at.source.text();
    let inside = text.get(at.span.clone()).unwrap_or_default();
    let count = |bracket| inside.matches(bracket).count();
    let mut span = at.span.clone();
    for _ in count(')')..count('(') {
        let rest = text[span.end..].trim_start();
        span.end = if rest.starts_with(')') { text.len() - rest.len() + 1 } else { span.end };
    }
    for _ in count('(')..count(')') {
        let before = text[..span.start].trim_end();
        span.start = if before.ends_with('(') { before.len() - 1 } else { span.start };
    }
    At::new(&at.source, span)
}

/// Whether a place is a part of a call, so that it can be shown in place of the call.
fn same_call(part: &At, call: &At) -> bool {
    part.source.path() == call.source.path()
        && call.span.start <= part.span.start
        && part.span.end <= call.span.end
}

/// Whether a mistake stands within a call, as one in a text given to `c.expand` does.
fn stands_in(diagnostic: &Diagnostic, call: &At) -> bool {
    let line = |offset| call.source.position(offset).0;
    let lines = line(call.span.start)..=line(call.span.end);
    let place = diagnostic.location.as_ref();
    place.is_some_and(|place| place.file == call.source.path() && lines.contains(&place.line))
}

fn with_calls(diagnostic: Diagnostic, calls: &[At]) -> Diagnostic {
    calls.iter().fold(diagnostic, Diagnostic::called_from)
}

/// Where it happened and from where that was called, innermost first, in the user's own files.
fn places(error: &Error, sources: &SourceTexts) -> Vec<At> {
    let frames = error.call_stack().frames.iter().rev().filter_map(|frame| frame.location.as_ref());
    let mut places: Vec<&FileSpan> = Vec::new();
    for span in error.span().into_iter().chain(frames).filter(|span| sources.is_own(span)) {
        if places.last() != Some(&span) {
            places.push(span);
        }
    }
    places.truncate(MOST_CALLS);
    places.into_iter().map(|span| sources.at(span)).collect()
}

fn translated(error: &Error, sources: &SourceTexts) -> Diagnostic {
    let message = sources.without_files(error.without_diagnostic().to_string());
    if let Some((message, help)) = limits::explained(&message) {
        return Diagnostic::error(message).help(help);
    }
    match error.kind() {
        ErrorKind::Fail(inner) => return Diagnostic::error(said(inner.to_string().trim())),
        ErrorKind::Parser(_) => match not_an_integer(&message) {
            Some(message) => return Diagnostic::error(message),
            None => return syntax(&message),
        },
        _ => {}
    }
    let (message, near) = match message.split_once(", did you mean ") {
        Some((message, near)) => (message.to_owned(), Some(near.trim_end_matches('?').to_owned())),
        None => (message, None),
    };
    let at = error.span().filter(|span| sources.is_own(span)).map(|span| sources.at(span));
    let message = at
        .and_then(|at| missing(&message, &at).or_else(|| no_step(&message, &at)))
        .unwrap_or_else(|| plain(&message));
    let diagnostic = Diagnostic::error(message);
    let diagnostic = advice(&diagnostic.message).into_iter().fold(diagnostic, Diagnostic::help);
    match near {
        Some(near) => diagnostic.help(format!("did you mean {near}?")),
        None => diagnostic,
    }
}

/// A message from the user's code, which may be empty.
pub(crate) fn said(text: &str) -> &str {
    if text.trim().is_empty() { "(an empty string)" } else { text }
}

fn syntax(message: &str) -> Diagnostic {
    let message = message.strip_prefix("Parse error: ").unwrap_or(message);
    let mut lines = message.lines();
    let first = lines.next().unwrap_or("syntax error");
    let (first, expected) = match first.split_once(", expected one of ") {
        Some((first, expected)) => (first, Some(expected.to_owned())),
        None => (first, None),
    };
    let diagnostic = Diagnostic::error(format!("not valid Starlark: {}", lower(first)));
    match expected {
        Some(expected) if expected.len() < 100 => diagnostic.help(format!("expected one of {expected}")),
        _ => diagnostic,
    }
}

/// A missing attribute with its owner, as they are written: `c.host` has no `fqdm`.
fn missing(message: &str, at: &At) -> Option<String> {
    let name = between(message, "has no attribute `", "`")?;
    let text = at.source.text().get(at.span.clone())?;
    let owner = &text[..text.rfind(&format!(".{name}"))?];
    let short = owner.len() <= 60 && !owner.contains('\n') && !owner.is_empty();
    let none = if message.contains("`NoneType`") { "is None, and " } else { "" };
    short.then(|| format!("`{owner}` {none}has no `{name}`"))
}

/// The interpreter tells of a slice's step as of an item that is not there.
fn no_step(message: &str, at: &At) -> Option<String> {
    let text = at.source.text().get(at.span.clone())?;
    (message == "Index `0` is out of bound" && trace::is_slice(text))
        .then(|| "the step of a slice cannot be 0".to_owned())
}

/// What to do about some of the interpreter's errors.
fn advice(message: &str) -> Option<&'static str> {
    match message {
        CANNOT_BE_SET => Some(
            "hand what is computed to templates with `variables`; attributes are set in environment.toml, those of a \
             sub-component where it is made",
        ),
        CANNOT_CHANGE => {
            Some("what a file makes is fixed once it is loaded: change a copy, list(…) or dict(…)")
        }
        _ => None,
    }
}
