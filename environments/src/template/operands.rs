//! The values that an expression of a template uses, each as the path of names that leads to it. Variables that the
//! template itself sets are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::Error;
use minijinja::machinery::ast::{Call, CallArg, Expr, ForLoop, Macro, Stmt};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;

use crate::text::operand::{Operand, Selector};

/// How the engine names what [`minijinja::Environment::compile_expression`] compiles.
const EXPRESSION: &str = "<expression>";

/// The values used by the expression that an engine error is about.
pub(crate) fn failing(error: &Error) -> Vec<Operand> {
    let (Some(source), Some(place)) = (error.template_source(), error.range()) else { return Vec::new() };
    if error.name() != Some(EXPRESSION) {
        return walk(source, Some(place), |walk| walk.found).unwrap_or_default();
    }
    let Ok(expression) = parse_expr(source) else { return Vec::new() };
    let mut walk = TemplateWalk { place: Some(place), ..TemplateWalk::default() };
    walk.look(&expression);
    walk.found
}

/// The values that a text prints.
pub(crate) fn shown(text: &str) -> Vec<Operand> {
    walk(text, None, |walk| walk.found).unwrap_or_default()
}

/// The names that a template gives to values, anywhere.
pub(crate) fn set_in(source: &str) -> BTreeSet<String> {
    walk(source, None, |walk| walk.set).unwrap_or_default()
}

/// Walks through a template; `None` if the text is not a valid one.
fn walk<R>(
    source: &str,
    place: Option<Range<usize>>,
    result: impl FnOnce(TemplateWalk<'_>) -> R,
) -> Option<R> {
    let template = parse(source, "", SyntaxConfig::default()).ok()?;
    let mut walk = TemplateWalk { place, ..TemplateWalk::default() };
    walk.statement(&template);
    Some(result(walk))
}

/// A walk through a template, which knows at each point what every name stands for.
#[derive(Default)]
struct TemplateWalk<'a> {
    /// The expression that is looked for; `None` for every printed one.
    place: Option<Range<usize>>,
    /// What names stand for, the innermost scope last; empty where that is not certain.
    scopes: Vec<BTreeMap<&'a str, Vec<Operand>>>,
    set: BTreeSet<String>,
    found: Vec<Operand>,
}

