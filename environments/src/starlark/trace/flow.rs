//! Where the values of expressions come from, in the calls that are under way.

use starlark::syntax::ast::{Argument, AstExpr, AstLiteral, AstStmt, Expr, Parameter, Stmt};

use super::tree::{Function, FunctionBody, Meaning, ParsedLevel, function_at, is_in, is_named, of_lambda};
use crate::text::origin::{Selector, ValueOrigin};
use crate::text::source::At;

/// How many names that stand for other names are followed.
const DEEPEST: usize = 30;

/// What `c` has that is not an attribute, but a name of its own in templates. They are structs.
const NAMES: [&str; 3] = ["environment", "host", "settings"];

/// A function that was called.
pub(super) struct CodeLevel<'a> {
    pub(super) function: Function<'a>,
    pub(super) parsed: &'a ParsedLevel,
}

/// The calls that are under way, the innermost first.
pub(super) struct OriginFlow<'a> {
    pub(super) levels: Vec<CodeLevel<'a>>,
    /// As in [`super::CallTrace`].
    pub(super) made: &'a [At],
}

/// What a name stands for, and at which level that is written.
pub(super) enum NameMeaning<'a> {
    /// It is the component that this level configures.
    Component(usize),
    Written(WrittenMeaning<'a>),
    /// A global of a file, or a built-in name: the same for every host.
    Constant,
    Unknown,
}

/// What stands where a name is set.
pub(super) struct WrittenMeaning<'a> {
    pub(super) level: usize,
    pub(super) meaning: Meaning<'a>,
    /// The name is read once, so that a list is still what was written there.
    unchanged: bool,
}

