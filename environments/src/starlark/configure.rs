//! Calls `configure`: of a component, of what it adds, and of what the host's platform adds to either.

use std::sync::Arc;

use starlark::eval::Evaluator;
use starlark::values::{OwnedFrozenValue, Value};

use crate::starlark::program::Platform;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::SubComponentValue;
use crate::starlark::subcomponent::configured::{Stage, SubComponent, SubComponentOf};

/// Configures a sub-component as a part of another one.
pub(crate) fn add(
    child: &Arc<SubComponent>,
    parent: &Arc<SubComponent>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> starlark::Result<()> {
    match child.stage() {
        Stage::Made | Stage::Provided => run(child, Some(parent), eval),
        Stage::Configuring | Stage::Done => {
            let message = format!("`{}` is already added", child.shown());
            Err(Stop::mistake(message).help("make another one by calling its definition again").into())
        }
    }
}

/// Runs the code of a component.
pub(crate) fn run(
    component: &Arc<SubComponent>,
    parent: Option<&Arc<SubComponent>>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> starlark::Result<()> {
    component.begin(parent, eval)?;
    let program = Arc::clone(&component.session.program);
    if let Some(functions) = program.functions.get(&component.number()) {
        let this = eval.heap().alloc(SubComponentValue::new(Arc::clone(component)));
        if let Some(configure) = &functions.configure {
            call(component, configure, this, eval)?;
        }
        let platform = component.session.placement.platform();
        match platform.and_then(|platform| functions.platforms.get(&platform)) {
            Some(Platform::Function(function)) => call(component, function, this, eval)?,
            Some(Platform::Definition(kind)) => {
                let of = SubComponentOf::Definition(Arc::clone(kind));
                let arguments = component.arguments_for(kind)?;
                let part = SubComponent::new(
                    &component.session,
                    of,
                    component.name.clone(),
                    &component.at,
                    arguments,
                );
                run(&part, Some(component), eval)?;
            }
            None => {}
        }
    }
    component.end();
    component.session.leave();
    Ok(())
}

fn call<'v>(
    component: &SubComponent,
    function: &OwnedFrozenValue,
    this: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<()> {
    let function = eval.heap().access_owned_frozen_value(function);
    let result = eval.eval_function(function, &[this], &[])?;
    if result.is_none() || result.get_type() == "phantom" {
        return Ok(());
    }
    let message = format!("`configure` of `{}` returns `{}`", component.shown(), result.get_type());
    let help =
        "it must return nothing, and declare with c.file(), c.provide() and so on: remove the `return`";
    Err(Stop::mistake(message).help(help).at(&component.code_at()).into())
}
