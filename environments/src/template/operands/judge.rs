//! Which operands of a failing expression are at fault: the engine's message says of what kind they are.

use minijinja::machinery::ast::{BinOpKind, CompareOpKind, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::syntax::given;
use super::walk::{Found, TemplateWalk};
use crate::template::cause;
use crate::text::origin::{Operand, OperandRole, Selector, ValueOrigin, ValuePath, of_numbers, of_sum};

/// The engine's words for what a value is, without `bytes`, which are also a unit.
const KINDS: [&str; 8] = ["undefined", "none", "bool", "number", "string", "sequence", "map", "iterable"];

/// What the engine says about a mistake.
pub(super) struct EngineFailure<'w> {
    kind: ErrorKind,
    detail: &'w str,
    /// What the template sees.
    scope: &'w Value,
}

impl<'w> EngineFailure<'w> {
    pub(super) fn of(error: &'w Error, scope: &'w Value) -> EngineFailure<'w> {
        EngineFailure { kind: error.kind(), detail: error.detail().unwrap_or_default(), scope }
    }

    /// The kinds in "… on unsupported types number and string".
    fn both_kinds(&self) -> Option<[&'w str; 2]> {
        let (left, right) = self.detail.split_once("unsupported types ")?.1.split_once(" and ")?;
        Some([left, right])
    }

    /// The kind of the one value that the message is about.
    fn one_kind(&self) -> Option<&'static str> {
        let converted = self.detail.split_once("cannot convert ").map(|(_, rest)| rest);
        if let Some((kind, _)) = converted.and_then(|rest| rest.split_once(" to ")) {
            return KINDS.into_iter().find(|known| *known == kind);
        }
        let mut words = self.detail.split(|c: char| !c.is_ascii_lowercase()).rev();
        words.find_map(|word| KINDS.into_iter().find(|known| *known == word))
    }

    /// What a value is, without noting that it was used.
    fn kind_at(&self, path: &ValuePath) -> Option<ValueKind> {
        let (value, _) = cause::collect(|| {
            path.iter().try_fold(self.scope.clone(), |value, selector| match selector {
                Selector::Name(name) => value.get_item(&Value::from(name.as_str())).ok(),
                Selector::Index(index) => value.get_item_by_index(*index).ok(),
                Selector::Scalar => Some(value),
                Selector::Item => None,
            })
        });
        value.map(|value| value.kind())
    }

    /// What the value of an expression is, as far as it is known.
    fn kind_of(&self, origin: &ValueOrigin, expression: &Expr<'_>) -> Option<ValueKind> {
        match (origin, expression) {
            (ValueOrigin::Value(path), _) => self.kind_at(path),
            (ValueOrigin::Text(_), _) => Some(ValueKind::String),
            (ValueOrigin::List(_), _) => Some(ValueKind::Seq),
            (ValueOrigin::Map(_), _) => Some(ValueKind::Map),
            (_, Expr::Const(constant)) => Some(constant.value.kind()),
            _ => None,
        }
    }
}

/// The operands of what was found that are at fault; none if that cannot be told.
pub(super) fn operands(
    walk: &TemplateWalk<'_, '_>,
    failure: &EngineFailure<'_>,
    found: &Found<'_>,
) -> Vec<Operand> {
    let judge = TemplateJudge { walk, failure };
    match (failure.kind, found) {
        (ErrorKind::UndefinedError, _) => judge.undefined(found),
        (ErrorKind::CannotUnpack, Found::Unpacked(origin)) => ValueOrigin::causes([origin]),
        (ErrorKind::InvalidOperation, Found::Expression(expression)) => judge.expression(expression),
        (ErrorKind::InvalidOperation, Found::Iterated(list)) => match list {
            // It failed itself, or going through its result did.
            Expr::Filter(_) | Expr::Call(_) if failure.detail.ends_with("is not iterable") => Vec::new(),
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => ValueOrigin::causes([&walk.origin(list)]),
            _ => judge.expression(list),
        },
        _ => Vec::new(),
    }
}

struct TemplateJudge<'j> {
    walk: &'j TemplateWalk<'j, 'j>,
    failure: &'j EngineFailure<'j>,
}

