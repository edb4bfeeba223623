//! Engine errors that are not shown: their reason is reported elsewhere, or is not known yet.

use minijinja::{Error, ErrorKind};

/// The detail of an error for a value whose own mistake is already reported.
pub(crate) const REPORTED: &str = "the value could not be evaluated";
/// The detail of an error for a name that is yet to be looked up in DNS.
pub(crate) const PENDING: &str = "the name is not resolved yet";

/// The error for a value whose own mistake is already reported.
pub(crate) fn reported_error() -> Error {
    Error::new(ErrorKind::InvalidOperation, REPORTED)
}

/// The error for a value that waits for DNS.
pub(crate) fn pending_error() -> Error {
    Error::new(ErrorKind::InvalidOperation, PENDING)
}
