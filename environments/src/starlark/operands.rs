//! The values used by the expression that an error is about, followed through the calls that led there.

use std::ops::Range;
use std::path::Path;

use starlark::codemap::FileSpan;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    Argument, AssignTarget, AstAssignTarget, AstExpr, AstLiteral, AstNoPayload, AstStmt, Clause, DefP, Expr,
    ForClause, Parameter, Stmt,
};

use crate::starlark::places::range;
use crate::starlark::syntax;
use crate::text::operand::{Operand, Selector};
use crate::text::source::At;

/// How many names that stand for other names are followed.
const DEEPEST: usize = 20;

/// What `c` has that is not an attribute, but a name of its own in templates.
const NAMES: [&str; 3] = ["environment", "host", "settings"];

type FunctionDef = DefP<AstNoPayload>;

/// Parsed files: the calls that led to an error refer to them.
pub(crate) struct Calls {
    /// The place of the mistake: a part of the innermost call, if an argument is wrong, or else all of it.
    part: Range<usize>,
    /// The innermost first: where the error is, and from where that was called.
    calls: Vec<(AstModule, Range<usize>)>,
}

/// A function that was called, and the place in it that matters.
struct CalledFunction<'a> {
    function: &'a FunctionDef,
    place: &'a Range<usize>,
}

/// What a name stands for in a function.
enum Meaning<'a> {
    Value(&'a AstExpr),
    ItemOf(&'a AstExpr),
    Unknown,
}

impl Calls {
    /// The calls that led to an error, back to the `configure` of the component, if all of them are calls in Starlark.
    /// `at` is the place of the mistake, if it is known more exactly than the interpreter knows it.
    pub(crate) fn of(error: &starlark::Error, at: Option<&At>) -> Option<Calls> {
        let frames = &error.call_stack().frames;
        let (outermost, inner) = frames.split_first()?;
        let called = inner.iter().rev().map(|frame| frame.location.as_ref()).collect::<Option<Vec<_>>>()?;
        // batou calls `configure` itself, from no place in a file. Any other outermost function does not have the
        // component as its argument.
        if outermost.location.is_some() {
            return None;
        }
        let mut places: Vec<&FileSpan> = error.span().into_iter().chain(called).collect();
        // The call of a native function is at the place of the error, which would then be there twice.
        places.dedup();
        let parsed = |place: &&FileSpan| {
            let file = syntax::parse(place.filename(), place.file.source()).ok()?;
            Some((file, range(place.span)))
        };
        let calls: Vec<_> = places.iter().map(parsed).collect::<Option<_>>()?;
        let file = Path::new(places.first()?.filename());
        let part = at.filter(|at| at.source.path() == file).map(|at| at.span.clone());
        let part = part.or_else(|| Some(calls.first()?.1.clone()))?;
        Some(Calls { part, calls })
    }

    /// The values that the failing expression used; for a `fail()`, also those of the conditions that led to it.
    pub(crate) fn operands(&self) -> Vec<Operand> {
        let levels = self.calls.iter().map(|(file, place)| {
            let function = function_at(file.statement(), place)?;
            Some(CalledFunction { function, place })
        });
        let Some(levels) = levels.collect::<Option<Vec<_>>>() else { return Vec::new() };
        let Some(first) = levels.first() else { return Vec::new() };
        let mut flow = OperandFlow { levels: &levels, found: Vec::new() };
        match expression_at(&first.function.body, &self.part) {
            Some(failing) if is_fail(failing) => flow.add_reasons(failing),
            Some(failing) => flow.add(0, failing, &[], 0),
            None => {}
        }
        flow.found
    }
}

struct OperandFlow<'a> {
    levels: &'a [CalledFunction<'a>],
    found: Vec<Operand>,
}

impl<'a> OperandFlow<'a> {
    /// The message, and the nearest conditions on the way to it.
    fn add_reasons(&mut self, failing: &'a AstExpr) {
        self.add(0, failing, &[], 0);
        for (number, level) in self.levels.iter().enumerate() {
            let conditions = conditions(&level.function.body, level.place);
            for condition in &conditions {
                self.add(number, condition, &[], 0);
            }
            if !conditions.is_empty() {
                return;
            }
        }
    }

