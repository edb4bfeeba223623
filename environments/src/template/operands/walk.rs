//! A walk through a template, which knows at each point what every name stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{Call, CallArg, Expr, ForLoop, Macro, SetBlock, Stmt};

use super::syntax::{given, parts};
use crate::text::origin::{Operand, Selector, ValueOrigin};

/// What stands at the place of a mistake.
pub(super) enum Found<'a> {
    /// An expression that failed.
    Expression(&'a Expr<'a>),
    /// A list that a loop goes through.
    Iterated(&'a Expr<'a>),
    /// Names that take the parts of a value.
    Unpacked(ValueOrigin),
}

/// The arguments of a call, by name or by position.
pub(super) type CallArguments<'a> = Vec<(Option<&'a str>, ValueOrigin)>;

/// What is noted about a whole template.
#[derive(Default)]
pub(super) struct Noted<'a> {
    /// How often a name is set.
    pub(super) sets: BTreeMap<&'a str, usize>,
    /// How often a member of a namespace is set, by its own name.
    members: BTreeMap<&'a str, usize>,
    /// The calls of everything that has a name; `None` for one with `*args`.
    calls: BTreeMap<&'a str, Vec<Option<CallArguments<'a>>>>,
    /// The names that are used otherwise than by being called.
    values: BTreeSet<&'a str>,
    pub(super) extends: bool,
}

/// Says which operands of what stands at the place are at fault.
pub(super) type OperandJudge<'w> = dyn Fn(&TemplateWalk<'_, '_>, &Found<'_>) -> Vec<Operand> + 'w;

/// The walk, and what it has found.
pub(super) struct TemplateWalk<'w, 'a> {
    /// The place that is looked for.
    place: Option<Range<usize>>,
    judge: &'w OperandJudge<'w>,
    /// What was noted about the template, if nothing else uses its macros.
    pub(super) known: Option<&'w Noted<'a>>,
    /// What names stand for, the innermost scope last.
    scopes: Vec<BTreeMap<&'a str, ValueOrigin>>,
    /// The scope at which the innermost macro begins.
    macro_begin: Option<usize>,
    pub(super) noted: Noted<'a>,
    pub(super) found: Option<Vec<Operand>>,
}

impl<'w, 'a> TemplateWalk<'w, 'a> {
    pub(super) fn new(place: Option<Range<usize>>, judge: &'w OperandJudge<'w>) -> Self {
        TemplateWalk {
            place,
            judge,
            known: None,
            scopes: Vec::new(),
            macro_begin: None,
            noted: Noted::default(),
            found: None,
        }
    }

