//! Names and relative paths that are valid once they exist.
//!
//! A [`Name`] is one component of a path and a [`RelPath`] is one or more of them: neither can leave the
//! folder it is used in, whoever wrote it.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name that Linux filesystems take, in bytes.
const MAX_NAME: usize = 255;
/// The longest relative path, in bytes: what system calls accept, less room for the path of the folder it is in.
const MAX_PATH: usize = 3072;
/// The most components of a path, since folders are walked recursively.
const MAX_DEPTH: usize = 200;

/// One valid component of a path: UTF-8, not empty, not `.` or `..`, without `/` and NUL, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// One or more [`Name`]s joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

/// Why a text is not a name or relative path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty, or has an empty component.
    #[error("{0:?} has an empty component (or is absolute)")]
    Empty(String),
    /// It is `.` or `..`, or has such a component.
    #[error("{0:?} has a component \".\" or \"..\"")]
    Dots(String),
    /// A name holds a `/`.
    #[error("the name {0:?} contains a \"/\"")]
    Slash(String),
    /// It holds a NUL byte.
    #[error("{0:?} contains a NUL byte")]
    Nul(String),
    /// It is longer, or has more components, than can be handled.
    #[error("{0:?} is too long or too deep")]
    TooLong(String),
}

impl Name {
    /// The name with this text, if that is valid.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        if name.contains('/') {
            return Err(NameError::Slash(name));
        }
        match check(&name) {
            Ok(()) => Ok(Self(name)),
            Err(error) => Err(error(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks one component. The error is still to be given the text that it shows.
fn check(name: &str) -> Result<(), fn(String) -> NameError> {
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.contains('\0') => Err(NameError::Nul),
        _ if name.len() > MAX_NAME => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

impl RelPath {
    /// The path with this text, if that is valid.
    pub fn new(path: &str) -> Result<Self, NameError> {
        if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH {
            return Err(NameError::TooLong(path.chars().take(80).collect()));
        }
        for name in path.split('/') {
            check(name).map_err(|error| error(path.to_owned()))?;
        }
        Ok(Self(path.to_owned()))
    }

    /// The path below `parent`, or the name alone.
    pub fn below(parent: Option<&Self>, name: &Name) -> Result<Self, NameError> {
        match parent {
            None => Ok(Self(name.0.clone())),
            Some(parent) => Self::new(&format!("{}/{}", parent.0, name.0)),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, from the top.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.0.split('/').map(|name| Name(name.to_owned()))
    }
}

/// What both types have in common.
macro_rules! text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<std::path::Path> for $type {
            fn as_ref(&self) -> &std::path::Path {
                self.0.as_ref()
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text!(Name);
text!(RelPath);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    type Mistake = fn(String) -> NameError;

    #[test]
    fn names_that_leave_their_folder_do_not_exist() {
        let bad: [(&str, Mistake); 7] = [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a/b", NameError::Slash),
            ("/", NameError::Slash),
            ("a\0b", NameError::Nul),
            (&"x".repeat(256), NameError::TooLong),
        ];
        for (bad, error) in bad {
            assert_eq!(Name::new(bad), Err(error(bad.to_owned())));
        }
        for good in ["a", "...", "-rf", ".hidden", "ü", "a b", &"x".repeat(255)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn relative_paths_are_names_joined() {
        let bad: [(&str, Mistake); 7] = [
            ("", NameError::Empty),
            ("/a", NameError::Empty),
            ("a/", NameError::Empty),
            ("a//b", NameError::Empty),
            ("a/../b", NameError::Dots),
            ("./a", NameError::Dots),
            ("a/\0", NameError::Nul),
        ];
        for (bad, error) in bad {
            assert_eq!(RelPath::new(bad), Err(error(bad.to_owned())));
        }
        assert!(matches!(RelPath::new(&"x/".repeat(4000)), Err(NameError::TooLong(_))));
        let path = RelPath::new("etc/nginx/a.conf").unwrap();
        assert_eq!(path.names().map(|n| n.to_string()).collect::<Vec<_>>(), ["etc", "nginx", "a.conf"]);
        assert_eq!(
            RelPath::below(Some(&path), &Name::new("x").unwrap()).unwrap().as_str(),
            "etc/nginx/a.conf/x"
        );
    }

    #[test]
    fn serde_checks_too() {
        assert!(serde_json::from_str::<Name>("\"..\"").is_err());
        assert!(serde_json::from_str::<RelPath>("\"../a\"").is_err());
        assert_eq!(serde_json::from_str::<RelPath>("\"b/a\"").unwrap().as_str(), "b/a");
    }
}
