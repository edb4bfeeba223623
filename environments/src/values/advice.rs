//! Where the values were set that code or a template failed on. The mistake shows up in a component, but what has to
//! be changed is often in an environment.
//!
//! Advice that points at the wrong line is worse than none. So a value is named only if it is exactly what the failing
//! operation was given (see [`crate::text::origin`]), and the [causes](crate::template::cause) say that it was read.
//! Once one value of a mistake cannot be told, none is named.

use super::{Evaluated, LazyValues};
use crate::component::declarations::Require;
use crate::file::{ConfigNode, Data};
use crate::model::place::Provider;
use crate::template::{cause, is_template, operands};
use crate::text::diagnostic::Diagnostic;
use crate::text::origin::{Operand, OperandRole, Selector, ValueOrigin};
use crate::text::source::At;

/// How far attributes that are made from other attributes are followed.
const DEEPEST: usize = 8;

/// A value that an environment sets: its name in messages, and where it is set.
type SetValue = (String, At);

/// What is set of a value: nothing, if all of it is the component's own. `None` if it cannot be told.
type SetValues = Option<Vec<SetValue>>;

/// The instance whose values are followed, and what it is known to have used.
struct Asker<'a> {
    index: usize,
    used: Used<'a>,
    /// The instance whose mistake the advice is for.
    subject: usize,
    depth: usize,
}

/// What is known of the values that were used.
#[derive(Clone, Copy)]
enum Used<'a> {
    /// Those of the value that is being computed now.
    Now,
    /// Those of a value that was computed before.
    By(&'a Evaluated),
    /// Code read them, and handed them on.
    ByCode,
}

impl LazyValues {
    /// A diagnostic of an instance, with the places that set the values that it is about.
    pub(crate) fn advise(&self, mut diagnostic: Diagnostic, index: usize) -> Diagnostic {
        let operands = diagnostic.take_operands();
        let sets: Option<Vec<Vec<SetValue>>> =
            operands.iter().map(|operand| self.operand_sets(index, operand)).collect();
        let mut set: Vec<SetValue> = sets.unwrap_or_default().into_iter().flatten().collect();
        set.sort_by(|(name, _), (other, _)| name.cmp(other));
        set.iter().fold(diagnostic, |diagnostic, (name, at)| diagnostic.set_at(name, at))
    }

    /// Where an operand is set. Of several values that it may be, those that were never read are not it.
    fn operand_sets(&self, index: usize, operand: &Operand) -> SetValues {
        let used = if operand.handed_on { Used::ByCode } else { Used::Now };
        let asker = Asker { index, used, subject: index, depth: 0 };
        let several = operand.paths.len() > 1;
        let meant = operand.paths.iter().filter(|path| !several || self.may_be_read(&asker, path));
        let sets: Vec<Vec<SetValue>> = meant.map(|path| self.sets(&asker, path)).collect::<Option<_>>()?;
        let (first, rest) = sets.split_first()?;
        let certain = rest.iter().all(|other| is_same(first, other));
        match operand.role {
            OperandRole::Cause if first.is_empty() => None,
            _ => certain.then(|| first.clone()),
        }
    }

    /// Whether the value at a path may have been read.
    fn may_be_read(&self, asker: &Asker<'_>, path: &[Selector]) -> bool {
        match path {
            [Selector::Name(root), Selector::Name(name), ..] if root == "component" => {
                asker.used(&format!("attribute {}.{name}", self.instance(asker.index).component.name))
            }
            [Selector::Name(root), Selector::Name(name), ..] if root == "settings" => {
                asker.used(&format!("setting {name}"))
            }
            _ => true,
        }
    }

    /// Where the value at a path is set.
    fn sets(&self, asker: &Asker<'_>, path: &[Selector]) -> SetValues {
        let (Selector::Name(root), rest) = path.split_first()? else { return None };
        match (root.as_str(), rest) {
            ("component", [Selector::Name(attribute), rest @ ..]) => {
                self.attribute_sets(asker, attribute, rest)
            }
            ("settings", [Selector::Name(setting), rest @ ..]) => self.setting_sets(asker, setting, rest),
            ("host", [Selector::Name(data), Selector::Name(name), ..]) if data == "data" => {
                self.host_sets(asker, name)
            }
            ("component" | "settings" | "host" | "environment", _) => None,
            (variable, rest) => self.resource_sets(asker, variable, rest),
        }
    }

