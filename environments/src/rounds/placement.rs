//! What the code of an instance can ask the values: Starlark's way to the model.

use std::ops::Range;
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::Value;

use crate::component::item::Caller;
use crate::model::component::LoadedComponent;
use crate::starlark::{Placement, Stop};
use crate::template::address::{Address, NetLoc};
use crate::template::{self, TextMistake, cause};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::{At, SourceText};
use crate::values::scope::Scope;
use crate::values::{LazyValues, Query};

/// An instance, and the values of a round.
pub(super) struct InstancePlacement {
    values: Arc<LazyValues>,
    index: usize,
}

impl InstancePlacement {
    pub(super) fn new(values: &Arc<LazyValues>, index: usize) -> Arc<InstancePlacement> {
        Arc::new(InstancePlacement { values: Arc::clone(values), index })
    }

    fn component(&self) -> &LoadedComponent {
        &self.values.instance(self.index).component
    }
}

impl Placement for InstancePlacement {
    fn subject(&self) -> String {
        self.values.model.subject(self.index)
    }

    fn platform(&self) -> Option<String> {
        self.values.model.host(self.index).platform.clone()
    }

    fn scope(&self) -> Value {
        Scope::value(&self.values, self.index)
    }

    fn attribute(&self, name: &str) -> Option<Result<Value, Stop>> {
        let value = self.values.use_attribute(self.index, name)?;
        Some(value.map_err(|_| Stop::Reported))
    }

    fn provided(&self, key: &str, host: Option<&str>) -> Vec<Value> {
        let query = Query { key: key.to_owned(), host: host.map(str::to_owned) };
        self.values.ask(self.index, &query).to_vec()
    }

    fn address(&self, location: NetLoc) -> Address {
        self.values.address(location)
    }

    fn evaluate(&self, text: &str, at: &At, scope: &Value) -> Result<Value, Stop> {
        template::evaluate(&self.component().engine, text, at, scope).map_err(stop)
    }

    fn render(&self, file: &str, caller: &Caller, scope: &Value) -> Result<String, Stop> {
        let component = self.component();
        let name = component.templates.name(caller, file);
        let known = component.templates.get(&name).map_err(|error| Stop::mistake(error.to_string()))?;
        if let Some((cause, digest)) = component.cause_of(&name) {
            cause::record(cause, digest);
        }
        let explained = |error: &Error| explain(error, scope, component, &name, &known.source);
        let compiled =
            template::compile(&component.engine, &name, &known.source).map_err(|error| explained(&error))?;
        let bytes = template::render(&compiled, scope).map_err(|error| explained(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn advised(&self, diagnostic: Diagnostic) -> Diagnostic {
        self.values.advise(diagnostic, self.index)
    }
}

/// A mistake in a template, shown there or in the template that it includes.
fn explain(
    error: &Error,
    scope: &Value,
    component: &LoadedComponent,
    name: &str,
    own: &Arc<SourceText>,
) -> Stop {
    let line = error.line();
    let place = |template: Option<&str>, part: Option<Range<usize>>| -> At {
        let other = template.filter(|template| *template != name);
        let source = other.and_then(|template| component.source(template));
        template::place_in(source.as_ref().unwrap_or(own), part, line)
    };
    stop(template::explain(error, (Some(name), scope), place))
}

fn stop(mistake: TextMistake) -> Stop {
    mistake.map_or(Stop::Reported, Stop::Diagnosed)
}