    /// Adds the values that an expression uses when `path` is selected from it.
    fn add(&mut self, level: usize, expression: &'a AstExpr, path: &[Selector], depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match &expression.node {
            Expr::Identifier(name) => self.add_name(level, &name.ident, path, depth + 1),
            Expr::Dot(owner, name) => self.add(level, owner, &Selector::name(name).then(path), depth),
            Expr::Index(parts) => {
                let (owner, index) = parts.as_ref();
                let selector = match &index.node {
                    Expr::Literal(AstLiteral::String(name)) => Selector::name(name),
                    _ => Selector::Item,
                };
                self.add(level, owner, &selector.then(path), depth);
                self.add(level, index, &[], depth);
            }
            Expr::Call(function, given) => {
                match &function.node {
                    Expr::Identifier(_) => {}
                    Expr::Dot(owner, _) => self.add(level, owner, &[], depth),
                    _ => self.add(level, function, &[], depth),
                }
                given.args.iter().for_each(|argument| self.add(level, argument.expr(), &[], depth));
            }
            _ => expression.visit_expr(|part| self.add(level, part, &[], depth)),
        }
    }

    fn add_name(&mut self, level: usize, name: &str, path: &[Selector], depth: usize) {
        let Some(CalledFunction { function, .. }) = self.levels.get(level) else { return };
        let parameter = function.params.iter().position(|parameter| is_named(&parameter.node, name));
        let mut meanings = Vec::new();
        add_meanings(&function.body, name, &mut meanings);
        function.body.visit_expr(|expression| add_inner_meanings(expression, name, &mut meanings));
        match (parameter, meanings.as_slice()) {
            (Some(0), []) if level + 1 == self.levels.len() => self.add_component(path),
            (Some(position), []) => {
                if let Some(argument) = self.argument(level, position, name) {
                    self.add(level + 1, argument, path, depth);
                }
            }
            (None, [Meaning::Value(value)]) => self.add(level, value, path, depth),
            (None, [Meaning::ItemOf(list)]) => self.add(level, list, &Selector::Item.then(path), depth),
            _ => {}
        }
    }

    /// Adds what is selected from the component.
    fn add_component(&mut self, path: &[Selector]) {
        let path = match path.first() {
            None => return,
            Some(Selector::Name(name)) if NAMES.contains(&name.as_str()) => path.to_vec(),
            Some(_) => Selector::name("component").then(path),
        };
        self.found.push(Operand::at(path));
    }

    /// The argument for a parameter, if the function is called plainly, by its name.
    fn argument(&self, level: usize, position: usize, name: &str) -> Option<&'a AstExpr> {
        let callee = self.levels[level].function;
        let outer = self.levels.get(level + 1)?;
        let Expr::Call(function, given) = &expression_at(&outer.function.body, outer.place)?.node else {
            return None;
        };
        let by_name =
            matches!(&function.node, Expr::Identifier(function) if function.ident == callee.name.ident);
        let plain = |parameter: &Parameter| matches!(parameter, Parameter::Normal(..));
        if !by_name || !callee.params.iter().all(|parameter| plain(&parameter.node)) {
            return None;
        }
        let named = given.args.iter().find_map(|argument| match &argument.node {
            Argument::Named(given, value) if given.node == name => Some(value),
            _ => None,
        });
        named.or_else(|| match &given.args.get(position)?.node {
            Argument::Positional(value) => Some(value),
            _ => None,
        })
    }
}

fn is_named(parameter: &Parameter, name: &str) -> bool {
    parameter.ident().is_some_and(|ident| ident.ident == name)
}

fn is_fail(expression: &AstExpr) -> bool {
    let Expr::Call(function, _) = &expression.node else { return false };
    matches!(&function.node, Expr::Identifier(name) if name.ident == "fail")
}

fn is_in(place: &Range<usize>, whole: &Range<usize>) -> bool {
    whole.start <= place.start && place.end <= whole.end
}

/// The innermost function around a place.
fn function_at<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<&'a FunctionDef> {
    if !is_in(place, &range(statement.span)) {
        return None;
    }
    let mut found = None;
    statement.visit_stmt(|inner| found = found.or_else(|| function_at(inner, place)));
    match &statement.node {
        Stmt::Def(function) => found.or(Some(function)),
        _ => found,
    }
}