    fn attribute_sets(&self, asker: &Asker<'_>, attribute: &str, path: &[Selector]) -> SetValues {
        let instance = self.instance(asker.index);
        let component = &instance.component;
        if !asker.used(&format!("attribute {}.{attribute}", component.name)) {
            return None;
        }
        let default = component.interface.attributes.get(attribute).and_then(|it| it.default.as_ref());
        let over = instance.overrides.get(attribute).map(|member| &member.node);
        match member(default, over, path) {
            PathEnd::Over(at) => {
                let own = component.name == self.instance(asker.subject).component.name;
                let name = if own { attribute.to_owned() } else { format!("{}.{attribute}", component.name) };
                Some(vec![(name, at.clone())])
            }
            PathEnd::Default(node, rest) => {
                let evaluated = self.cells[asker.index].attributes.get(attribute)?.get()?.as_ref()?;
                self.node_sets(&asker.of(asker.index, evaluated), node, rest)
            }
            PathEnd::Unknown => None,
        }
    }

    fn setting_sets(&self, asker: &Asker<'_>, setting: &str, path: &[Selector]) -> SetValues {
        let set = self.model.environment.values.get(setting)?;
        match member(None, Some(&set.node), path) {
            PathEnd::Over(at) if asker.used(&format!("setting {setting}")) => {
                Some(vec![(format!("settings.{setting}"), at.clone())])
            }
            _ => None,
        }
    }

    fn host_sets(&self, asker: &Asker<'_>, name: &str) -> SetValues {
        let host = &self.model.environment.inventory.hosts[self.instance(asker.index).host];
        let at = host.data_at.get(name).filter(|_| asker.used(&format!("host data {name}")))?;
        Some(vec![(format!("host.data.{name}"), at.clone())])
    }

    /// For what others provide: only if all providers lead to the same places.
    fn resource_sets(&self, asker: &Asker<'_>, variable: &str, path: &[Selector]) -> SetValues {
        let requires = &self.instance(asker.index).component.declarations.requires;
        let named = |require: &Require| require.variable.as_deref() == Some(variable);
        let require = requires.iter().position(named)?;
        let key = &requires[require].key.value;
        let providers = &self.connections.providers[asker.index][require];
        let path = match path.split_first() {
            _ if requires[require].one => path,
            Some((Selector::Item, rest)) => rest,
            Some((Selector::Index(index), rest)) if *index < providers.len() => rest,
            _ => return None,
        };
        let all = providers.iter().map(|provider| {
            let from = self.model.subject(provider.instance);
            let used = asker.used(&format!("resource {key} from {from}"));
            if used { self.provided_sets(asker, *provider, path) } else { None }
        });
        let all: Vec<Vec<SetValue>> = all.collect::<Option<_>>()?;
        let (first, rest) = all.split_first()?;
        rest.iter().all(|other| is_same(first, other)).then(|| first.clone())
    }

    fn provided_sets(&self, asker: &Asker<'_>, provider: Provider, path: &[Selector]) -> SetValues {
        let provide = &self.instance(provider.instance).component.declarations.provides[provider.provide];
        let evaluated = self.cells[provider.instance].provides[provider.provide].get()?.as_ref()?;
        // Code made the value, and what it made it from is not known.
        if provide.by.is_code() {
            return None;
        }
        match member(Some(&provide.value), None, path) {
            PathEnd::Default(node, rest) => {
                self.node_sets(&asker.of(provider.instance, evaluated), node, rest)
            }
            PathEnd::Over(_) | PathEnd::Unknown => None,
        }
    }

    /// For a part of a component's file: a text that is another value is followed to that one.
    fn node_sets(&self, asker: &Asker<'_>, node: &ConfigNode, rest: &[Selector]) -> SetValues {
        let text = match &node.data {
            Data::String(text) if is_template(text) => text,
            _ => return Some(Vec::new()),
        };
        match operands::shown(text) {
            ValueOrigin::Value(path) if asker.depth <= DEEPEST => self.sets(asker, &[&path, rest].concat()),
            _ => None,
        }
    }
}

