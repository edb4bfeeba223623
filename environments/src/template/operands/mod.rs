//! The values that a mistake in a template is about. Variables that the template itself sets are followed.

mod expression;
mod judge;
mod syntax;
mod walk;

use std::collections::BTreeSet;

use minijinja::machinery::ast::Stmt;
use minijinja::machinery::{parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, Value};

use crate::text::origin::{Operand, OperandRole, ValueOrigin};
use judge::EngineFailure;
use walk::{Found, TemplateWalk};

/// How the engine names what [`minijinja::Environment::compile_expression`] compiles.
pub(crate) const EXPRESSION: &str = "<expression>";

/// For a walk that looks for nothing.
fn nothing(_: &TemplateWalk<'_, '_>, _: &Found<'_>) -> Vec<Operand> {
    Vec::new()
}

/// The values that an engine error is about. `main` is the name of the template that is rendered: another one may have
/// been included, with names that this one sets, or imported, or extended.
pub(crate) fn failing(error: &Error, main: Option<&str>, scope: &Value) -> Vec<Operand> {
    let (Some(source), Some(place)) = (error.template_source(), error.range()) else { return Vec::new() };
    let failure = EngineFailure::of(error, scope);
    let judge = |walk: &TemplateWalk<'_, '_>, found: &Found<'_>| judge::operands(walk, &failure, found);
    if error.name() == Some(EXPRESSION) {
        let Ok(expression) = parse_expr(source) else { return Vec::new() };
        let mut walk = TemplateWalk::new(Some(place), &judge);
        walk.look(&expression);
        return walk.found.unwrap_or_default();
    }
    let Ok(template) = parse(source, "", SyntaxConfig::default()) else { return Vec::new() };
    let mut first = TemplateWalk::new(None, &nothing);
    first.statement(&template);
    let noted = first.noted;
    // What runs in the blocks of a template that extends another one depends on that one.
    if noted.extends {
        return Vec::new();
    }
    let mut walk = TemplateWalk::new(Some(place), &judge);
    // Another template may call its macros, too.
    walk.known = (error.name() == main).then_some(&noted);
    walk.statement(&template);
    walk.found.unwrap_or_default()
}

/// The value that a text is, if it is nothing but one expression.
pub(crate) fn shown(text: &str) -> ValueOrigin {
    let Ok(template) = parse(text, "", SyntaxConfig::default()) else { return ValueOrigin::Unknown };
    let Stmt::Template(whole) = &template else { return ValueOrigin::Unknown };
    let mut origin = ValueOrigin::Unknown;
    for statement in &whole.children {
        match statement {
            Stmt::EmitRaw(raw) if raw.raw.trim().is_empty() => {}
            Stmt::EmitExpr(shown) if origin == ValueOrigin::Unknown => {
                origin = TemplateWalk::new(None, &nothing).origin(&shown.expr);
            }
            _ => return ValueOrigin::Unknown,
        }
    }
    origin
}

/// The operand of a mistake in what a text renders to.
pub(crate) fn of_text(text: &str) -> Vec<Operand> {
    shown(text).operand(OperandRole::Cause).into_iter().collect()
}

/// The values in a text, if the mistake is theirs: with `x` in place of each, the text would be valid.
pub(crate) fn of_parts(text: &str, is_valid: impl Fn(&str) -> bool) -> Vec<Operand> {
    let Ok(template) = parse(text, "", SyntaxConfig::default()) else { return Vec::new() };
    let Stmt::Template(whole) = &template else { return Vec::new() };
    let mut origins = Vec::new();
    let mut sample = String::new();
    for statement in &whole.children {
        match statement {
            Stmt::EmitRaw(raw) => sample.push_str(raw.raw),
            Stmt::EmitExpr(shown) => {
                sample.push('x');
                origins.push(TemplateWalk::new(None, &nothing).origin(&shown.expr));
            }
            _ => return Vec::new(),
        }
    }
    if is_valid(&sample) { ValueOrigin::causes(&origins) } else { Vec::new() }
}

/// The names that a template gives to values, anywhere.
pub(crate) fn set_in(source: &str) -> BTreeSet<String> {
    let Ok(template) = parse(source, "", SyntaxConfig::default()) else { return BTreeSet::new() };
    let mut walk = TemplateWalk::new(None, &nothing);
    walk.statement(&template);
    walk.noted.sets.keys().map(|name| (*name).to_owned()).collect()
}
