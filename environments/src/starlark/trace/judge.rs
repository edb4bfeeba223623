//! Which operands of failing code are at fault: the interpreter's message says of what types they are.

use starlark::syntax::ast::{Argument, AstArgument, AstExpr, AstNoPayload, BinOp, CallArgsP, Expr};

use super::flow::{NameMeaning, OriginFlow, is_choice, is_literal, place_of};
use super::tree::{FunctionBody, Meaning, conditions, gone_through, is_fail, unpacked_at};
use crate::text::origin::{Operand, OperandRole, Selector, ValueOrigin, of_numbers, of_sum};
use crate::text::source::At;

/// How many names that stand for other names are followed.
const DEEPEST: usize = 30;

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
        Some(Meaning::ItemOf(list)) => ValueOrigin::causes([&flow.origin(0, list, 0).then(&Selector::Item)]),
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
            Expr::Index(parts) if is_literal(&parts.1) => self.all([&parts.0]),
            Expr::Index(parts) => self.all([&parts.0, &parts.1]),
            Expr::Slice(owner, from, to, step) => {
                let written = [from, to, step].into_iter().flatten().all(|bound| is_literal(bound));
                if written { self.all([owner.as_ref()]) } else { Vec::new() }
            }
            Expr::Call(function, given) => self.call(function, given),
            // It was gone through, or taken apart.
            Expr::Identifier(_) | Expr::Dot(..) if self.message.contains("iter") => self.all([failing]),
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
            Expr::Identifier(name) => matches!(self.flow.meaning(0, &name.ident), NameMeaning::Constant),
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

/// What a `fail()` is about: its message, and the nearest conditions on the way to it. All values that take part are
/// named, unless one of them cannot be told.
fn reasons<'a>(flow: &OriginFlow<'a>, failing: &'a AstExpr) -> Vec<Operand> {
    let mut taking_part = TakingPart { flow, found: Vec::new() };
    let mut complete = taking_part.add(0, failing, 0);
    for (number, level) in flow.levels.iter().enumerate() {
        let FunctionBody::Statements(statements) = level.function.body else { continue };
        let conditions = conditions(statements, &level.parsed.place);
        for condition in &conditions {
            complete &= taking_part.add(number, condition, 0);
        }
        if !conditions.is_empty() {
            break;
        }
    }
    if complete { taking_part.found } else { Vec::new() }
}

struct TakingPart<'f, 'a> {
    flow: &'f OriginFlow<'a>,
    found: Vec<Operand>,
}

impl<'a> TakingPart<'_, 'a> {
    /// Adds the values that an expression is made from; `false` if they cannot all be told.
    fn add(&mut self, level: usize, expression: &'a AstExpr, depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match self.flow.origin(level, expression, depth) {
            ValueOrigin::Value(path)
                if path.len() > 1 || path.first() != Some(&Selector::name("component")) =>
            {
                let operand = ValueOrigin::Value(path).operand(OperandRole::Part);
                self.found.extend(operand.filter(|operand| !self.found.contains(operand)));
                return true;
            }
            ValueOrigin::Own => return true,
            ValueOrigin::OneOf(_) => return false,
            _ => {}
        }
        match &expression.node {
            Expr::Identifier(name) => match self.flow.meaning(level, &name.ident) {
                NameMeaning::Written(level, Meaning::Value(value) | Meaning::ItemOf(value)) => {
                    self.add(level, value, depth + 1)
                }
                NameMeaning::Constant => true,
                _ => false,
            },
            // What is chosen by it is not known.
            Expr::If(_) | Expr::Lambda(_) => false,
            Expr::Op(left, operation, right)
                if is_choice(*operation) && (is_literal(left) || is_literal(right)) =>
            {
                false
            }
            Expr::Call(function, given) => {
                let mut complete = match &function.node {
                    Expr::Identifier(_) => true,
                    Expr::Dot(owner, _) => self.add(level, owner, depth + 1),
                    _ => false,
                };
                for argument in &given.args {
                    complete &= self.add(level, argument.expr(), depth + 1);
                }
                complete
            }
            _ => {
                let mut complete = true;
                let own = place_of(expression);
                expression.visit_expr(|part| {
                    complete &= place_of(part) != own && self.add(level, part, depth + 1);
                });
                complete
            }
        }
    }
}