    fn statements(&mut self, statements: &'a [Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    pub(super) fn statement(&mut self, statement: &'a Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.scoped(|walk| walk.statements(&template.children)),
            Stmt::EmitExpr(shown) => {
                // The engine reports a value that cannot be printed at the whole `{{ … }}`.
                if self.is_here(shown.span()) {
                    self.judge(&Found::Expression(&shown.expr));
                }
                self.look(&shown.expr);
            }
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
            Stmt::SetBlock(block) => self.set_block(block),
            Stmt::AutoEscape(block) => self.perhaps(|walk| walk.statements(&block.body)),
            Stmt::FilterBlock(block) => self.perhaps(|walk| walk.statements(&block.body)),
            Stmt::Block(block) => self.scoped(|walk| walk.statements(&block.body)),
            Stmt::Import(import) => {
                self.look(&import.expr);
                self.name(&import.name, &ValueOrigin::Unknown);
            }
            Stmt::FromImport(import) => {
                self.look(&import.expr);
                for (name, alias) in &import.names {
                    self.name(alias.as_ref().unwrap_or(name), &ValueOrigin::Unknown);
                }
            }
            Stmt::Extends(extends) => {
                self.noted.extends = true;
                self.look(&extends.name);
            }
            Stmt::Include(include) => self.look(&include.name),
            Stmt::Macro(definition) => {
                self.bind(definition.name, ValueOrigin::Unknown);
                self.definition(definition, true);
            }
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.definition(&block.macro_decl, false);
            }
            Stmt::Do(statement) => self.call(&statement.call),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        }
    }

    fn for_loop(&mut self, each: &'a ForLoop<'a>) {
        if self.is_here(each.iter.span()) {
            self.judge(&Found::Iterated(&each.iter));
        }
        self.look(&each.iter);
        let item = self.origin(&each.iter).item();
        // The engine reports a value that cannot be unpacked at the loop's names.
        if self.is_here(each.target.span()) {
            self.judge(&Found::Unpacked(item.clone()));
        }
        self.scoped(|walk| {
            // A recursive loop goes through other lists, too.
            walk.name(&each.target, if each.recursive { &ValueOrigin::Unknown } else { &item });
            walk.bind("loop", ValueOrigin::Unknown);
            each.filter_expr.iter().for_each(|filter| walk.look(filter));
            walk.statements(&each.body);
        });
        self.scoped(|walk| walk.statements(&each.else_body));
    }

    /// `{% set x %}…{% endset %}`
    fn set_block(&mut self, block: &'a SetBlock<'a>) {
        self.perhaps(|walk| walk.statements(&block.body));
        let shown =
            block.body.iter().filter(|part| !matches!(part, Stmt::EmitRaw(raw) if raw.raw.is_empty()));
        let shown: Vec<_> = shown.collect();
        let origin = match (shown.as_slice(), &block.filter) {
            ([Stmt::EmitExpr(shown)], None) => match self.origin(&shown.expr) {
                ValueOrigin::Text(text) => ValueOrigin::Text(text),
                value @ (ValueOrigin::Value(_) | ValueOrigin::OneOf(_)) => ValueOrigin::Text(Box::new(value)),
                _ => ValueOrigin::Unknown,
            },
            _ => ValueOrigin::Unknown,
        };
        self.name(&block.target, &origin);
    }

    /// The body of a macro, or of `{% call %}`.
    fn definition(&mut self, definition: &'a Macro<'a>, named: bool) {
        let before = self.macro_begin.replace(self.scopes.len());
        let call = if named { self.only_call(definition.name) } else { None };
        self.scoped(|walk| {
            walk.bind("caller", ValueOrigin::Unknown);
            definition.defaults.iter().for_each(|value| walk.look(value));
            let optional = definition.args.len() - definition.defaults.len();
            for (position, argument) in definition.args.iter().enumerate() {
                let default = position.checked_sub(optional).and_then(|at| definition.defaults.get(at));
                let default = default.map_or(ValueOrigin::Unknown, |default| walk.origin(default));
                let origin = call
                    .map_or(ValueOrigin::Unknown, |given| argument_of(given, position, argument, default));
                walk.name(argument, &origin);
            }
            walk.statements(&definition.body);
        });
        self.macro_begin = before;
    }

    /// The arguments of the only call of a macro, if it is certain that there is no other.
    fn only_call(&self, name: &str) -> Option<&'w CallArguments<'a>> {
        let known = self.known?;
        let once = known.sets.get(name) == Some(&1) && !known.values.contains(name);
        match known.calls.get(name).map(Vec::as_slice) {
            Some([Some(given)]) if once => Some(given),
            _ => None,
        }
    }

    fn call(&mut self, call: &'a Call<'a>) {
        match &call.expr {
            Expr::Var(function) => {
                let positional =
                    |argument: &CallArg<'a>| !matches!(argument, CallArg::Pos(_) | CallArg::Kwarg(..));
                let arguments = (!call.args.iter().any(positional)).then(|| {
                    let given = |argument: &'a CallArg<'a>| match argument {
                        CallArg::Kwarg(name, value) => (Some(*name), self.origin(value)),
                        other => (None, self.origin(given(other))),
                    };
                    call.args.iter().map(given).collect()
                });
                self.noted.calls.entry(function.id).or_default().push(arguments);
            }
            other => self.look(other),
        }
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
            self.put(name, ValueOrigin::Unknown);
        }
    }

    fn assign(&mut self, target: &'a Expr<'a>, value: &'a Expr<'a>) {
        self.look(value);
        let origin = self.namespace(value).unwrap_or_else(|| self.origin(value));
        if self.is_here(target.span()) && !matches!(target, Expr::Var(_) | Expr::GetAttr(_)) {
            self.judge(&Found::Unpacked(origin.clone()));
        }
        self.name(target, &origin);
    }

    /// A new namespace, with those of its members that are never set again.
    fn namespace(&self, value: &'a Expr<'a>) -> Option<ValueOrigin> {
        let Expr::Call(call) = value else { return None };
        if !matches!(&call.expr, Expr::Var(function) if function.id == "namespace") {
            return None;
        }
        let mut members = Vec::new();
        for argument in &call.args {
            let CallArg::Kwarg(name, value) = argument else { return Some(ValueOrigin::Unknown) };
            let fixed = self.known.is_some_and(|known| !known.members.contains_key(name));
            members.push(((*name).to_owned(), if fixed { self.origin(value) } else { ValueOrigin::Unknown }));
        }
        // What is not among its members may be set later.
        Some(ValueOrigin::Map(members))
    }

    fn name(&mut self, target: &'a Expr<'a>, origin: &ValueOrigin) {
        let parts = |names: &'a [Expr<'a>]| {
            let part = |(place, name)| (name, origin.then(&Selector::Index(place)));
            names.iter().enumerate().map(part).collect::<Vec<_>>()
        };
        let parts = match target {
            Expr::Var(name) => return self.bind(name.id, origin.clone()),
            Expr::GetAttr(member) => return self.member(&member.expr, member.name, origin),
            Expr::List(names) => parts(&names.items),
            Expr::Tuple(names) => parts(&names.items),
            _ => return,
        };
        for (name, part) in parts {
            self.name(name, &part);
        }
    }

    /// `{% set namespace.member = … %}`
    fn member(&mut self, namespace: &'a Expr<'a>, member: &'a str, origin: &ValueOrigin) {
        *self.noted.members.entry(member).or_default() += 1;
        let Expr::Var(name) = namespace else { return };
        let only = self.known.is_some_and(|known| known.members.get(member) == Some(&1));
        let scope = self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name.id));
        if let Some(ValueOrigin::Map(members)) = scope {
            // What it held before stays its value where this statement is not reached.
            let fresh = !members.iter().any(|(known, _)| known == member);
            let origin = if only && fresh { origin.clone() } else { ValueOrigin::Unknown };
            members.push((member.to_owned(), origin));
        }
    }

    fn bind(&mut self, name: &'a str, origin: ValueOrigin) {
        *self.noted.sets.entry(name).or_default() += 1;
        self.put(name, origin);
    }

    fn put(&mut self, name: &'a str, origin: ValueOrigin) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, origin);
        }
    }

    /// Goes through an expression, and looks for the place.
    pub(super) fn look(&mut self, expression: &'a Expr<'a>) {
        if self.is_here(expression.span()) {
            self.judge(&Found::Expression(expression));
        }
        match expression {
            Expr::Call(call) => self.call(call),
            Expr::Var(name) => drop(self.noted.values.insert(name.id)),
            _ => parts(expression).into_iter().for_each(|part| self.look(part)),
        }
    }

    /// Whether this is the place that is looked for: of several with the same span, the outermost.
    fn is_here(&self, span: Span) -> bool {
        let range = span.start_offset as usize..span.end_offset as usize;
        self.found.is_none() && self.place.as_ref() == Some(&range)
    }

    fn judge(&mut self, found: &Found<'a>) {
        self.found = Some((self.judge)(self, found));
    }

    /// What a name stands for.
    pub(super) fn meaning(&self, name: &str) -> ValueOrigin {
        let begin = self.macro_begin.unwrap_or(0);
        let within = |from: usize| self.scopes[from..].iter().rev().find_map(|scope| scope.get(name));
        match (within(begin), self.macro_begin) {
            (Some(origin), _) => return origin.clone(),
            (None, None) => return ValueOrigin::name(name),
            (None, Some(_)) => {}
        }
        // A macro sees what the names around it stand for when it is called.
        match (self.known.and_then(|known| known.sets.get(name)), self.known, within(0)) {
            (None, Some(_), _) => ValueOrigin::name(name),
            (Some(1), _, Some(origin)) => origin.clone(),
            _ => ValueOrigin::Unknown,
        }
    }
}

fn argument_of(
    given: &CallArguments<'_>,
    position: usize,
    name: &Expr<'_>,
    default: ValueOrigin,
) -> ValueOrigin {
    let Expr::Var(name) = name else { return ValueOrigin::Unknown };
    let named = given.iter().find(|(known, _)| *known == Some(name.id));
    let found = named.or_else(|| given.iter().filter(|(name, _)| name.is_none()).nth(position));
    found.map_or(default, |(_, origin)| origin.clone())
}
