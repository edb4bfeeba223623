//! The parts of expressions, as they are written.

use minijinja::machinery::ast::{CallArg, Expr};

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