/// The outermost expression that stands at a place.
fn expression_at<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<&'a AstExpr> {
    fn within<'a>(expression: &'a AstExpr, place: &Range<usize>) -> Option<&'a AstExpr> {
        let whole = range(expression.span);
        if whole == *place {
            return Some(expression);
        }
        let mut found = None;
        if is_in(place, &whole) {
            expression.visit_expr(|part| found = found.or_else(|| within(part, place)));
        }
        found
    }
    let mut found = None;
    statement.visit_expr(|expression| found = found.or_else(|| within(expression, place)));
    found
}

/// The conditions on the way to a place in a function: those around it, and those of earlier statements that would
/// have left the function or loop.
fn conditions<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Vec<&'a AstExpr> {
    if !is_in(place, &range(statement.span)) {
        return Vec::new();
    }
    match &statement.node {
        Stmt::Statements(statements) => {
            let mut found = Vec::new();
            for statement in statements.iter().take_while(|one| range(one.span).start <= place.start) {
                match &statement.node {
                    Stmt::If(condition, body) if leaves(body) && !is_in(place, &range(statement.span)) => {
                        found.push(condition);
                    }
                    _ => found.extend(conditions(statement, place)),
                }
            }
            found
        }
        Stmt::If(condition, body) if is_in(place, &range(body.span)) => {
            std::iter::once(condition).chain(conditions(body, place)).collect()
        }
        Stmt::IfElse(condition, bodies) if !is_in(place, &range(condition.span)) => {
            let (yes, no) = bodies.as_ref();
            let inner = conditions(yes, place).into_iter().chain(conditions(no, place));
            std::iter::once(condition).chain(inner).collect()
        }
        Stmt::For(each) => conditions(&each.body, place),
        // `condition or fail("…")`
        Stmt::Expression(whole) if range(whole.span) != *place => vec![whole],
        _ => Vec::new(),
    }
}

/// Whether a statement may leave the function or loop around it.
fn leaves(statement: &AstStmt) -> bool {
    let mut inner = matches!(statement.node, Stmt::Return(_) | Stmt::Break | Stmt::Continue);
    statement.visit_stmt(|part| inner |= leaves(part));
    inner
}

/// Adds everything that a name is set to in a function.
fn add_meanings<'a>(statement: &'a AstStmt, name: &str, meanings: &mut Vec<Meaning<'a>>) {
    match &statement.node {
        Stmt::Assign(assign) => add_target(&assign.lhs, name, Meaning::Value(&assign.rhs), meanings),
        Stmt::AssignModify(target, ..) => add_target(target, name, Meaning::Unknown, meanings),
        Stmt::For(each) => add_target(&each.var, name, Meaning::ItemOf(&each.over), meanings),
        Stmt::Def(function) => {
            let parameter = function.params.iter().any(|parameter| is_named(&parameter.node, name));
            if function.name.ident == name || parameter {
                meanings.push(Meaning::Unknown);
            }
        }
        _ => {}
    }
    statement.visit_stmt(|inner| add_meanings(inner, name, meanings));
}

/// Adds what a name stands for in comprehensions and lambdas.
fn add_inner_meanings<'a>(expression: &'a AstExpr, name: &str, meanings: &mut Vec<Meaning<'a>>) {
    let mut add_clause =
        |each: &'a ForClause| add_target(&each.var, name, Meaning::ItemOf(&each.over), meanings);
    match &expression.node {
        Expr::ListComprehension(_, first, more) | Expr::DictComprehension(_, first, more) => {
            add_clause(first);
            for clause in more {
                if let Clause::For(each) = clause {
                    add_clause(each);
                }
            }
        }
        Expr::Lambda(lambda) if lambda.params.iter().any(|parameter| is_named(&parameter.node, name)) => {
            meanings.push(Meaning::Unknown);
        }
        _ => {}
    }
    expression.visit_expr(|part| add_inner_meanings(part, name, meanings));
}

fn add_target<'a>(
    target: &'a AstAssignTarget,
    name: &str,
    meaning: Meaning<'a>,
    meanings: &mut Vec<Meaning<'a>>,
) {
    match &target.node {
        AssignTarget::Identifier(set) if set.ident == name => meanings.push(meaning),
        AssignTarget::Tuple(parts) => {
            for part in parts {
                add_target(part, name, Meaning::Unknown, meanings);
            }
        }
        _ => {}
    }
}
