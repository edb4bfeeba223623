//! `c.expand` and `c.template`.

use minijinja::value::Value as Data;
use starlark::collections::SmallMap;
use starlark::eval::Evaluator;
use starlark::values::{Heap, Value};

use crate::starlark::declare;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::configured::SubComponent;
use crate::starlark::trace::{CallTrace, GivenVariable, GivenVariables};
use crate::template::layered::layered;

type NamedVariables<'v> = SmallMap<String, Value<'v>>;

/// A call of either.
pub(crate) struct TextCall<'a> {
    pub(crate) component: &'a SubComponent,
    pub(crate) site: Site,
    pub(crate) trace: CallTrace,
}

impl<'a> TextCall<'a> {
    /// The call that is being made.
    pub(crate) fn of(component: &'a SubComponent, eval: &Evaluator<'_, '_, '_>) -> TextCall<'a> {
        let site = Site::of(eval, component.session.sources());
        TextCall { component, site, trace: CallTrace::of(eval, component.made()) }
    }
}

/// A text with its expressions replaced.
pub(crate) fn expand<'v>(
    call: &TextCall<'_>,
    text: &str,
    variables: &NamedVariables<'v>,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let session = &call.component.session;
    let caller = call.component.caller_with(given(call, variables, heap)?);
    let scope = layered(&session.scope, caller.variables.as_ref());
    let value = session.placement.evaluate(text, &call.site.positional(0), &scope)?;
    Ok(value.to_string())
}

/// What a template file renders to.
pub(crate) fn template<'v>(
    call: &TextCall<'_>,
    file: &str,
    variables: &NamedVariables<'v>,
    heap: Heap<'v>,
) -> Result<String, Stop> {
    let session = &call.component.session;
    let caller = call.component.caller_with(given(call, variables, heap)?);
    let scope = layered(&session.scope, caller.variables.as_ref());
    let at = call.site.positional(0);
    if call.component.folder().is_none() && !file.starts_with("//") {
        return Err(Stop::mistake("the library has no files beside it").at(&at));
    }
    session.placement.render(file, &caller, &scope).map_err(|stop| stop.at(&at))
}

fn given<'v>(
    call: &TextCall<'_>,
    variables: &NamedVariables<'v>,
    heap: Heap<'v>,
) -> Result<GivenVariables, Stop> {
    let named = variables.iter().map(|(name, value)| {
        declare::variable(name, *value, heap).map_err(|stop| stop.at(&call.site.value(name)))
    });
    let values = named.collect::<Result<Vec<(String, Data)>, Stop>>()?;
    let place = |(name, _): &(String, Data)| {
        (name.clone(), GivenVariable { at: call.site.value(name), in_dict: false })
    };
    Ok(GivenVariables { places: values.iter().map(place).collect(), values, trace: call.trace.clone() })
}
