//! A release that was written into a file, or read from one.

use serde::Serialize;

use super::hex::HexDigest;

/// A release in a file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct ArchivedRelease<'a> {
    /// The release.
    pub release: HexDigest,
    /// Its project.
    pub project: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// The file's path, as it was given.
    pub file: String,
}
