//! The template language: Jinja2 through minijinja, strict, bounded, and with errors that show the user's own file.

pub(crate) mod address;
pub(crate) mod artifact;
pub(crate) mod cause;
pub(crate) mod dns;
pub(crate) mod elsewhere;
pub(crate) mod layered;
mod missing;
pub(crate) mod operands;
mod unclosed;
mod wording;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use batou_jinja::DEEPEST;
use minijinja::machinery::tokenize;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Template, UndefinedBehavior};

use crate::template::address::{Address, NetLoc};
use crate::template::elsewhere::{PENDING, REPORTED, reported_error};
use crate::template::layered::handed_on;
use crate::template::unclosed::Unclosed;
use crate::text::diagnostic::Diagnostic;
use crate::text::origin::{Operand, Selector, ValueOrigin, ValuePath};
use crate::text::source::{At, SourceText};

/// How much work one template may do: far more than configuration needs, but an endless loop uses it up within a
/// second. One unit also pays for 64 bytes, so this bounds the memory of a template, too.
const FUEL: u64 = 5_000_000;

/// The largest rendered file.
const LARGEST: usize = 64 * 1024 * 1024;

/// How many includes are shown on the way to a mistake.
const MOST_CALLS: usize = 8;

/// The name of a text that is no file.
const TEXT: &str = "<text>";

/// An engine with everything but templates.
pub(crate) fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    batou_jinja::add_to(&mut engine);
    engine.set_formatter(artifact::print);
    engine.set_fuel(Some(FUEL));
    // Only in debug mode do errors keep the source of their template, and say which value is undefined.
    engine.set_debug(true);
    let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
    engine.set_syntax(syntax.expect("Jinja2's own delimiters are valid"));
    engine
}

/// Whether a text has anything for the engine to do.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Compiles a template.
pub(crate) fn compile<'a>(
    engine: &'a Environment<'_>,
    name: &'a str,
    source: &'a SourceText,
) -> Result<Template<'a, 'a>, Error> {
    engine.template_from_named_str(name, source.text())
}

/// Renders a template up to the size that a file may have.
pub(crate) fn render(template: &Template<'_, '_>, scope: &Value) -> Result<Vec<u8>, Error> {
    let mut output = Bounded(Vec::with_capacity(template.source().len()));
    match template.render_captured_to(scope.clone(), &mut output) {
        Ok(_) => {
            output.0.shrink_to_fit();
            Ok(output.0)
        }
        Err(error) => Err(error),
    }
}

struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A mistake in a text, for the user; `None` if it is reported elsewhere.
pub(crate) type TextMistake = Option<Box<Diagnostic>>;

/// The value of a text that may be a template. If it is a single expression, the value keeps its type.
pub(crate) fn evaluate(
    engine: &Environment<'_>,
    text: &str,
    at: &At,
    scope: &Value,
) -> Result<Value, TextMistake> {
    if !is_template(text) {
        return Ok(Value::from(text));
    }
    let place = |_: Option<&str>, part: Option<Range<usize>>| match part {
        Some(part) => at.within(text, part),
        None => at.clone(),
    };
    if let Some(range) = single_expression(text)
        && let Ok(expression) = engine.compile_expression(&text[range.clone()])
    {
        let shifted = |part: Range<usize>| at.within(text, range.start + part.start..range.start + part.end);
        let whole = || at.within(text, range.clone());
        let value = expression.eval(scope.clone()).and_then(plain_value);
        return match value {
            Ok(value) if value.is_undefined() => {
                let operands = shown_operands(text, scope);
                let path = &text[range.clone()];
                let diagnostic = missing::undefined(path, scope, &BTreeSet::new());
                Err(Some(Box::new(diagnostic.at(&whole()).made_of(operands))))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(explain(&error, (None, scope), |_, part| part.map_or_else(whole, shifted))),
        };
    }
    engine
        .render_named_str(TEXT, text, scope.clone())
        .map(Value::from)
        .map_err(|error| explain(&error, (Some(TEXT), scope), place))
}

/// The range of the expression between `{{` and `}}` if there is nothing else.
fn single_expression(text: &str) -> Option<Range<usize>> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let inside = trimmed.strip_prefix("{{")?.strip_suffix("}}")?;
    let begin = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let end = begin.strip_suffix(['-', '+']).unwrap_or(begin);
    let expression = end.trim();
    let from = start + 2 + (inside.len() - begin.len()) + (end.len() - end.trim_start().len());
    Some(from..from + expression.len())
}

