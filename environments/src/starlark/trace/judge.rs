//! Which operands of failing code are at fault: the interpreter's message says of what types they are.

use starlark::syntax::ast::{
    Argument, AstArgument, AstExpr, AstLiteral, AstNoPayload, BinOp, CallArgsP, Expr,
};

use super::flow::{NameMeaning, OriginFlow, WrittenMeaning, is_choice, is_literal};
use super::tree::{FunctionBody, Meaning, WayTo, gone_through, is_fail, unpacked_at, way_to};
use crate::text::origin::{Operand, OperandRole, ValueOrigin, of_numbers, of_sum};
use crate::text::source::At;

/// How many names that stand for other names are followed.
const DEEPEST: usize = 30;

/// The functions of the language whose result depends on all of their one argument. That of `type` depends on how an
/// attribute is declared.
const OF_ONE: [&str; 9] = ["abs", "bool", "float", "int", "len", "list", "repr", "sorted", "str"];

/// The values that a mistake is about; none if that cannot be told.
pub(super) fn operands(flow: &OriginFlow<'_>, message: &str, part: Option<&At>) -> Vec<Operand> {
    let Some(first) = flow.levels.first() else { return Vec::new() };
    let place = &first.parsed.place;
    let part = part.filter(|at| at.source.path().to_str() == Some(first.parsed.name.as_str()));
    let part = part.map_or(place, |at| &at.span);
    let Some(failing) = first.function.body.expression_at(part) else {
        return unpacked(flow, message, part);
    };
    if is_fail(failing) {
        return reasons(flow, failing);
    }
    if part != place {
        // Batou's own functions say which of their arguments is wrong.
        return ValueOrigin::causes([&flow.origin(0, failing, 0)]);
    }
    CodeJudge { flow, message }.expression(failing)
}

/// The value of a loop or of an assignment that goes through its parts.
fn unpacked(flow: &OriginFlow<'_>, message: &str, place: &std::ops::Range<usize>) -> Vec<Operand> {
    let FunctionBody::Statements(statements) = flow.levels[0].function.body else { return Vec::new() };
    if let Some(list) = gone_through(statements, place).filter(|_| message.contains("iter")) {
        return ValueOrigin::causes([&flow.origin(0, list, 0)]);
    }
    match unpacked_at(statements, place) {
        Some(Meaning::Value(value)) => ValueOrigin::causes([&flow.origin(0, value, 0)]),
        Some(Meaning::ItemOf(list)) => ValueOrigin::causes([&flow.origin(0, list, 0).item()]),
        _ => Vec::new(),
    }
}

struct CodeJudge<'j, 'a> {
    flow: &'j OriginFlow<'a>,
    message: &'j str,
}