impl TemplateJudge<'_> {
    /// A value that is undefined: it is missing in the last one that is there.
    fn undefined(&self, found: &Found<'_>) -> Vec<Operand> {
        let detail = self.failure.detail;
        // The name was looked up elsewhere, where it may stand for something else.
        if detail.contains(", from ") || detail.contains("(from ") {
            return Vec::new();
        }
        let quoted = detail.split('`').nth(1).and_then(|path| parse_expr(path).ok());
        match (&quoted, found) {
            (Some(path), _) => self.path(path),
            (None, Found::Expression(expression)) => self.path(expression),
            (None, _) => Vec::new(),
        }
    }

    /// The value that a path of names leads to; with a computed key, that one, too.
    fn path(&self, path: &Expr<'_>) -> Vec<Operand> {
        match path {
            Expr::Var(_) | Expr::GetAttr(_) => ValueOrigin::causes([&self.walk.origin(path)]),
            Expr::GetItem(item) if matches!(item.subscript_expr, Expr::Const(_)) => {
                ValueOrigin::causes([&self.walk.origin(path)])
            }
            Expr::GetItem(item) => {
                let (owner, key) = (self.walk.origin(&item.expr), self.walk.origin(&item.subscript_expr));
                ValueOrigin::of_item(&owner, &key)
            }
            _ => Vec::new(),
        }
    }

    fn all<'e>(&self, expressions: impl IntoIterator<Item = &'e Expr<'e>>) -> Vec<Operand> {
        let origins: Vec<_> = expressions.into_iter().map(|one| self.walk.origin(one)).collect();
        ValueOrigin::causes(&origins)
    }

    fn expression(&self, expression: &Expr<'_>) -> Vec<Operand> {
        let detail = self.failure.detail;
        match expression {
            Expr::BinOp(operation) => self.calculation(operation.op, [&operation.left, &operation.right]),
            Expr::Compare(compare) => match compare.ops.as_slice() {
                [only] if matches!(only.op, CompareOpKind::In | CompareOpKind::NotIn) => {
                    self.all([&only.expr])
                }
                _ => Vec::new(),
            },
            Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Neg) => {
                self.all([&operation.expr])
            }
            Expr::Slice(slice) if detail.ends_with("cannot be sliced") => self.all([&slice.expr]),
            Expr::Slice(slice) => {
                let bounds: Vec<_> = [&slice.start, &slice.stop, &slice.step].into_iter().flatten().collect();
                if let [only] = bounds.as_slice() { self.all([*only]) } else { Vec::new() }
            }
            Expr::Filter(filter) => self.call(filter.expr.iter().chain(filter.args.iter().map(given))),
            Expr::Test(test) => self.call([&test.expr].into_iter().chain(test.args.iter().map(given))),
            Expr::Call(call) => {
                let this = match &call.expr {
                    Expr::Var(_) => None,
                    Expr::GetAttr(method) => Some(&method.expr),
                    _ => return Vec::new(),
                };
                self.call(this.into_iter().chain(call.args.iter().map(given)))
            }
            _ => Vec::new(),
        }
    }

    fn calculation(&self, operation: BinOpKind, sides: [&Expr<'_>; 2]) -> Vec<Operand> {
        let origins = sides.map(|side| self.walk.origin(side));
        let both = [&origins[0], &origins[1]];
        let detail = self.failure.detail;
        let divides = matches!(operation, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem);
        if divides && detail.starts_with("unable to calculate") && detail.ends_with(" 0") {
            return ValueOrigin::causes([both[1]]);
        }
        if matches!(operation, BinOpKind::In) {
            return ValueOrigin::causes([both[1]]);
        }
        let Some(kinds) = self.failure.both_kinds() else { return Vec::new() };
        let number = kinds.map(|kind| matches!(kind, "number" | "bool"));
        let literal = sides.map(|side| matches!(side, Expr::Const(_)));
        match operation {
            BinOpKind::Add | BinOpKind::Mul => of_sum(both, number, literal),
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => {
                of_numbers(both, number)
            }
            _ => Vec::new(),
        }
    }

    /// A filter, a test or a function, by what it was given: the only value of the kind that the message names.
    fn call<'e>(&self, given: impl Iterator<Item = &'e Expr<'e>>) -> Vec<Operand> {
        let given: Vec<_> = given.map(|one| (self.walk.origin(one), one)).collect();
        let wrong = self.failure.one_kind();
        let fits = |(origin, expression): &&(ValueOrigin, &Expr<'_>)| match (
            wrong,
            self.failure.kind_of(origin, expression),
        ) {
            (Some(wrong), Some(kind)) => kind.to_string() == wrong,
            _ => true,
        };
        let fitting: Vec<_> = given.iter().filter(fits).collect();
        match fitting.as_slice() {
            [(origin, _)] if wrong.is_some() || given.len() == 1 => match origin {
                ValueOrigin::Text(value) => value.operand(OperandRole::Cause).into_iter().collect(),
                value => ValueOrigin::causes([value]),
            },
            _ => Vec::new(),
        }
    }
}
