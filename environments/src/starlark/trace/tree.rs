//! What stands where in the syntax tree of a file.

use std::ops::Range;

use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    AssignTarget, AstAssignTarget, AstExpr, AstNoPayload, AstParameter, AstStmt, BinOp, Clause, Expr,
    ForClause, ForP, LambdaP, Parameter, Stmt,
};

use crate::starlark::places::range;

/// A call that is under way, with its file.
pub(super) struct ParsedLevel {
    pub(super) file: AstModule,
    /// The name of the file.
    pub(super) name: String,
    pub(super) place: Range<usize>,
    /// Which of the components that are being configured runs it, counted from the innermost.
    pub(super) component: usize,
}

/// A function, with or without a name.
#[derive(Clone, Copy)]
pub(super) struct Function<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) parameters: &'a [AstParameter],
    pub(super) body: FunctionBody<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum FunctionBody<'a> {
    Statements(&'a AstStmt),
    Expression(&'a AstExpr),
}

/// What a name stands for in a function.
pub(super) enum Meaning<'a> {
    Value(&'a AstExpr),
    ItemOf(&'a AstExpr),
    /// A part of what is unpacked, by the place of each list in the next.
    Part(Box<Meaning<'a>>, usize),
    Unknown,
}

impl<'a> FunctionBody<'a> {
    pub(super) fn span(self) -> Range<usize> {
        match self {
            FunctionBody::Statements(statement) => range(statement.span),
            FunctionBody::Expression(expression) => range(expression.span),
        }
    }

    /// The outermost expression that stands at a place.
    pub(super) fn expression_at(self, place: &Range<usize>) -> Option<&'a AstExpr> {
        match self {
            FunctionBody::Statements(statement) => expression_at(statement, place),
            FunctionBody::Expression(expression) => expression_within(expression, place),
        }
    }

    /// What a name is set to, everywhere.
    pub(super) fn meanings(self, name: &str) -> Vec<Meaning<'a>> {
        let mut meanings = Vec::new();
        match self {
            FunctionBody::Statements(statement) => {
                add_meanings(statement, name, &mut meanings);
                statement.visit_expr(|expression| add_inner_meanings(expression, name, &mut meanings));
            }
            FunctionBody::Expression(expression) => add_inner_meanings(expression, name, &mut meanings),
        }
        meanings
    }

    /// Whether a name is read at one place at most, so that nothing else can have changed the list that it stands for.
    pub(super) fn is_read_once(self, name: &str) -> bool {
        let mut reads = 0;
        match self {
            FunctionBody::Statements(statement) => {
                statement.visit_expr(|expression| reads += count_reads(expression, name));
            }
            FunctionBody::Expression(expression) => reads = count_reads(expression, name),
        }
        reads <= 1
    }
}

fn count_reads(expression: &AstExpr, name: &str) -> usize {
    let mut reads = usize::from(matches!(&expression.node, Expr::Identifier(read) if read.ident == name));
    expression.visit_expr(|part| reads += count_reads(part, name));
    reads
}

pub(super) fn is_named(parameter: &Parameter, name: &str) -> bool {
    parameter.ident().is_some_and(|ident| ident.ident == name)
}

pub(super) fn is_fail(expression: &AstExpr) -> bool {
    let Expr::Call(function, _) = &expression.node else { return false };
    matches!(&function.node, Expr::Identifier(name) if name.ident == "fail")
}

pub(super) fn is_in(place: &Range<usize>, whole: &Range<usize>) -> bool {
    whole.start <= place.start && place.end <= whole.end
}

/// The innermost function around a place.
pub(super) fn function_at<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<Function<'a>> {
    if !is_in(place, &range(statement.span)) {
        return None;
    }
    let mut found = None;
    statement.visit_stmt(|inner| found = found.or_else(|| function_at(inner, place)));
    statement.visit_expr(|expression| found = found.or_else(|| lambda_at(expression, place)));
    match &statement.node {
        Stmt::Def(function) if is_in(place, &range(function.body.span)) => found.or(Some(Function {
            name: Some(&function.name.ident),
            parameters: &function.params,
            body: FunctionBody::Statements(&function.body),
        })),
        _ => found,
    }
}

