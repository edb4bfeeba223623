//! How a value is made: an attribute from its default and what the environment sets, a resource from its providers, a
//! text from its template.

use std::sync::Arc;

use minijinja::value::Value;

use super::LazyValues;
use crate::component::attribute::plain;
use crate::file::{ConfigNode, Data, KeyValue, merge};
use crate::model::place::Provider;
use crate::template::address::{Address, NetLoc};
use crate::template::layered::layered;
use crate::template::{self, TextMistake};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;
use crate::values::scope::Scope;

/// There was a mistake, and it is already reported.
struct Reported;

impl LazyValues {
    /// What an attribute is set to: the override, laid over the default where both are tables.
    pub(super) fn attribute_node(&self, index: usize, name: &str) -> Option<ConfigNode> {
        let instance = self.instance(index);
        let declaration = instance.component.interface.attributes.get(name)?;
        match (&declaration.default, instance.overrides.get(name)) {
            (Some(ConfigNode { data: Data::Table(below), .. }), Some(above)) => match &above.node.data {
                Data::Table(table) => {
                    let data = Data::Table(merge(below.clone(), table.clone()));
                    Some(ConfigNode { data, at: above.node.at.clone() })
                }
                _ => Some(above.node.clone()),
            },
            (_, Some(above)) => Some(above.node.clone()),
            (Some(default), None) => Some(default.clone()),
            (None, None) => {
                let component = &instance.component.name;
                let message = format!("the attribute `{name}` of `{component}` has no value");
                let help =
                    format!("set it in [components.{component}] of environment.toml, or give it a default");
                self.report(Diagnostic::error(message).at(&declaration.at).help(help), index);
                None
            }
        }
    }

    pub(super) fn attribute_value(
        self: &Arc<Self>,
        index: usize,
        name: &str,
        node: &ConfigNode,
    ) -> Option<Value> {
        let component = &self.instance(index).component;
        let declaration = component.interface.attributes.get(name)?;
        let scope = Scope::of_attributes(self, index);
        let value = self.node(index, node, &scope).ok()?;
        let address = |connect| self.address(connect);
        let written = !matches!(&node.data, Data::String(text) if template::is_template(text));
        match declaration.kind.convert(&value, written, address) {
            Ok(value) => Some(value),
            Err(reason) => {
                let colon = if reason.starts_with("must ") { "" } else { ":" };
                let message = format!("the attribute `{name}` of `{}`{colon} {reason}", component.name);
                let operands = match &node.data {
                    Data::String(text) => template::shown_operands(text, &scope),
                    _ => Vec::new(),
                };
                let mut diagnostic = Diagnostic::error(message).at(&node.at).made_of(operands);
                if reason.contains("has no port") {
                    diagnostic = diagnostic.help("write it as host:port, or [v6]:port");
                }
                self.report(diagnostic, index);
                None
            }
        }
    }

    /// The address of a location, as the environment requires addresses to be.
    pub(crate) fn address(&self, connect: NetLoc) -> Address {
        let checked = &self.model.environment.checked;
        Address::new(connect, checked.require_v4, checked.require_v6, &self.answers)
    }

    pub(super) fn resource_value(self: &Arc<Self>, index: usize, require: usize) -> Option<Value> {
        let declared = &self.instance(index).component.declarations.requires[require];
        let providers = &self.connections.providers[index][require];
        // Reported by `connect`, or not known because a component could not be loaded.
        if providers.is_empty() && (declared.strict || !self.model.complete) {
            return None;
        }
        let values: Option<Vec<Value>> = providers
            .iter()
            .map(|provider| self.provided(*provider).map(|evaluated| evaluated.value.clone()))
            .collect();
        let mut values = values?;
        if declared.one {
            return match values.len() {
                0 => Some(Value::from(())),
                1 => values.pop(),
                // `connect` reports that there are several.
                _ => None,
            };
        }
        if let Some(field) = &declared.sort {
            if values
                .iter()
                .any(|value| value.get_attr(&field.value).map_or(true, |value| value.is_undefined()))
            {
                let message = format!(
                    "not every value of `{}` has a field `{}` to sort by",
                    declared.key.value, field.value
                );
                self.report(Diagnostic::error(message).at(&field.at), index);
                return None;
            }
            values.sort_by_cached_key(|value| value.get_attr(&field.value).unwrap_or_default());
        }
        Some(Value::from(values))
    }

    /// What an instance provides.
    pub(super) fn provided_value(self: &Arc<Self>, provider: Provider) -> Option<Value> {
        let index = provider.instance;
        let provide = &self.instance(index).component.declarations.provides[provider.provide];
        let scope = Scope::value(self, index);
        self.node(index, &provide.value, &layered(&scope, provide.by.variables.as_ref())).ok()
    }

    /// The value of a part of a file, with every string evaluated as a template.
    fn node(self: &Arc<Self>, index: usize, node: &ConfigNode, scope: &Value) -> Result<Value, Reported> {
        match &node.data {
            Data::String(text) => self.text(index, text, &node.at, scope),
            Data::Array(items) => {
                let values: Vec<_> = items.iter().map(|item| self.node(index, item, scope)).collect();
                values.into_iter().collect::<Result<Vec<Value>, Reported>>().map(Value::from)
            }
            Data::Table(table) => {
                let value = |(key, member): (&String, &KeyValue)| {
                    (key.clone(), self.node(index, &member.node, scope))
                };
                let pairs: Vec<_> = table.iter().map(value).collect();
                let pairs: Result<Vec<(String, Value)>, Reported> =
                    pairs.into_iter().map(|(key, value)| Ok((key, value?))).collect();
                pairs.map(Value::from_pairs)
            }
            _ => Ok(plain(node)),
        }
    }

    fn text(self: &Arc<Self>, index: usize, text: &str, at: &At, scope: &Value) -> Result<Value, Reported> {
        template::evaluate(&self.instance(index).component.engine, text, at, scope).map_err(
            |mistake: TextMistake| {
                if let Some(diagnostic) = mistake {
                    self.report(*diagnostic, index);
                }
                Reported
            },
        )
    }
}
