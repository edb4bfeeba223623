//! Errors of the engine that say nothing themselves: what they stand for is told elsewhere, or found out later.

use minijinja::{Error, ErrorKind};

/// The detail of an error where the value's own mistake is reported already.
pub(crate) const REPORTED: &str = "the value could not be evaluated";
/// The detail of an error where a name is yet to be asked of DNS.
pub(crate) const PENDING: &str = "the name is not resolved yet";

/// The error of a value whose own mistake is reported already.
pub(crate) fn reported_error() -> Error {
    Error::new(ErrorKind::InvalidOperation, REPORTED)
}

/// The error of a value that waits for DNS.
pub(crate) fn pending_error() -> Error {
    Error::new(ErrorKind::InvalidOperation, PENDING)
}
