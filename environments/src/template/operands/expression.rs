//! Where the value of an expression comes from.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr};

use super::walk::TemplateWalk;
use crate::text::origin::{Origin, Selector};

impl TemplateWalk<'_, '_> {
    pub(super) fn origin(&self, expression: &Expr<'_>) -> Origin {
        match expression {
            Expr::Var(name) => self.meaning(name.id),
            Expr::Const(_) => Origin::Own,
            Expr::GetAttr(member) => self.origin(&member.expr).then(&Selector::name(member.name)),
            Expr::GetItem(item) => self.origin(&item.expr).then(&selector(&item.subscript_expr)),
            Expr::List(list) => Origin::List(list.items.iter().map(|item| self.origin(item)).collect()),
            Expr::Tuple(tuple) => Origin::List(tuple.items.iter().map(|item| self.origin(item)).collect()),
            Expr::Map(map) => {
                let member = |(key, value)| Some((key_of(key)?.to_owned(), self.origin(value)));
                let members: Option<Vec<_>> = map.keys.iter().zip(&map.values).map(member).collect();
                members.map_or(Origin::Unknown, Origin::Map)
            }
            Expr::IfExpr(choice) => {
                let otherwise = choice.false_expr.as_ref().map_or(Origin::Own, |other| self.origin(other));
                Origin::one_of([self.origin(&choice.true_expr), otherwise])
            }
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
                Origin::one_of([self.origin(&operation.left), self.origin(&operation.right)])
            }
            Expr::Filter(filter) => match (filter.name, &filter.expr, filter.args.as_slice()) {
                ("first" | "last", Some(list), []) => self.origin(list).then(&Selector::Item),
                ("default" | "d", Some(value), [other]) => {
                    Origin::one_of([self.origin(value), self.origin(given(other))])
                }
                _ => Origin::Unknown,
            },
            _ => Origin::Unknown,
        }
    }
}

fn selector(subscript: &Expr<'_>) -> Selector {
    let Expr::Const(constant) = subscript else { return Selector::Item };
    match (constant.value.as_str(), constant.value.as_usize()) {
        (Some(name), _) => Selector::name(name),
        (None, Some(index)) => Selector::Index(index),
        (None, None) => Selector::Item,
    }
}

fn key_of<'e>(key: &'e Expr<'_>) -> Option<&'e str> {
    match key {
        Expr::Const(constant) => constant.value.as_str(),
        _ => None,
    }
}

/// The value of an argument.
pub(super) fn given<'e>(argument: &'e CallArg<'e>) -> &'e Expr<'e> {
    match argument {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    }
}

/// The direct parts of an expression.
pub(super) fn parts<'e>(expression: &'e Expr<'e>) -> Vec<&'e Expr<'e>> {
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
