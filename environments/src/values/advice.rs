//! Where the values were set that code or a template failed on. The mistake shows up in a component, but what has to
//! be changed is often in an environment.
//!
//! Advice that points at the wrong line is worse than none. So a value is named only if the failing expression uses it
//! and the [causes](crate::template::cause) say that it was read. If it could be one of several values, none is named.

use super::{Evaluated, LazyValues};
use crate::component::declarations::Require;
use crate::file::{ConfigNode, Data};
use crate::model::place::Provider;
use crate::template::{cause, operands};
use crate::text::diagnostic::Diagnostic;
use crate::text::operand::{Operand, Selector};
use crate::text::source::At;

/// How far attributes that are made from other attributes are followed.
const DEEPEST: usize = 8;

/// A value that an environment sets: its name in messages, and where it is set.
type SetValue = (String, At);

/// The instance whose values are followed, and what it is known to have used.
struct Asker<'a> {
    index: usize,
    /// `None` for the value that is being computed now.
    evaluated: Option<&'a Evaluated>,
    /// The instance whose mistake the advice is for.
    subject: usize,
    depth: usize,
}

impl LazyValues {
    /// A diagnostic of an instance, with the places that set the values that it is about.
    pub(crate) fn advise(&self, mut diagnostic: Diagnostic, index: usize) -> Diagnostic {
        let asker = Asker { index, evaluated: None, subject: index, depth: 0 };
        let used = diagnostic.take_operands();
        let mut set: Vec<SetValue> = used.iter().flat_map(|operand| self.sets(&asker, operand)).collect();
        set.sort_by(|(name, _), (other, _)| name.cmp(other));
        set.iter().fold(diagnostic, |diagnostic, (name, at)| diagnostic.set_at(name, at))
    }

    /// Where the values that an operand is made from are set.
    fn sets(&self, asker: &Asker<'_>, operand: &Operand) -> Vec<SetValue> {
        let Some((Selector::Name(root), rest)) = operand.path.split_first() else { return Vec::new() };
        match (root.as_str(), rest.split_first()) {
            ("component", Some((Selector::Name(attribute), rest))) => {
                self.attribute_sets(asker, attribute, rest)
            }
            ("settings", Some((Selector::Name(setting), rest))) => self.setting_sets(asker, setting, rest),
            ("component" | "settings" | "host" | "environment", _) => Vec::new(),
            (variable, _) => self.resource_sets(asker, variable, rest),
        }
    }

    fn attribute_sets(&self, asker: &Asker<'_>, attribute: &str, path: &[Selector]) -> Vec<SetValue> {
        let instance = self.instance(asker.index);
        let component = &instance.component;
        if !asker.used(&format!("attribute {}.{attribute}", component.name)) {
            return Vec::new();
        }
        let default = component.interface.attributes.get(attribute).and_then(|it| it.default.as_ref());
        let over = instance.overrides.get(attribute).map(|member| &member.node);
        match member(default, over, path) {
            PathEnd::Over(at) => {
                let own = component.name == self.instance(asker.subject).component.name;
                let name = if own { attribute.to_owned() } else { format!("{}.{attribute}", component.name) };
                vec![(name, at.clone())]
            }
            PathEnd::Default(node) => {
                let evaluated = self.cells[asker.index].attributes.get(attribute).and_then(|cell| cell.get());
                self.node_sets(&asker.of(asker.index, evaluated.and_then(Option::as_ref)), node)
            }
            PathEnd::Nothing => Vec::new(),
        }
    }

    fn setting_sets(&self, asker: &Asker<'_>, setting: &str, path: &[Selector]) -> Vec<SetValue> {
        let set =
            self.model.environment.values.get(setting).filter(|_| asker.used(&format!("setting {setting}")));
        match member(None, set.map(|member| &member.node), path) {
            PathEnd::Over(at) => vec![(format!("settings.{setting}"), at.clone())],
            PathEnd::Default(_) | PathEnd::Nothing => Vec::new(),
        }
    }