impl<'a> CodeJudge<'_, 'a> {
    fn all<'e>(&self, expressions: impl IntoIterator<Item = &'e AstExpr>) -> Vec<Operand>
    where
        'a: 'e,
        'e: 'a,
    {
        let origins: Vec<_> = expressions.into_iter().map(|one| self.flow.origin(0, one, 0)).collect();
        ValueOrigin::causes(&origins)
    }

    fn expression(&self, failing: &'a AstExpr) -> Vec<Operand> {
        match &failing.node {
            Expr::Op(left, operation, right) => self.operation(*operation, [left, right]),
            Expr::Minus(value) | Expr::Plus(value) | Expr::BitNot(value) => self.all([value.as_ref()]),
            Expr::Index(parts) => {
                let (owner, key) = parts.as_ref();
                let [owner, key] = [owner, key].map(|part| self.flow.origin(0, part, 0));
                if self.needs("int") && !key.is_own() {
                    return ValueOrigin::causes([&key]);
                }
                ValueOrigin::of_item(&owner, &key)
            }
            Expr::Slice(owner, from, to, step) => {
                let bounds = [from, to, step].into_iter().flatten();
                let wrong: Vec<_> = bounds.filter(|bound| !is_number(bound)).collect();
                match wrong.as_slice() {
                    [] if self.message.contains("`[::]`") => self.all([owner.as_ref()]),
                    [only] if self.needs("int") && !is_literal(only) => self.all([only.as_ref()]),
                    _ => Vec::new(),
                }
            }
            Expr::Call(function, given) => self.call(function, given),
            // It was gone through, or taken apart.
            Expr::Identifier(_) | Expr::Dot(..) if self.message.contains("iter") => self.all([failing]),
            // It is a key of a dict that is written there.
            Expr::Identifier(_) | Expr::Dot(..) if self.message.contains("not hashable") => {
                self.all([failing])
            }
            _ => Vec::new(),
        }
    }

    fn operation(&self, operation: BinOp, sides: [&'a AstExpr; 2]) -> Vec<Operand> {
        let origins = sides.map(|side| self.flow.origin(0, side, 0));
        let both = [&origins[0], &origins[1]];
        let literal = sides.map(is_literal);
        if self.message.to_lowercase().contains("zero") {
            return ValueOrigin::causes([both[1]]);
        }
        match operation {
            BinOp::In | BinOp::NotIn if self.needs("str") => return ValueOrigin::causes([both[0]]),
            BinOp::Percent if has_one_place(sides[0]) && self.message.contains("`format(") => {
                return ValueOrigin::causes([both[1]]);
            }
            _ => {}
        }
        let Some(kinds) = self.both_kinds() else { return Vec::new() };
        let number = kinds.map(|kind| matches!(kind, "int" | "float"));
        match operation {
            BinOp::In | BinOp::NotIn => ValueOrigin::causes([both[1]]),
            BinOp::Add
            | BinOp::Multiply
            | BinOp::Less
            | BinOp::LessOrEqual
            | BinOp::Greater
            | BinOp::GreaterOrEqual => of_sum(both, number, literal),
            BinOp::Percent if kinds[0] == "string" => Vec::new(),
            BinOp::And | BinOp::Or | BinOp::Equal | BinOp::NotEqual => Vec::new(),
            _ => of_numbers(both, number),
        }
    }

    /// Whether a value has another type than this one, which is needed there.
    fn needs(&self, kind: &str) -> bool {
        self.message.to_lowercase().contains(&format!("expected `{kind}`"))
    }

    /// The types in "… for types `string` and `int`".
    fn both_kinds(&self) -> Option<[&str; 2]> {
        let mut quoted = self.message.split("types ").nth(1)?.split('`').skip(1).step_by(2);
        Some([quoted.next()?, quoted.next()?])
    }

    /// A built-in function that was given one value, or whose argument the message names.
    fn call(&self, function: &'a AstExpr, given: &'a CallArgsP<AstNoPayload>) -> Vec<Operand> {
        let about_a_value = ["Type of parameter `", "Error unpacking value for parameter `"];
        let rest = about_a_value.iter().find_map(|begin| self.message.split_once(begin));
        if let Some(name) = rest.and_then(|(_, rest)| rest.split('`').next()) {
            return self.named(given, name);
        }
        let built_in = match &function.node {
            Expr::Identifier(name) => self.flow.is_built_in(0, &name.ident),
            _ => false,
        };
        let about_the_call = ["argument", "parameter", "positional"];
        if !built_in || about_the_call.iter().any(|word| self.message.contains(word)) {
            return Vec::new();
        }
        match given.args.as_slice() {
            [only] => self.argument(only),
            _ => Vec::new(),
        }
    }

    fn named(&self, given: &'a CallArgsP<AstNoPayload>, name: &str) -> Vec<Operand> {
        let named = given.args.iter().find(|argument| match &argument.node {
            Argument::Named(given, _) => given.node == name,
            _ => false,
        });
        match (named, given.args.as_slice()) {
            (Some(argument), _) | (None, [argument]) => self.argument(argument),
            _ => Vec::new(),
        }
    }

    fn argument(&self, argument: &'a AstArgument) -> Vec<Operand> {
        match &argument.node {
            Argument::Positional(value) | Argument::Named(_, value) => self.all([value]),
            Argument::Args(_) | Argument::KwArgs(_) => Vec::new(),
        }
    }
}

/// What a `fail()` is about: the values that decide the nearest condition on the way to it or, without one, those in its
/// message.
fn reasons<'a>(flow: &OriginFlow<'a>, failing: &'a AstExpr) -> Vec<Operand> {
    let mut taking_part = TakingPart { flow, found: Vec::new() };
    let ways = flow.levels.iter().enumerate().map(|(number, level)| match level.function.body {
        FunctionBody::Statements(statements) => (number, way_to(statements, &level.parsed.place)),
        FunctionBody::Expression(_) => (number, WayTo::Unclear),
    });
    let nearest = ways.into_iter().find(|(_, way)| !matches!(way, WayTo::Plain));
    let complete = match (nearest, &failing.node) {
        (Some((level, WayTo::Decided(condition))), _) => {
            taking_part.decides(level, condition.expression, condition.holds, 0)
        }
        (None, Expr::Call(_, given)) => {
            given.args.iter().all(|argument| taking_part.message(argument.expr()))
        }
        _ => false,
    };
    if complete { taking_part.found } else { Vec::new() }
}

