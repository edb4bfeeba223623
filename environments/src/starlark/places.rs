//! Places in a file that the interpreter does not report.
//!
//! It reports where a call begins and ends, but not where its arguments are, and nothing about values. The syntax tree
//! has these places, but evaluating a file uses it up, so they are taken out of it before.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use starlark::codemap::Span;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{self, AssignTarget, AstArgument, AstExpr, AstLiteral, AstStmt, Expr, Stmt};

/// The places in one file, in bytes.
#[derive(Debug, Default)]
pub(crate) struct CallSites {
    /// The arguments of the call that stands there.
    calls: HashMap<Range<usize>, Vec<Argument>>,
    /// Strings that are keys of dicts or items of lists: those of an outer one before those of inner ones.
    names: Vec<(String, Range<usize>)>,
    /// Where the first value of a global is written, or the name of a function.
    globals: BTreeMap<String, Range<usize>>,
}

/// An argument as it is written.
#[derive(Debug)]
pub(crate) struct Argument {
    /// `None` for a positional one.
    pub(crate) name: Option<(String, Range<usize>)>,
    pub(crate) value: Range<usize>,
}

impl CallSites {
    /// Those of a file that was parsed.
    pub(crate) fn of(file: &AstModule) -> CallSites {
        let mut places = CallSites::default();
        places.add_globals(file.statement());
        file.statement().visit_expr(|expression| places.add(expression));
        places
    }

    /// The arguments of the call that stands at a place.
    pub(crate) fn arguments(&self, call: &Range<usize>) -> &[Argument] {
        self.calls.get(call).map_or(&[], Vec::as_slice)
    }

    /// Where a name stands in a part of the file.
    pub(crate) fn name_in(&self, part: &Range<usize>, name: &str) -> Option<Range<usize>> {
        let inside = |place: &Range<usize>| part.start <= place.start && place.end <= part.end;
        let found = self.names.iter().find(|(found, place)| found == name && inside(place));
        found.map(|(_, place)| place.clone())
    }

    /// Where the value of a global is written.
    pub(crate) fn global(&self, name: &str) -> Option<Range<usize>> {
        self.globals.get(name).cloned()
    }

    fn add_globals(&mut self, statement: &AstStmt) {
        let (name, place) = match &statement.node {
            Stmt::Assign(assign) => match &assign.lhs.node {
                AssignTarget::Identifier(name) => (&name.ident, assign.rhs.span),
                _ => return,
            },
            // What a function sets is not a global.
            Stmt::Def(function) => (&function.name.ident, function.name.span),
            _ => return statement.visit_stmt(|inner| self.add_globals(inner)),
        };
        self.globals.entry(name.clone()).or_insert_with(|| range(place));
    }

    fn add(&mut self, expression: &AstExpr) {
        match &expression.node {
            Expr::Call(_, given) => {
                self.calls.insert(range(expression.span), given.args.iter().map(argument).collect());
            }
            Expr::Dict(members) => members.iter().for_each(|(key, _)| self.add_name(key)),
            Expr::List(items) | Expr::Tuple(items) => items.iter().for_each(|item| self.add_name(item)),
            _ => {}
        }
        expression.visit_expr(|inner| self.add(inner));
    }

    fn add_name(&mut self, expression: &AstExpr) {
        if let Expr::Literal(AstLiteral::String(text)) = &expression.node {
            self.names.push((text.node.clone(), range(expression.span)));
        }
    }
}

fn argument(written: &AstArgument) -> Argument {
    match &written.node {
        ast::Argument::Named(name, value) => {
            Argument { name: Some((name.node.clone(), range(name.span))), value: range(value.span) }
        }
        ast::Argument::Positional(value) => Argument { name: None, value: range(value.span) },
        // `*args` or `**kwargs`, with its stars.
        _ => Argument { name: None, value: range(written.span) },
    }
}

/// A place as the rest of the program has it.
pub(crate) fn range(span: Span) -> Range<usize> {
    span.begin().get() as usize..span.end().get() as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::starlark::syntax;

    fn places(text: &str) -> CallSites {
        CallSites::of(&syntax::parse("a.star", text).unwrap())
    }

    #[test]
    fn arguments_have_places() {
        let call = "c.file(\"a,b\", # )\n  mode = f(1, y = 2),\n  content=\"\"\"(\n\"\"\", *more)";
        let text = format!("x = {call}");
        let places = places(&text);
        let found = places.arguments(&(4..text.len())).iter();
        let shown: Vec<_> = found
            .map(|argument| {
                (argument.name.as_ref().map(|(_, name)| &text[name.clone()]), &text[argument.value.clone()])
            })
            .collect();
        let wanted = [
            (None, "\"a,b\""),
            (Some("mode"), "f(1, y = 2)"),
            (Some("content"), "\"\"\"(\n\"\"\""),
            (None, "*more"),
        ];
        assert_eq!(shown, wanted);
        let inner = text.find("f(1").unwrap();
        assert_eq!(places.arguments(&(inner..inner + 11)).len(), 2);
        assert!(places.arguments(&(0..text.len())).is_empty());
    }

    #[test]
    fn globals_have_places() {
        let text = "if True:\n  attributes = {'port': 1}\nelse:\n  attributes = 3\n\
                    def configure(c):\n  attributes = 2\n  features = 4\n";
        let places = places(text);
        assert_eq!(&text[places.global("attributes").unwrap()], "{'port': 1}");
        assert_eq!(&text[places.global("configure").unwrap()], "configure");
        assert_eq!(places.global("features"), None);
    }

    #[test]
    fn names_of_the_outer_come_first() {
        let text = "x = 'b'\ny = {'a': {'b': 1}, 'c': ['b', 'd'], 'b': 2}\n";
        let places = places(text);
        let whole = places.global("y").unwrap();
        assert_eq!(places.name_in(&whole, "b").unwrap().start, text.rfind("'b'").unwrap());
        assert_eq!(&text[places.name_in(&whole, "d").unwrap()], "'d'");
        assert_eq!(places.name_in(&places.global("x").unwrap(), "b"), None);
        assert_eq!(places.name_in(&whole, "e"), None);
    }
}