fn lambda_at<'a>(expression: &'a AstExpr, place: &Range<usize>) -> Option<Function<'a>> {
    let mut found = None;
    if is_in(place, &range(expression.span)) {
        expression.visit_expr(|part| found = found.or_else(|| lambda_at(part, place)));
        if let Expr::Lambda(lambda) = &expression.node
            && is_in(place, &range(lambda.body.span))
        {
            found = found.or(Some(of_lambda(lambda)));
        }
    }
    found
}

pub(super) fn of_lambda(lambda: &LambdaP<AstNoPayload>) -> Function<'_> {
    Function { name: None, parameters: &lambda.params, body: FunctionBody::Expression(&lambda.body) }
}

fn expression_within<'a>(expression: &'a AstExpr, place: &Range<usize>) -> Option<&'a AstExpr> {
    let whole = range(expression.span);
    if whole == *place {
        return Some(expression);
    }
    let mut found = None;
    if is_in(place, &whole) {
        expression.visit_expr(|part| found = found.or_else(|| expression_within(part, place)));
    }
    found
}

fn expression_at<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<&'a AstExpr> {
    let mut found = None;
    statement.visit_expr(|expression| found = found.or_else(|| expression_within(expression, place)));
    found
}

/// A condition that decides whether a place is reached, and whether it has to hold for that.
pub(super) struct DecidingCondition<'a> {
    pub(super) expression: &'a AstExpr,
    pub(super) holds: bool,
}

/// How a place in a function is reached.
pub(super) enum WayTo<'a> {
    /// Always.
    Plain,
    /// If this condition, the nearest one, lets it be reached.
    Decided(DecidingCondition<'a>),
    /// It cannot be read for certain.
    Unclear,
}

impl<'a> WayTo<'a> {
    fn decided(expression: &'a AstExpr, holds: bool) -> WayTo<'a> {
        WayTo::Decided(DecidingCondition { expression, holds })
    }

    fn or_else(self, outer: impl FnOnce() -> WayTo<'a>) -> WayTo<'a> {
        match self {
            WayTo::Plain => outer(),
            known => known,
        }
    }
}

/// The way to a place in a function: past the innermost condition around it or, without one, past that of the last
/// statement before it which would have left the function or loop.
pub(super) fn way_to<'a>(statement: &'a AstStmt, place: &Range<usize>) -> WayTo<'a> {
    let holds = |part: &AstStmt| is_in(place, &range(part.span));
    match &statement.node {
        Stmt::Statements(statements) => {
            let Some(reached) = statements.iter().position(holds) else { return WayTo::Unclear };
            let before = || statements[..reached].iter().rev().map(way_past);
            way_to(&statements[reached], place)
                .or_else(|| before().find(|way| !matches!(way, WayTo::Plain)).unwrap_or(WayTo::Plain))
        }
        Stmt::If(condition, body) if holds(body) => {
            way_to(body, place).or_else(|| WayTo::decided(condition, true))
        }
        Stmt::IfElse(condition, bodies) if holds(&bodies.0) => {
            way_to(&bodies.0, place).or_else(|| WayTo::decided(condition, true))
        }
        Stmt::IfElse(condition, bodies) if holds(&bodies.1) => {
            way_to(&bodies.1, place).or_else(|| WayTo::decided(condition, false))
        }
        // Without a condition in it, what it goes through decides.
        Stmt::For(each) if holds(&each.body) => way_to(&each.body, place).or_else(|| WayTo::Unclear),
        Stmt::Expression(whole) => way_in(whole, place),
        Stmt::Assign(assign) if range(assign.rhs.span) == *place => WayTo::Plain,
        Stmt::Return(Some(value)) if range(value.span) == *place => WayTo::Plain,
        _ => WayTo::Unclear,
    }
}