impl<'a> TemplateWalk<'a> {
    fn statements(&mut self, statements: &'a [Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'a Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.scoped(|walk| walk.statements(&template.children)),
            // The engine reports an undefined value at the whole `{{ … }}`.
            Stmt::EmitExpr(shown) if self.place.is_none() || self.is_here(shown.span()) => {
                let operands = self.operands(&shown.expr, &[]);
                self.found.extend(operands);
            }
            Stmt::EmitExpr(shown) => self.look(&shown.expr),
            Stmt::ForLoop(each) => self.for_loop(each),
            Stmt::IfCond(condition) => {
                self.look(&condition.expr);
                self.perhaps(|walk| walk.statements(&condition.true_body));
                self.perhaps(|walk| walk.statements(&condition.false_body));
            }
            Stmt::WithBlock(with) => self.scoped(|walk| {
                for (target, value) in &with.assignments {
                    walk.assign(target, value);
                }
                walk.statements(&with.body);
            }),
            Stmt::Set(set) => self.assign(&set.target, &set.expr),
            Stmt::SetBlock(block) => {
                self.perhaps(|walk| walk.statements(&block.body));
                self.name(&block.target, &[]);
            }
            Stmt::AutoEscape(block) => self.perhaps(|walk| walk.statements(&block.body)),
            Stmt::FilterBlock(block) => self.perhaps(|walk| walk.statements(&block.body)),
            Stmt::Block(block) => self.scoped(|walk| walk.statements(&block.body)),
            Stmt::Import(import) => {
                self.look(&import.expr);
                self.name(&import.name, &[]);
            }
            Stmt::FromImport(import) => {
                self.look(&import.expr);
                for (name, alias) in &import.names {
                    self.name(alias.as_ref().unwrap_or(name), &[]);
                }
            }
            Stmt::Extends(extends) => self.look(&extends.name),
            Stmt::Include(include) => self.look(&include.name),
            Stmt::Macro(definition) => {
                self.bind(definition.name, Vec::new());
                self.definition(definition);
            }
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.definition(&block.macro_decl);
            }
            Stmt::Do(statement) => self.call(&statement.call),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        }
    }

    fn for_loop(&mut self, each: &'a ForLoop<'a>) {
        self.look(&each.iter);
        // The engine reports a value that cannot be unpacked at the loop's names.
        if self.is_here(each.target.span()) {
            self.found = self.operands(&each.iter, &[Selector::Item]);
        }
        self.scoped(|walk| {
            let items = walk.operands(&each.iter, &[Selector::Item]);
            walk.name(&each.target, &items);
            walk.bind("loop", Vec::new());
            each.filter_expr.iter().for_each(|filter| walk.look(filter));
            walk.statements(&each.body);
        });
        self.scoped(|walk| walk.statements(&each.else_body));
    }

    /// The arguments of a macro are known only to its callers.
    fn definition(&mut self, definition: &'a Macro<'a>) {
        self.scoped(|walk| {
            walk.bind("caller", Vec::new());
            definition.args.iter().for_each(|argument| walk.name(argument, &[]));
            definition.defaults.iter().for_each(|value| walk.look(value));
            walk.statements(&definition.body);
        });
    }

    fn call(&mut self, call: &'a Call<'a>) {
        self.look(&call.expr);
        call.args.iter().for_each(|argument| self.look(given(argument)));
    }

    /// Names set inside are not set outside.
    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeMap::new());
        inside(self);
        self.scopes.pop();
    }

    /// Names set inside may or may not be set afterwards, so their meaning is no longer certain.
    fn perhaps(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeMap::new());
        inside(self);
        let set = self.scopes.pop().unwrap_or_default();
        for name in set.into_keys() {
            self.bind(name, Vec::new());
        }
    }

    fn assign(&mut self, target: &'a Expr<'a>, value: &'a Expr<'a>) {
        self.look(value);
        let operands = self.operands(value, &[]);
        self.name(target, &operands);
    }

    fn name(&mut self, target: &'a Expr<'a>, operands: &[Operand]) {
        let part = || operands.iter().cloned().map(Operand::derived).collect::<Vec<_>>();
        match target {
            Expr::Var(name) => self.bind(name.id, operands.to_vec()),
            Expr::List(names) => names.items.iter().for_each(|name| self.name(name, &part())),
            Expr::Tuple(names) => names.items.iter().for_each(|name| self.name(name, &part())),
            // A member of a namespace.
            Expr::GetAttr(member) => self.name(&member.expr, &[]),
            _ => {}
        }
    }

    fn bind(&mut self, name: &'a str, operands: Vec<Operand>) {
        self.set.insert(name.to_owned());
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, operands);
        }
    }

    /// Looks for the place in an expression.
    fn look(&mut self, expression: &'a Expr<'a>) {
        if self.is_here(expression.span()) {
            self.found = self.operands(expression, &[]);
        } else if self.place.is_some() {
            for part in parts(expression) {
                self.look(part);
            }
        }
    }

    /// Whether this is the expression that is looked for: of several with the same span, the outermost.
    fn is_here(&self, span: Span) -> bool {
        let range = span.start_offset as usize..span.end_offset as usize;
        self.found.is_empty() && self.place.as_ref() == Some(&range)
    }

    /// The values that an expression uses when `path` is selected from it.
    fn operands(&self, expression: &Expr<'_>, path: &[Selector]) -> Vec<Operand> {
        match expression {
            Expr::Var(name) => match self.scopes.iter().rev().find_map(|scope| scope.get(name.id)) {
                Some(bound) => bound.iter().map(|operand| operand.then(path)).collect(),
                None => vec![Operand::at(Selector::name(name.id).then(path))],
            },
            Expr::GetAttr(member) => self.operands(&member.expr, &Selector::name(member.name).then(path)),
            Expr::GetItem(item) => {
                let selector = key(&item.subscript_expr).map_or(Selector::Item, Selector::name);
                let mut operands = self.operands(&item.expr, &selector.then(path));
                operands.extend(self.made_of([&item.subscript_expr]));
                operands
            }
            Expr::Call(call) => {
                let arguments = call.args.iter().map(given);
                match &call.expr {
                    // A function is not a value, and the content of a namespace can change at any time.
                    Expr::Var(function) if function.id == "namespace" => Vec::new(),
                    Expr::Var(_) => self.made_of(arguments),
                    Expr::GetAttr(method) => self.made_of([&method.expr].into_iter().chain(arguments)),
                    other => self.made_of([other].into_iter().chain(arguments)),
                }
            }
            other => self.made_of(parts(other)),
        }
    }

    fn made_of<'e>(&self, parts: impl IntoIterator<Item = &'e Expr<'e>>) -> Vec<Operand> {
        let operands = parts.into_iter().flat_map(|part| self.operands(part, &[]));
        operands.map(Operand::derived).collect()
    }
}

fn key<'e>(subscript: &'e Expr<'_>) -> Option<&'e str> {
    match subscript {
        Expr::Const(constant) => constant.value.as_str(),
        _ => None,
    }
}

fn given<'e>(argument: &'e CallArg<'e>) -> &'e Expr<'e> {
    match argument {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    }
}

/// The direct parts of an expression.
fn parts<'e>(expression: &'e Expr<'e>) -> Vec<&'e Expr<'e>> {
    let all = |first: &'e Expr<'e>, arguments: &'e [CallArg<'e>]| {
        std::iter::once(first).chain(arguments.iter().map(given)).collect()
    };
    match expression {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(slice) => {
            let bounds = [&slice.start, &slice.stop, &slice.step];
            std::iter::once(&slice.expr).chain(bounds.into_iter().flatten()).collect()
        }
        Expr::UnaryOp(operation) => vec![&operation.expr],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Compare(compare) => {
            std::iter::once(&compare.expr).chain(compare.ops.iter().map(|other| &other.expr)).collect()
        }
        Expr::IfExpr(choice) => {
            [&choice.test_expr, &choice.true_expr].into_iter().chain(&choice.false_expr).collect()
        }
        Expr::Filter(filter) => filter.expr.iter().chain(filter.args.iter().map(given)).collect(),
        Expr::Test(test) => all(&test.expr, &test.args),
        Expr::GetAttr(member) => vec![&member.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::Call(call) => all(&call.expr, &call.args),
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}
