//! Why a file or a run ends early, in errors that pass through the interpreter.

use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;

/// What native functions give the interpreter as an error. The interpreter adds the place of the call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// A mistake of the calling code.
    #[error("{message}")]
    Mistake { message: String, help: Option<String>, at: Option<At> },
    /// A mistake that knows its place, in a template say.
    #[error("{0}")]
    Diagnosed(Box<Diagnostic>),
    /// A mistake that is already reported where it was made.
    #[error("a value could not be evaluated")]
    Reported,
    /// Another component has to provide something first.
    #[error("a requirement is not met yet")]
    Waiting,
}

impl Stop {
    pub(crate) fn mistake(message: impl Into<String>) -> Stop {
        Stop::Mistake { message: message.into(), help: None, at: None }
    }

    /// With advice.
    pub(crate) fn help(self, advice: impl Into<String>) -> Stop {
        match self {
            Stop::Mistake { message, at, .. } => Stop::Mistake { message, help: Some(advice.into()), at },
            other => other,
        }
    }

    /// At a part of the call.
    pub(crate) fn at(self, place: &At) -> Stop {
        match self {
            Stop::Mistake { message, help, .. } => Stop::Mistake { message, help, at: Some(place.clone()) },
            other => other,
        }
    }
}

impl From<Stop> for starlark::Error {
    fn from(stop: Stop) -> starlark::Error {
        starlark::Error::new_native(stop)
    }
}

/// Our own error within one of the interpreter's.
pub(crate) fn found(error: &starlark::Error) -> Option<&Stop> {
    match error.kind() {
        starlark::ErrorKind::Native(inner) | starlark::ErrorKind::Other(inner) => inner.downcast_ref(),
        _ => None,
    }
}