/// The same in an expression, such as `condition or fail("…")`.
fn way_in<'a>(expression: &'a AstExpr, place: &Range<usize>) -> WayTo<'a> {
    match &expression.node {
        _ if range(expression.span) == *place => WayTo::Plain,
        Expr::Op(left, operation @ (BinOp::And | BinOp::Or), right) if is_in(place, &range(right.span)) => {
            way_in(right, place).or_else(|| WayTo::decided(left, *operation == BinOp::And))
        }
        _ => WayTo::Unclear,
    }
}

/// How the end of a statement is reached.
fn way_past(statement: &AstStmt) -> WayTo<'_> {
    match &statement.node {
        Stmt::If(condition, body) if leaves(body) => WayTo::decided(condition, false),
        _ if may_leave(statement) => WayTo::Unclear,
        _ => WayTo::Plain,
    }
}

/// Whether a statement is sure to leave the function or loop around it.
fn leaves(statement: &AstStmt) -> bool {
    match &statement.node {
        Stmt::Return(_) | Stmt::Break | Stmt::Continue => true,
        Stmt::Statements(statements) => statements.last().is_some_and(leaves),
        _ => false,
    }
}

/// Whether a statement can leave the function or a loop at all, or fail by itself.
fn may_leave(statement: &AstStmt) -> bool {
    match &statement.node {
        Stmt::Return(_) | Stmt::Break | Stmt::Continue => return true,
        // It only runs where it is called.
        Stmt::Def(_) => return false,
        _ => {}
    }
    let mut found = false;
    statement.visit_stmt(|inner| found |= may_leave(inner));
    statement.visit_expr(|expression| found |= count_reads(expression, "fail") > 0);
    found
}

/// The value that is unpacked at a place: what `a, b = value` or `for a, b in values` takes apart.
pub(super) fn unpacked_at<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<Meaning<'a>> {
    if !is_in(place, &range(statement.span)) {
        return None;
    }
    let here = |target: &AstAssignTarget| is_tuple(target) && is_in(&range(target.span), place);
    match &statement.node {
        Stmt::Assign(assign) if here(&assign.lhs) => return Some(Meaning::Value(&assign.rhs)),
        Stmt::For(ForP { var, over, .. }) if here(var) && range(var.span) == *place => {
            return Some(Meaning::ItemOf(over));
        }
        _ => {}
    }
    let mut found = None;
    statement.visit_stmt(|inner| {
        if found.is_none() {
            found = unpacked_at(inner, place);
        }
    });
    found
}

/// The list of the loop that stands at a place.
pub(super) fn gone_through<'a>(statement: &'a AstStmt, place: &Range<usize>) -> Option<&'a AstExpr> {
    if !is_in(place, &range(statement.span)) {
        return None;
    }
    match &statement.node {
        Stmt::For(each) if range(statement.span) == *place => return Some(&each.over),
        _ => {}
    }
    let mut found = None;
    statement.visit_stmt(|inner| found = found.or_else(|| gone_through(inner, place)));
    found
}

fn is_tuple(target: &AstAssignTarget) -> bool {
    matches!(&target.node, AssignTarget::Tuple(_))
}

/// Adds everything that a name is set to in a function.
fn add_meanings<'a>(statement: &'a AstStmt, name: &str, meanings: &mut Vec<Meaning<'a>>) {
    match &statement.node {
        Stmt::Assign(assign) => add_target(&assign.lhs, name, &|| Meaning::Value(&assign.rhs), meanings),
        Stmt::AssignModify(target, ..) => add_target(target, name, &|| Meaning::Unknown, meanings),
        Stmt::For(each) => add_target(&each.var, name, &|| Meaning::ItemOf(&each.over), meanings),
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
        |each: &'a ForClause| add_target(&each.var, name, &|| Meaning::ItemOf(&each.over), meanings);
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
    meaning: &dyn Fn() -> Meaning<'a>,
    meanings: &mut Vec<Meaning<'a>>,
) {
    match &target.node {
        AssignTarget::Identifier(set) if set.ident == name => meanings.push(meaning()),
        AssignTarget::Tuple(parts) => {
            for (place, part) in parts.iter().enumerate() {
                add_target(part, name, &|| Meaning::Part(Box::new(meaning()), place), meanings);
            }
        }
        _ => {}
    }
}