impl<'a> OriginFlow<'a> {
    /// Only where the value of an expression is certain to be that of a part of it, which is little: code can do anything
    /// to values.
    pub(super) fn origin(&self, level: usize, expression: &'a AstExpr, depth: usize) -> ValueOrigin {
        if depth > DEEPEST {
            return ValueOrigin::Unknown;
        }
        let depth = depth + 1;
        let all = |items: &'a [AstExpr]| items.iter().map(|item| self.origin(level, item, depth)).collect();
        match &expression.node {
            Expr::Literal(_) => ValueOrigin::Own,
            Expr::Identifier(name) => match self.meaning(level, &name.ident) {
                NameMeaning::Written(written) => {
                    let origin = self.meant(written.level, &written.meaning, depth);
                    if written.unchanged { origin } else { origin.scalar() }
                }
                NameMeaning::Constant => ValueOrigin::Own,
                NameMeaning::Component(_) | NameMeaning::Unknown => ValueOrigin::Unknown,
            },
            Expr::Dot(owner, name) => match self.component(level, owner, depth) {
                Some(component) => self.attribute(component, name, depth),
                None => match self.origin(level, owner, depth) {
                    ValueOrigin::Value(path) if is_struct(&path) => {
                        ValueOrigin::Value(path).then(&Selector::name(name))
                    }
                    _ => ValueOrigin::Unknown,
                },
            },
            Expr::Index(parts) => {
                let (owner, index) = parts.as_ref();
                self.origin(level, owner, depth).then(&selector(index))
            }
            Expr::List(items) | Expr::Tuple(items) => ValueOrigin::List(all(items)),
            Expr::Dict(members) => {
                let member = |(key, value): &'a (AstExpr, AstExpr)| match selector(key) {
                    Selector::Name(name) => Some((name, self.origin(level, value, depth))),
                    _ => None,
                };
                members
                    .iter()
                    .map(member)
                    .collect::<Option<_>>()
                    .map_or(ValueOrigin::Unknown, ValueOrigin::Map)
            }
            Expr::If(parts) => {
                let (_, yes, no) = parts.as_ref();
                ValueOrigin::one_of([yes, no].map(|part| self.origin(level, part, depth)))
            }
            Expr::Op(left, operation, right) if is_choice(*operation) => {
                ValueOrigin::one_of([left, right].map(|part| self.origin(level, part, depth)))
            }
            _ => ValueOrigin::Unknown,
        }
    }

    fn meant(&self, level: usize, meaning: &Meaning<'a>, depth: usize) -> ValueOrigin {
        match meaning {
            Meaning::Value(value) => self.origin(level, value, depth),
            Meaning::ItemOf(list) => self.origin(level, list, depth).item(),
            Meaning::Part(whole, place) => self.meant(level, whole, depth).then(&Selector::Index(*place)),
            Meaning::Unknown => ValueOrigin::Unknown,
        }
    }

    /// An attribute of one of the components that are being configured, or another name that it has.
    pub(super) fn attribute(&self, component: usize, name: &str, depth: usize) -> ValueOrigin {
        if NAMES.contains(&name) {
            return ValueOrigin::name(name);
        }
        if component == self.made.len() {
            return ValueOrigin::name("component").then(&Selector::name(name));
        }
        self.argument_of_part(component, name, depth).unwrap_or(ValueOrigin::Unknown)
    }

    /// What a sub-component was made with, if a function made it that is under way.
    fn argument_of_part(&self, component: usize, name: &str, depth: usize) -> Option<ValueOrigin> {
        let made = self.made.get(component)?;
        let (level, call) = self.expression_at(made, Some(component + 1))?;
        if !self.runs_once(level) && !is_in(&made.span, &self.levels[level].parsed.place) {
            return None;
        }
        let Expr::Call(_, given) = &call.node else { return None };
        given.args.iter().find_map(|argument| match &argument.node {
            Argument::Named(given, value) if given.node == name => Some(self.origin(level, value, depth)),
            _ => None,
        })
    }

    /// Whether a function is the `configure` that batou calls. Another one may have run before, with other arguments.
    fn runs_once(&self, level: usize) -> bool {
        let component = |level: &CodeLevel<'_>| level.parsed.component;
        self.levels.get(level + 1).map(component) != Some(component(&self.levels[level]))
    }

    /// What is written at a place in one of the functions of the innermost component: there, or in the dict there.
    pub(super) fn written_at(&self, at: &At, key: Option<&str>) -> Option<ValueOrigin> {
        let (level, value) = self.expression_at(at, Some(0))?;
        let origin = self.origin(level, value, 0);
        Some(key.map_or(origin.clone(), |key| origin.then(&Selector::name(key))))
    }

    fn expression_at(&self, at: &At, component: Option<usize>) -> Option<(usize, &'a AstExpr)> {
        let name = at.source.path().to_str()?;
        let levels = self.levels.iter().enumerate();
        let mut inside = levels.filter(|(_, level)| {
            component.is_none_or(|component| level.parsed.component == component)
                && level.parsed.name == name
                && is_in(&at.span, &level.function.body.span())
        });
        let (number, level) = inside.next()?;
        Some((number, level.function.body.expression_at(&at.span)?))
    }

    /// Which of the components that are being configured an expression is.
    fn component(&self, level: usize, expression: &'a AstExpr, depth: usize) -> Option<usize> {
        if depth > DEEPEST {
            return None;
        }
        match &expression.node {
            Expr::Identifier(name) => match self.meaning(level, &name.ident) {
                NameMeaning::Component(component) => Some(component),
                NameMeaning::Written(WrittenMeaning { level, meaning: Meaning::Value(value), .. }) => {
                    self.component(level, value, depth + 1)
                }
                _ => None,
            },
            Expr::Dot(owner, name) if name.node == "root" => {
                self.component(level, owner, depth + 1).map(|_| self.made.len())
            }
            Expr::Dot(owner, name) if name.node == "parent" => {
                let component = self.component(level, owner, depth + 1)?;
                (component < self.made.len()).then_some(component + 1)
            }
            _ => None,
        }
    }

    /// What a name stands for at a level.
    pub(super) fn meaning(&self, level: usize, name: &str) -> NameMeaning<'a> {
        let Some(CodeLevel { function, parsed }) = self.levels.get(level) else {
            return NameMeaning::Unknown;
        };
        let parameter = function.parameters.iter().position(|parameter| is_named(&parameter.node, name));
        let mut meanings = function.body.meanings(name);
        let unchanged = function.body.is_read_once(name);
        match (parameter, meanings.len()) {
            (None, 0) => self.around(level, name),
            (None, 1) => {
                NameMeaning::Written(WrittenMeaning { level, meaning: meanings.remove(0), unchanged })
            }
            // The outermost function is the `configure` that batou calls.
            (Some(0), 0) if self.runs_once(level) => NameMeaning::Component(parsed.component),
            (Some(position), 0) if !self.runs_once(level) => {
                self.argument(level, position, name).map_or(NameMeaning::Unknown, |value| {
                    let meaning = Meaning::Value(value);
                    NameMeaning::Written(WrittenMeaning { level: level + 1, meaning, unchanged })
                })
            }
            _ => NameMeaning::Unknown,
        }
    }

    /// What a name stands for in the function around another one, if that is under way, too.
    fn around(&self, level: usize, name: &str) -> NameMeaning<'a> {
        let CodeLevel { function, parsed } = &self.levels[level];
        let (inner, file) = (function.body.span(), parsed.file.statement());
        let Some(around) = enclosing(file, &inner) else {
            return if is_fixed(file, name) { NameMeaning::Constant } else { NameMeaning::Unknown };
        };
        let around = around.body.span();
        let mut outer = self.levels.iter().enumerate().skip(level + 1).filter(|(_, outer)| {
            outer.parsed.component == parsed.component
                && outer.parsed.name == parsed.name
                && outer.function.body.span() == around
        });
        match (outer.next(), outer.next()) {
            (Some((outer, _)), None) => self.meaning(outer, name),
            // It calls itself, and the function may have been made in any of these calls.
            _ => NameMeaning::Unknown,
        }
    }

    /// Whether a name is one of the language's own.
    pub(super) fn is_built_in(&self, level: usize, name: &str) -> bool {
        let file = self.levels[level].parsed.file.statement();
        let is_constant = matches!(self.meaning(level, name), NameMeaning::Constant);
        is_constant && FunctionBody::Statements(file).meanings(name).is_empty()
    }

    /// The argument for a parameter, if the function is called plainly, by its name or as a lambda.
    fn argument(&self, level: usize, position: usize, name: &str) -> Option<&'a AstExpr> {
        let inner = &self.levels[level].function;
        let outer = self.levels.get(level + 1)?;
        let Expr::Call(called, given) = &outer.function.body.expression_at(&outer.parsed.place)?.node else {
            return None;
        };
        let plain = |parameter: &Parameter| matches!(parameter, Parameter::Normal(..));
        if !self.is_called(level, called) || !inner.parameters.iter().all(|parameter| plain(&parameter.node))
        {
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

    /// Whether what is called from the next level is the function of this one.
    fn is_called(&self, level: usize, called: &'a AstExpr) -> bool {
        let inner = &self.levels[level].function;
        let same = |called: &'a AstExpr| match &called.node {
            Expr::Lambda(lambda) => of_lambda(lambda).body.span() == inner.body.span(),
            _ => false,
        };
        match (&called.node, inner.name) {
            (Expr::Identifier(function), Some(name)) => {
                let defined = match self.meaning(level + 1, name) {
                    NameMeaning::Constant => true,
                    NameMeaning::Written(written) => matches!(written.meaning, Meaning::Unknown),
                    NameMeaning::Component(_) | NameMeaning::Unknown => false,
                };
                function.ident == name && defined
            }
            (Expr::Identifier(function), None) => match self.meaning(level + 1, &function.ident) {
                NameMeaning::Written(WrittenMeaning { meaning: Meaning::Value(value), .. }) => same(value),
                _ => false,
            },
            _ => same(called),
        }
    }
}

