//! The values that a mistake in code is about, followed through the calls that led there and through the sub-components
//! that are being configured.
//!
//! The interpreter says only where a mistake is and from where that was called. So the files are parsed again, and names
//! are followed in their syntax trees. This happens only once something is wrong.

mod flow;
mod judge;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value as Data;
use starlark::codemap::FileSpan;
use starlark::eval::Evaluator;
use starlark::syntax::ast::Expr;

use crate::starlark::places::range;
use crate::starlark::syntax;
use crate::template::layered::Tracer;
use crate::text::origin::{Operand, Selector, ValueOrigin};
use crate::text::source::At;
use flow::{CodeLevel, OriginFlow};
use tree::ParsedLevel;

/// The calls that are under way, and the sub-components that they configure.
#[derive(Debug, Clone)]
pub(crate) struct CallTrace {
    /// Where each call stands, the innermost first; `None` where batou itself calls a `configure`.
    places: Vec<Option<FileSpan>>,
    /// Where the sub-components that are being configured were made, the innermost first.
    made: Arc<[At]>,
}

/// A variable that a call gives to a template.
#[derive(Debug, Clone)]
pub(crate) struct GivenVariable {
    /// Where its value stands, or the dict that it is in.
    pub(crate) at: At,
    pub(crate) in_dict: bool,
}

/// The variables that a call gives to a template.
#[derive(Debug)]
pub(crate) struct GivenVariables {
    pub(crate) values: Vec<(String, Data)>,
    pub(crate) places: BTreeMap<String, GivenVariable>,
    pub(crate) trace: CallTrace,
}

impl CallTrace {
    /// The calls that are under way, without those of a component that is about to be configured.
    pub(crate) fn of(eval: &Evaluator<'_, '_, '_>, made: Vec<At>) -> CallTrace {
        let frames = eval.call_stack().frames;
        CallTrace {
            places: frames.into_iter().rev().map(|frame| frame.location).collect(),
            made: made.into(),
        }
    }

    /// With a component whose `configure` is about to be called from there.
    pub(crate) fn beginning(mut self) -> CallTrace {
        self.places.insert(0, None);
        self
    }

    /// The calls that led to an error.
    fn of_error(error: &starlark::Error, made: Vec<At>) -> CallTrace {
        let frames = error.call_stack().frames.iter().rev().map(|frame| frame.location.clone());
        let mut places: Vec<_> = error.span().cloned().map(Some).into_iter().chain(frames).collect();
        // The call of a native function is at the place of the error, which would then be there twice.
        if places.len() > 1 && places[0] == places[1] {
            places.remove(0);
        }
        CallTrace { places, made: made.into() }
    }

    /// `None` unless it is certain which component each call belongs to.
    fn parsed(&self) -> Option<Vec<ParsedLevel>> {
        // What a platform adds to a sub-component is configured without a call of its own.
        let twice =
            |pair: &[At]| pair[0].span == pair[1].span && pair[0].source.path() == pair[1].source.path();
        if self.made.windows(2).any(twice) {
            return None;
        }
        let mut component = 0;
        let mut levels = Vec::new();
        let mut before = None;
        for place in &self.places {
            let begins = place.is_none() && before != Some(true);
            component += usize::from(begins);
            before = Some(place.is_none());
            let Some(span) = place else { continue };
            let file = syntax::parse(span.filename(), span.file.source()).ok()?;
            levels.push(ParsedLevel {
                file,
                name: span.filename().to_owned(),
                place: range(span.span),
                component,
            });
        }
        let complete = component == self.made.len() + 1 && matches!(self.places.last(), Some(None));
        complete.then_some(levels)
    }

    /// Where the values come from that a template of the innermost component gets from its code: its attributes, if it
    /// is a sub-component, and these variables.
    pub(crate) fn tracer(self, variables: BTreeMap<String, GivenVariable>) -> Tracer {
        Arc::new(move |path: &[Selector]| self.origin(path, &variables).unwrap_or(ValueOrigin::Unknown))
    }

    fn origin(&self, path: &[Selector], variables: &BTreeMap<String, GivenVariable>) -> Option<ValueOrigin> {
        let levels = self.parsed()?;
        let flow = self.flow(&levels)?;
        let (Selector::Name(root), rest) = path.split_first()? else { return None };
        let (origin, rest) = match (root.as_str(), rest) {
            ("component", [Selector::Name(name), rest @ ..]) => (flow.attribute(0, name, 0), rest),
            (variable, rest) => {
                let given = variables.get(variable)?;
                let key = given.in_dict.then_some(variable);
                (flow.written_at(&given.at, key)?, rest)
            }
        };
        Some(rest.iter().fold(origin, |origin, selector| origin.then(selector)))
    }

    fn flow<'a>(&'a self, levels: &'a [ParsedLevel]) -> Option<OriginFlow<'a>> {
        let levels = levels.iter().map(|level| {
            let function = tree::function_at(level.file.statement(), &level.place)?;
            Some(CodeLevel { function, parsed: level })
        });
        Some(OriginFlow { levels: levels.collect::<Option<_>>()?, made: &self.made })
    }
}

/// Whether a text is an expression like `list[a:b]`.
pub(crate) fn is_slice(text: &str) -> bool {
    let whole = format!("({text})");
    let Ok(file) = syntax::parse("", &whole) else { return false };
    let inside = tree::FunctionBody::Statements(file.statement()).expression_at(&(1..whole.len() - 1));
    inside.is_some_and(|expression| matches!(expression.node, Expr::Slice(..)))
}

/// The values that an error is about. `part` is the place of the mistake, if it is known more exactly than the
/// interpreter knows it; `made` as in [`CallTrace`].
pub(crate) fn operands(
    error: &starlark::Error,
    message: &str,
    part: Option<&At>,
    made: Vec<At>,
) -> Vec<Operand> {
    let trace = CallTrace::of_error(error, made);
    let Some(levels) = trace.parsed() else { return Vec::new() };
    match trace.flow(&levels) {
        Some(flow) => judge::operands(&flow, message, part),
        None => Vec::new(),
    }
}