/// A value without the objects that only a scope has, so that it can be kept, compared and passed on.
pub(crate) fn plain_value(value: Value) -> Result<Value, Error> {
    plain_within(value, 0)
}

fn plain_within(value: Value, depth: usize) -> Result<Value, Error> {
    if depth > DEEPEST {
        let message = format!("lists and maps are nested deeper than {DEEPEST}");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let plain_value = |value| plain_within(value, depth + 1);
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()?
            .checked()
            .map(|item| plain_value(item?))
            .collect::<Result<Vec<Value>, Error>>()
            .map(Value::from),
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                let item = value.get_item(&key)?;
                pairs.push((key.to_string(), plain_value(item)?));
            }
            Ok(Value::from_pairs(pairs))
        }
        ValueKind::Plain if value.downcast_object_ref::<Address>().is_some() => Ok(value),
        ValueKind::Plain if value.downcast_object_ref::<NetLoc>().is_some() => Ok(value),
        ValueKind::Plain | ValueKind::Bytes => Ok(Value::from(value.to_string())),
        // Only an attribute or resource gives an invalid value, and its own mistake is reported.
        ValueKind::Invalid => Err(reported_error()),
        _ => Ok(value),
    }
}

/// Makes a diagnostic of an engine error in a template of this name with this scope. `place` finds the place of a part of
/// a template by the template's name.
pub(crate) fn explain(
    error: &Error,
    (main, scope): (Option<&str>, &Value),
    place: impl Fn(Option<&str>, Option<Range<usize>>) -> At,
) -> TextMistake {
    let chain: Vec<&Error> = std::iter::successors(Some(error), |error| {
        std::error::Error::source(*error).and_then(|source| source.downcast_ref::<Error>())
    })
    .collect();
    if chain.iter().any(|error| matches!(error.detail(), Some(REPORTED | PENDING))) {
        return None;
    }
    let innermost = chain.iter().rev().find(|error| error.line().is_some()).unwrap_or(&error);
    let including = |diagnostic: Diagnostic| {
        let mut places = chain.iter().rev().filter(|error| error.line().is_some()).map(|error| {
            let here = (error.name(), range_of(error));
            (here.clone(), place(here.0, here.1))
        });
        let innermost = places.next().map(|(here, _)| here);
        let mut calls: Vec<_> = places.collect();
        // A template that includes itself would show the same place over and over.
        calls.dedup_by(|(one, _), (other, _)| one == other);
        calls.retain(|(here, _)| Some(here) != innermost.as_ref());
        calls.iter().take(MOST_CALLS).fold(diagnostic, |diagnostic, (_, at)| diagnostic.called_from(at))
    };
    if let Some(unclosed) = unclosed(innermost) {
        let diagnostic = Diagnostic::error(format!("not a valid template: {}", unclosed.message));
        let diagnostic = unclosed.help.into_iter().fold(diagnostic, Diagnostic::help);
        let diagnostic = diagnostic.at(&place(innermost.name(), Some(unclosed.range)));
        return Some(Box::new(including(diagnostic)));
    }
    let at = place(innermost.name(), range_of(innermost));
    let last = chain.last().copied().unwrap_or(error);
    let diagnostic = match last.kind() {
        ErrorKind::UndefinedError => {
            let set = innermost.template_source().map(operands::set_in).unwrap_or_default();
            missing::diagnostic(last.detail(), &at, scope, &set)
        }
        ErrorKind::OutOfFuel => Diagnostic::error("the template does too much work, or never ends")
            .help("look for a loop that grows; a template may do about five million operations"),
        ErrorKind::WriteFailure => Diagnostic::error("the rendered file is larger than 64 MiB")
            .help("use `template = false` for large files"),
        ErrorKind::TemplateNotFound => Diagnostic::error(wording::no_template(last))
            .help("a template is named by its path in the component's folder; one from elsewhere in the project by `//` and its path there"),
        _ => within_itself(&chain, innermost.name()).unwrap_or_else(|| wording::diagnostic(last)),
    };
    let mut operands = operands::failing(innermost, main, scope);
    // An included template also sees the names that the including one sets.
    for outer in chain.iter().filter(|outer| outer.name() != innermost.name()) {
        let set = outer.template_source().map(operands::set_in).unwrap_or_default();
        let is_set =
            |path: &ValuePath| matches!(path.first(), Some(Selector::Name(name)) if set.contains(name));
        if operands.iter().any(|operand| operand.paths.iter().any(is_set)) {
            operands.clear();
        }
    }
    Some(Box::new(including(diagnostic.at(&at).made_of(traced(operands, scope)))))
}

