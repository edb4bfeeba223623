//! Calls `configure`: of a component, of what it adds, and of what the host's platform adds to either.

use std::sync::Arc;

use starlark::eval::Evaluator;
use starlark::values::{OwnedFrozenValue, Value};

use crate::starlark::program::Platform;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::Part;
use crate::starlark::subcomponent::frame::{Frame, Of, Stage};

/// Configures a sub-component as a part of another one.
pub(crate) fn add(
    child: &Arc<Frame>,
    parent: &Arc<Frame>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> starlark::Result<()> {
    match child.stage() {
        Stage::Made | Stage::Provided => run(child, Some(parent), eval),
        Stage::Configuring | Stage::Done => {
            let message = format!("`{}` is added already", child.shown());
            Err(Stop::mistake(message).help("make another one by calling its definition again").into())
        }
    }
}

/// Runs the code of a component.
pub(crate) fn run(
    frame: &Arc<Frame>,
    parent: Option<&Arc<Frame>>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> starlark::Result<()> {
    frame.begin(parent)?;
    let program = Arc::clone(&frame.session.program);
    if let Some(functions) = program.functions.get(&frame.number()) {
        let this = eval.heap().alloc(Part::new(Arc::clone(frame)));
        if let Some(configure) = &functions.configure {
            call(frame, configure, this, eval)?;
        }
        let platform = frame.session.placement.platform();
        match platform.and_then(|platform| functions.platforms.get(&platform)) {
            Some(Platform::Function(function)) => call(frame, function, this, eval)?,
            Some(Platform::Definition(kind)) => {
                let of = Of::Definition(Arc::clone(kind));
                let arguments = frame.arguments_for(kind)?;
                let part = Frame::new(&frame.session, of, frame.name.clone(), &frame.at, arguments);
                run(&part, Some(frame), eval)?;
            }
            None => {}
        }
    }
    frame.end();
    frame.session.leave();
    Ok(())
}

fn call<'v>(
    frame: &Frame,
    function: &OwnedFrozenValue,
    this: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<()> {
    let function = eval.heap().access_owned_frozen_value(function);
    let result = eval.eval_function(function, &[this], &[])?;
    if result.is_none() || result.get_type() == "phantom" {
        return Ok(());
    }
    let message = format!("`configure` of `{}` returns `{}`", frame.shown(), result.get_type());
    let help = "it declares with c.file(), c.provide() and so on, and returns nothing: drop the `return`";
    Err(Stop::mistake(message).help(help).at(&frame.code_at()).into())
}