impl<'a> Asker<'a> {
    fn used(&self, cause: &str) -> bool {
        match self.used {
            Used::By(evaluated) => evaluated.causes.contains_key(cause),
            Used::Now => cause::was_used(cause),
            Used::ByCode => true,
        }
    }

    /// One step further, to what a value was made from.
    fn of(&self, index: usize, evaluated: &'a Evaluated) -> Asker<'a> {
        Asker { index, used: Used::By(evaluated), subject: self.subject, depth: self.depth + 1 }
    }
}

/// What a path leads to, if one value is laid over another.
enum PathEnd<'a> {
    Over(&'a At),
    /// This part, and what is left of the path.
    Default(&'a ConfigNode, &'a [Selector]),
    Unknown,
}

fn member<'a>(
    default: Option<&'a ConfigNode>,
    over: Option<&'a ConfigNode>,
    path: &'a [Selector],
) -> PathEnd<'a> {
    let end = |found: Option<(&'a ConfigNode, &'a [Selector])>| {
        found.map_or(PathEnd::Unknown, |(node, rest)| PathEnd::Default(node, rest))
    };
    if let Some(over) = over
        && !may_be(over, path)
    {
        return PathEnd::Unknown;
    }
    let Some(over) = over else {
        return end(default.and_then(|default| below(default, path)));
    };
    let merged = match default.map(|default| &default.data) {
        Some(Data::Table(table)) => Some(table),
        _ => None,
    };
    // A part of the whole is the component's own.
    if let (Data::Table(table), Some(merged), []) = (&over.data, merged, path)
        && merged.keys().any(|name| !table.contains_key(name))
    {
        return PathEnd::Unknown;
    }
    let (name, rest, table) = match (&over.data, path.split_first()) {
        (Data::Table(table), Some((Selector::Name(name), rest))) => (name, rest, table),
        // Some member, of either.
        (Data::Table(_), Some(_)) if merged.is_some() => return PathEnd::Unknown,
        _ => return PathEnd::Over(&over.at),
    };
    match (merged.and_then(|merged| merged.get(name)), table.get(name)) {
        (default, Some(over)) => member(default.map(|member| &member.node), Some(&over.node), rest),
        (Some(default), None) => end(below(&default.node, rest)),
        (None, None) => PathEnd::Over(&over.at),
    }
}

/// Whether the value at a path is one that code cannot have changed, if the path asks for that.
fn may_be(node: &ConfigNode, path: &[Selector]) -> bool {
    let Some((selector, rest)) = path.split_first() else { return true };
    match (&node.data, selector) {
        (Data::Table(_) | Data::Array(_), Selector::Scalar) => false,
        (Data::Table(table), Selector::Name(name)) => {
            table.get(name).is_none_or(|member| may_be(&member.node, rest))
        }
        (Data::Table(table), _) => table.values().all(|member| may_be(&member.node, rest)),
        (Data::Array(items), Selector::Index(index)) => {
            items.get(*index).is_none_or(|item| may_be(item, rest))
        }
        (Data::Array(items), _) => items.iter().all(|item| may_be(item, rest)),
        _ => true,
    }
}

/// The part that a path leads to, and what is left of the path where the rest is not written there.
fn below<'a>(node: &'a ConfigNode, path: &'a [Selector]) -> Option<(&'a ConfigNode, &'a [Selector])> {
    let Some((selector, rest)) = path.split_first() else { return Some((node, path)) };
    match (&node.data, selector) {
        (Data::Table(table), Selector::Name(name)) => match table.get(name) {
            Some(member) => below(&member.node, rest),
            None => Some((node, path)),
        },
        (Data::Array(_), Selector::Scalar) | (Data::Table(_), _) => None,
        (Data::Array(items), Selector::Index(index)) => items.get(*index).and_then(|item| below(item, rest)),
        (Data::Array(items), _) => match items.as_slice() {
            [only] => below(only, rest),
            _ => None,
        },
        _ => Some((node, path)),
    }
}

fn is_same(one: &[SetValue], other: &[SetValue]) -> bool {
    let same = |((name, at), (other_name, other)): (&SetValue, &SetValue)| {
        name == other_name && at.source.path() == other.source.path() && at.span == other.span
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}