struct TakingPart<'f, 'a> {
    flow: &'f OriginFlow<'a>,
    found: Vec<Operand>,
}

impl<'a> TakingPart<'_, 'a> {
    /// Adds the values that decide that a condition holds or does not; `false` if they cannot all be told.
    fn decides(&mut self, level: usize, condition: &'a AstExpr, holds: bool, depth: usize) -> bool {
        match &condition.node {
            Expr::Not(inner) => self.decides(level, inner, !holds, depth),
            // Of `a and b` both hold, but if it does not hold, it is not known which of them is wrong.
            Expr::Op(left, BinOp::And, right) => {
                holds && [left, right].into_iter().all(|side| self.decides(level, side, true, depth))
            }
            Expr::Op(left, BinOp::Or, right) => {
                !holds && [left, right].into_iter().all(|side| self.decides(level, side, false, depth))
            }
            Expr::Identifier(name) => match self.flow.meaning(level, &name.ident) {
                NameMeaning::Written(WrittenMeaning { level, meaning: Meaning::Value(value), .. })
                    if depth < DEEPEST =>
                {
                    self.value(level, condition, depth) || self.decides(level, value, holds, depth + 1)
                }
                _ => self.value(level, condition, depth),
            },
            _ => self.value(level, condition, depth),
        }
    }

    /// Adds the values that the value of an expression depends on, each of them always.
    fn value(&mut self, level: usize, expression: &'a AstExpr, depth: usize) -> bool {
        let origin = self.flow.origin(level, expression, depth);
        if let ValueOrigin::Value(_) = origin {
            let operand = origin.operand(OperandRole::Part);
            self.found.extend(operand.filter(|operand| !self.found.contains(operand)));
            return true;
        }
        if origin.is_own() {
            return true;
        }
        match &expression.node {
            Expr::Op(left, operation, right) if !is_choice(*operation) => {
                self.value(level, left, depth) && self.value(level, right, depth)
            }
            Expr::Identifier(name) if depth < DEEPEST => match self.flow.meaning(level, &name.ident) {
                NameMeaning::Written(WrittenMeaning { level, meaning: Meaning::Value(value), .. }) => {
                    !is_list(value) && self.value(level, value, depth + 1)
                }
                _ => false,
            },
            Expr::Call(function, given) => match (&function.node, given.args.as_slice()) {
                (Expr::Identifier(name), [only]) => {
                    let certain = OF_ONE.contains(&name.ident.as_str());
                    certain
                        && self.flow.is_built_in(level, &name.ident)
                        && self.value(level, only.expr(), depth)
                }
                (Expr::Dot(owner, _), arguments) => {
                    let own = |argument: &'a AstArgument| self.flow.origin(level, argument.expr(), depth);
                    arguments.iter().all(|argument| own(argument).is_own()) && self.value(level, owner, depth)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Adds the values in the message of a `fail()`.
    fn message(&mut self, message: &'a AstExpr) -> bool {
        match &message.node {
            Expr::Op(text, BinOp::Percent, shown) => match &shown.node {
                Expr::Tuple(all) => self.value(0, text, 0) && all.iter().all(|one| self.value(0, one, 0)),
                _ => self.value(0, text, 0) && self.value(0, shown, 0),
            },
            _ => self.value(0, message, 0),
        }
    }
}

/// Whether a whole number is written there.
fn is_number(expression: &AstExpr) -> bool {
    match &expression.node {
        Expr::Literal(literal) => matches!(literal, AstLiteral::Int(_)),
        Expr::Minus(number) => is_number(number),
        _ => false,
    }
}

/// Whether a text has one place with `%`.
fn has_one_place(text: &AstExpr) -> bool {
    matches!(&text.node, Expr::Literal(AstLiteral::String(text)) if text.matches('%').count() == 1)
}

fn is_list(expression: &AstExpr) -> bool {
    matches!(expression.node, Expr::List(_) | Expr::Tuple(_) | Expr::Dict(_))
}