    /// For what others provide: only if all providers lead to the same places.
    fn resource_sets(&self, asker: &Asker<'_>, variable: &str, path: &[Selector]) -> Vec<SetValue> {
        let requires = &self.instance(asker.index).component.declarations.requires;
        let named = |require: &Require| require.variable.as_deref() == Some(variable);
        let Some(require) = requires.iter().position(named) else { return Vec::new() };
        let key = &requires[require].key.value;
        let path = match path.split_first() {
            _ if requires[require].one => path,
            Some((Selector::Item, rest)) => rest,
            _ => &[],
        };
        let mut all = self.connections.providers[asker.index][require].iter().map(|provider| {
            let from = self.model.subject(provider.instance);
            let used = asker.used(&format!("resource {key} from {from}"));
            if used { self.provided_sets(asker, *provider, path) } else { Vec::new() }
        });
        let Some(first) = all.next() else { return Vec::new() };
        if all.all(|other| is_same(&first, &other)) { first } else { Vec::new() }
    }

    fn provided_sets(&self, asker: &Asker<'_>, provider: Provider, path: &[Selector]) -> Vec<SetValue> {
        let provide = &self.instance(provider.instance).component.declarations.provides[provider.provide];
        let evaluated =
            self.cells[provider.instance].provides[provider.provide].get().and_then(Option::as_ref);
        // Code made the value, and what it made it from is not known.
        if provide.by.is_code() {
            return Vec::new();
        }
        match member(Some(&provide.value), None, path) {
            PathEnd::Default(node) => self.node_sets(&asker.of(provider.instance, evaluated), node),
            PathEnd::Over(_) | PathEnd::Nothing => Vec::new(),
        }
    }

    /// For the texts in a part of a file.
    fn node_sets(&self, asker: &Asker<'_>, node: &ConfigNode) -> Vec<SetValue> {
        if asker.depth > DEEPEST || asker.evaluated.is_none() {
            return Vec::new();
        }
        match &node.data {
            Data::String(text) => {
                operands::shown(text).iter().flat_map(|operand| self.sets(asker, operand)).collect()
            }
            Data::Array(items) => items.iter().flat_map(|item| self.node_sets(asker, item)).collect(),
            Data::Table(table) => {
                table.values().flat_map(|member| self.node_sets(asker, &member.node)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl<'a> Asker<'a> {
    fn used(&self, cause: &str) -> bool {
        match self.evaluated {
            Some(evaluated) => evaluated.causes.contains_key(cause),
            None => cause::was_used(cause),
        }
    }

    /// One step further, to what a value was made from.
    fn of(&self, index: usize, evaluated: Option<&'a Evaluated>) -> Asker<'a> {
        Asker { index, evaluated, subject: self.subject, depth: self.depth + 1 }
    }
}

/// What a path leads to, if one value is laid over another.
enum PathEnd<'a> {
    Over(&'a At),
    Default(&'a ConfigNode),
    Nothing,
}

fn member<'a>(
    default: Option<&'a ConfigNode>,
    over: Option<&'a ConfigNode>,
    path: &[Selector],
) -> PathEnd<'a> {
    let Some(over) = over else {
        return default.map_or(PathEnd::Nothing, |default| PathEnd::Default(below(default, path)));
    };
    let (Data::Table(table), Some((Selector::Name(name), rest))) = (&over.data, path.split_first()) else {
        return PathEnd::Over(&over.at);
    };
    let default = default.and_then(|default| match &default.data {
        Data::Table(table) => table.get(name).map(|member| &member.node),
        _ => None,
    });
    match (default, table.get(name)) {
        (default, Some(over)) => member(default, Some(&over.node), rest),
        (Some(default), None) => PathEnd::Default(below(default, rest)),
        (None, None) => PathEnd::Over(&over.at),
    }
}

/// The part that a path leads to, as far as it can be followed.
fn below<'a>(node: &'a ConfigNode, path: &[Selector]) -> &'a ConfigNode {
    match (&node.data, path.split_first()) {
        (Data::Table(table), Some((Selector::Name(name), rest))) => {
            table.get(name).map_or(node, |member| below(&member.node, rest))
        }
        _ => node,
    }
}

fn is_same(one: &[SetValue], other: &[SetValue]) -> bool {
    let same = |((name, at), (other_name, other)): (&SetValue, &SetValue)| {
        name == other_name && at.source.path() == other.source.path() && at.span == other.span
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}