/// Whether the value at a path has members rather than methods.
fn is_struct(path: &[Selector]) -> bool {
    matches!(path, [Selector::Name(root)] if NAMES.contains(&root.as_str()))
}

/// The function around another one.
fn enclosing<'a>(file: &'a AstStmt, inner: &std::ops::Range<usize>) -> Option<Function<'a>> {
    // Its name and its parameters stand in the function around it.
    let before = inner.start.checked_sub(1)?;
    let around = function_at(file, &(before..before))?;
    (around.body.span() != *inner).then_some(around)
}

/// Whether a global is set once at most, at the top of its file.
fn is_fixed(file: &AstStmt, name: &str) -> bool {
    match file.node {
        Stmt::Statements(_) => {
            let set = FunctionBody::Statements(file).meanings(name);
            let once = |meaning: &Meaning<'_>| !matches!(meaning, Meaning::ItemOf(_) | Meaning::Part(..));
            set.len() <= 1 && set.iter().all(once)
        }
        _ => false,
    }
}

pub(super) fn is_choice(operation: starlark::syntax::ast::BinOp) -> bool {
    use starlark::syntax::ast::BinOp;
    matches!(operation, BinOp::And | BinOp::Or)
}

fn selector(index: &AstExpr) -> Selector {
    match &index.node {
        Expr::Literal(AstLiteral::String(name)) => Selector::name(name),
        Expr::Literal(AstLiteral::Int(number)) => {
            number.node.to_string().parse().map_or(Selector::Item, Selector::Index)
        }
        _ => Selector::Item,
    }
}

/// Whether an expression is written as it is.
pub(super) fn is_literal(expression: &AstExpr) -> bool {
    match &expression.node {
        Expr::Literal(_) => true,
        Expr::Minus(number) => matches!(number.node, Expr::Literal(_)),
        _ => false,
    }
}
