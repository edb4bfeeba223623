//! Where the value of an expression comes from.

use minijinja::machinery::ast::{BinOpKind, Expr};

use super::syntax::given;
use super::walk::TemplateWalk;
use crate::text::origin::{Selector, ValueOrigin};

impl TemplateWalk<'_, '_> {
    pub(super) fn origin(&self, expression: &Expr<'_>) -> ValueOrigin {
        match expression {
            Expr::Var(name) => self.meaning(name.id),
            Expr::Const(_) => ValueOrigin::Own,
            Expr::GetAttr(member) => self.origin(&member.expr).then(&Selector::name(member.name)),
            Expr::GetItem(item) => self.origin(&item.expr).then(&selector(&item.subscript_expr)),
            Expr::List(list) => ValueOrigin::List(list.items.iter().map(|item| self.origin(item)).collect()),
            Expr::Tuple(tuple) => {
                ValueOrigin::List(tuple.items.iter().map(|item| self.origin(item)).collect())
            }
            Expr::Map(map) => {
                let member = |(key, value)| Some((key_of(key)?.to_owned(), self.origin(value)));
                let members: Option<Vec<_>> = map.keys.iter().zip(&map.values).map(member).collect();
                members.map_or(ValueOrigin::Unknown, ValueOrigin::Map)
            }
            Expr::IfExpr(choice) => {
                let otherwise =
                    choice.false_expr.as_ref().map_or(ValueOrigin::Own, |other| self.origin(other));
                ValueOrigin::one_of([self.origin(&choice.true_expr), otherwise])
            }
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
                ValueOrigin::one_of([self.origin(&operation.left), self.origin(&operation.right)])
            }
            Expr::Filter(filter) => match (filter.name, &filter.expr, filter.args.as_slice()) {
                ("first" | "last", Some(list), []) => self.origin(list).item(),
                ("default" | "d", Some(value), [other]) => {
                    ValueOrigin::one_of([self.origin(value), self.origin(given(other))])
                }
                _ => ValueOrigin::Unknown,
            },
            _ => ValueOrigin::Unknown,
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
