//! `c.expand` and `c.template`.

use minijinja::value::Value as Data;
use starlark::collections::SmallMap;
use starlark::values::{Heap, Value};

use crate::starlark::declare;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::configured::SubComponent;

type Variables<'v> = SmallMap<String, Value<'v>>;

/// A text with its expressions replaced.
pub(crate) fn expand<'v>(
    component: &SubComponent,
    text: &str,
    variables: &Variables<'v>,
    site: &Site,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let scope = component.scope(&given(variables, site, heap)?);
    let value = component.session.placement.evaluate(text, &site.positional(0), &scope)?;
    Ok(value.to_string())
}

/// What a template file renders to.
pub(crate) fn template<'v>(
    component: &SubComponent,
    file: &str,
    variables: &Variables<'v>,
    site: &Site,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let variables = given(variables, site, heap)?;
    let (caller, scope) = (component.caller(&variables), component.scope(&variables));
    if component.folder().is_none() && !file.starts_with("//") {
        return Err(Stop::mistake("the library has no files beside it").at(&site.positional(0)));
    }
    component.session.placement.render(file, &caller, &scope).map_err(|stop| stop.at(&site.positional(0)))
}

fn given<'v>(variables: &Variables<'v>, site: &Site, heap: Heap<'v>) -> Result<Vec<(String, Data)>, Stop> {
    let named = variables.iter().map(|(name, value)| {
        declare::variable(name, *value, heap).map_err(|stop| stop.at(&site.value(name)))
    });
    named.collect()
}