/// The mistake of a template that includes or extends itself.
fn within_itself(chain: &[&Error], name: Option<&str>) -> Option<Diagnostic> {
    let detail = chain.last()?.detail()?;
    let includes = chain.iter().filter(|error| error.kind() == ErrorKind::BadInclude).count();
    if detail == "recursion limit exceeded" && includes > 1 {
        return Some(Diagnostic::error(format!("`{}` includes itself", name?)));
    }
    let extended = detail.strip_prefix("cycle in template inheritance. \"")?.split('"').next()?;
    Some(Diagnostic::error(format!("`{extended}` extends itself")))
}

/// The place of an error in its template. That of `in` begins with the token before it.
fn range_of(error: &Error) -> Option<Range<usize>> {
    let range = error.range()?;
    let is_whole = error.name() == Some(operands::EXPRESSION);
    if error.detail() != Some(wording::NOT_CONTAINING) || is_whole {
        return Some(range);
    }
    let source = error.template_source()?;
    let begins = tokenize(source, false, SyntaxConfig::default())
        .filter_map(|token| Some(token.ok()?.1.start_offset as usize));
    let begin = begins.into_iter().find(|begin| *begin > range.start);
    Some(begin.unwrap_or(range.start)..range.end)
}

fn unclosed(error: &Error) -> Option<Unclosed> {
    let is_syntax = error.kind() == ErrorKind::SyntaxError;
    unclosed::find(error.template_source().filter(|_| is_syntax)?, error.detail()?, &error.range()?)
}

/// The value of the scope that a text is, if it is nothing but that.
pub(crate) fn shown_operands(text: &str, scope: &Value) -> Vec<Operand> {
    if is_template(text) { traced(operands::of_text(text), scope) } else { Vec::new() }
}

/// The values of the scope in a text, if a mistake in what it renders to is theirs and not the text's own.
pub(crate) fn operands_in(text: &str, scope: &Value, is_valid: impl Fn(&str) -> bool) -> Vec<Operand> {
    if is_template(text) { traced(operands::of_parts(text, is_valid), scope) } else { Vec::new() }
}

/// Follows a caller's variables to where the caller has them from; none are left if one cannot be followed.
fn traced(operands: Vec<Operand>, scope: &Value) -> Vec<Operand> {
    let follow = |operand: Operand| {
        let origins: Vec<_> = operand.paths.iter().map(|path| handed_on(scope, path)).collect();
        if origins.iter().all(Option::is_none) {
            return Some(operand);
        }
        let origins: Option<Vec<ValueOrigin>> = origins.into_iter().collect();
        let followed = ValueOrigin::one_of(origins?).operand(operand.role)?;
        Some(Operand { handed_on: true, ..followed })
    };
    operands.into_iter().map(follow).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The place in a template's own file.
pub(crate) fn place_in(
    source: &std::sync::Arc<SourceText>,
    part: Option<Range<usize>>,
    line: Option<usize>,
) -> At {
    let span = part.unwrap_or_else(|| line.map_or(0..0, |line| source.line_range(line)));
    At::new(source, span)
}
