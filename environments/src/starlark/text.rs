//! `c.expand` and `c.template`.

use std::ops::Range;
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::Value as Data;
use starlark::collections::SmallMap;
use starlark::values::{Heap, Value};

use crate::model::component::Component;
use crate::starlark::declare;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::frame::Frame;
use crate::template;
use crate::template::cause;
use crate::text::source::{At, Source};

type Variables<'v> = SmallMap<String, Value<'v>>;

/// A text with its expressions replaced.
pub(crate) fn expand<'v>(
    frame: &Frame,
    text: &str,
    variables: &Variables<'v>,
    site: &Site,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let scope = frame.scope(&given(variables, site, heap)?);
    let value = frame.session.evaluate(text, &site.positional(0), &scope)?;
    Ok(value.to_string())
}

/// What a template file gives.
pub(crate) fn template<'v>(
    frame: &Frame,
    file: &str,
    variables: &Variables<'v>,
    site: &Site,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let variables = given(variables, site, heap)?;
    let (caller, scope) = (frame.caller(&variables), frame.scope(&variables));
    if frame.folder().is_none() && !file.starts_with("//") {
        return Err(Stop::mistake("the library has no files beside it").at(&site.positional(0)));
    }
    let component = &frame.session.world.instance(frame.session.index).component;
    let name = component.templates.name(&caller, file);
    let known = component
        .templates
        .get(&name)
        .map_err(|error| Stop::mistake(error.to_string()).at(&site.positional(0)))?;
    if let Some((cause, digest)) = component.cause_of(&name) {
        cause::record(cause, digest);
    }
    let explained = |error: &Error| explain(error, &scope, component, &name, &known.source);
    let compiled =
        template::compile(&component.engine, &name, &known.source).map_err(|error| explained(&error))?;
    let bytes = template::render(&compiled, &scope).map_err(|error| explained(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn given<'v>(variables: &Variables<'v>, site: &Site, heap: Heap<'v>) -> Result<Vec<(String, Data)>, Stop> {
    let named = variables.iter().map(|(name, value)| {
        declare::variable(name, *value, heap).map_err(|stop| stop.at(&site.value(name)))
    });
    named.collect()
}

/// A mistake in a template, or in one that it includes, where it stands.
fn explain(error: &Error, scope: &Data, component: &Component, name: &str, own: &Arc<Source>) -> Stop {
    let line = error.line();
    let place = |template: Option<&str>, part: Option<Range<usize>>| -> At {
        let other = template.filter(|template| *template != name);
        let source = other.and_then(|template| component.source(template));
        template::place_in(source.as_ref().unwrap_or(own), part, line)
    };
    template::explain(error, scope, place).map_or(Stop::Reported, Stop::Diagnosed)
}
