//! `component.artifact` in templates: it is printed whole, or not at all.

use batou_release::is_artifact_whole;
use minijinja::{Error, ErrorKind, Output, State, Value};

use crate::template::cause;

/// The cause of every text that names the artifact. Only the rendering of units reads it; it is never shown.
pub(crate) const ARTIFACT_CAUSE: &str = "component artifact";

/// The message for a template that would print anything but the whole path.
pub(crate) const ARTIFACT_CHANGED: &str = "the path of the artifact is known only on the host, so it cannot be changed here: \
     write {{ component.artifact }} by itself, and change it in the command";

/// Prints a value into a template's output, unless it contains only a part of the artifact's path.
pub(crate) fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str()
        && !is_artifact_whole(text)
        && cause::was_used(ARTIFACT_CAUSE)
    {
        return Err(Error::new(ErrorKind::InvalidOperation, ARTIFACT_CHANGED));
    }
    batou_jinja::print(out, state, value)
}
