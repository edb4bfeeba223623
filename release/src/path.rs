//! Paths in steps, checked once: where they are made, and again where a manifest is read.

use std::fmt;
use std::path::Path;

use batou_store::RelPath;
use serde::{Deserialize, Serialize};

use crate::artifact_path::{expand_artifact, show_artifact};

/// A path on a host: absolute, or below the step's working directory.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(try_from = "String", into = "String")]
pub struct HostPath(String);

/// A path below a component's artifact.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(try_from = "String", into = "String")]
pub struct ScriptPath(String);

/// Why a text is not a path on a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPathError {
    /// It is empty.
    #[error("the path is empty")]
    Empty,
    /// It contains a line break or another control character.
    #[error("the path {0:?} holds a control character")]
    Control(String),
    /// It has a part `..`.
    #[error("the path `{0}` holds `..`: name the path without it")]
    Parent(String),
    /// It is longer than any system accepts.
    #[error("the path is longer than 4,095 bytes")]
    TooLong,
    /// A script's path is not one below the artifact.
    #[error("{0:?} is not a path below the artifact")]
    Elsewhere(String),
}

impl HostPath {
    /// Checks a path.
    pub fn new(path: impl Into<String>) -> Result<Self, HostPathError> {
        let path = path.into();
        if path.is_empty() {
            return Err(HostPathError::Empty);
        }
        if path.len() > 4095 {
            return Err(HostPathError::TooLong);
        }
        if path.chars().any(char::is_control) {
            return Err(HostPathError::Control(show_artifact(&path).into_owned()));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(HostPathError::Parent(show_artifact(&path).into_owned()));
        }
        Ok(Self(path))
    }

    /// The path with `artifact`, the path of the component's artifact, in place of the token. It is an error if the
    /// result cannot be used.
    pub(crate) fn expanded(&self, artifact: &str) -> Result<Self, HostPathError> {
        Self::new(expand_artifact(&self.0, artifact))
    }

    /// The path as it was given.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl ScriptPath {
    /// Checks a path: relative, and written in the one way in which a release names it.
    pub fn new(path: impl Into<String>) -> Result<Self, HostPathError> {
        let path = path.into();
        let plain = RelPath::new(&path).is_ok() && !path.chars().any(char::is_control);
        if plain { Ok(Self(path)) } else { Err(HostPathError::Elsewhere(path)) }
    }

    /// The path below the artifact.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HostPath {
    type Error = HostPathError;

    fn try_from(path: String) -> Result<Self, HostPathError> {
        Self::new(path)
    }
}

impl TryFrom<String> for ScriptPath {
    type Error = HostPathError;

    fn try_from(path: String) -> Result<Self, HostPathError> {
        Self::new(path)
    }
}

impl From<HostPath> for String {
    fn from(path: HostPath) -> String {
        path.0
    }
}

impl From<ScriptPath> for String {
    fn from(path: ScriptPath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ARTIFACT_TOKEN;

    #[test]
    fn what_could_mean_something_else_is_refused() {
        for good in ["/srv/a", "a", "./a b/c", "..a/b..", "a//b"] {
            assert!(HostPath::new(good).is_ok(), "{good}");
        }
        assert_eq!(HostPath::new(""), Err(HostPathError::Empty));
        for bad in ["..", "a/../b", "/srv/.."] {
            assert_eq!(HostPath::new(bad), Err(HostPathError::Parent(bad.to_owned())));
        }
        for bad in ["a\nb", "a\0b", "a\x1b[0m"] {
            assert_eq!(HostPath::new(bad), Err(HostPathError::Control(bad.to_owned())));
        }
        for bad in ["", "..", "a\nb"] {
            assert!(serde_json::from_value::<HostPath>(bad.into()).is_err(), "{bad:?}");
        }
        assert_eq!(HostPath::new("x".repeat(4096)), Err(HostPathError::TooLong));
    }

    #[test]
    fn a_mistake_in_a_path_shows_the_artifact_as_it_was_written() {
        let said = |rest| HostPath::new(format!("{ARTIFACT_TOKEN}{rest}")).unwrap_err().to_string();
        assert_eq!(
            said("/../x"),
            "the path `{{ component.artifact }}/../x` holds `..`: name the path without it"
        );
        assert_eq!(said("\n"), "the path \"{{ component.artifact }}\\n\" holds a control character");
    }

    #[test]
    fn a_script_is_below_the_artifact() {
        assert!(ScriptPath::new("bin/migrate.sh").is_ok());
        for bad in ["", "/bin/sh", "../bin/sh", "bin/../../sh", "./a", "a//b", "a/", "./a/../b", "a\nb"] {
            assert_eq!(ScriptPath::new(bad), Err(HostPathError::Elsewhere(bad.to_owned())));
            assert!(serde_json::from_value::<ScriptPath>(bad.into()).is_err(), "{bad:?}");
        }
    }
}
