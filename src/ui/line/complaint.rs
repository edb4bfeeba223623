//! What is wrong: mistakes in the project's files, and failures.

use batou_environments::{Diagnostic, Location};
use serde::Serialize;

use crate::error::CommandError;

/// A mistake in a file, or a failure.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Complaint<'a> {
    /// What is wrong.
    pub message: String,
    /// Of a failure: why it failed, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<&'a str>,
    /// The file that the mistake is in, by its path in the project. Absent for what is in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of that file, from 1. Absent where the mistake is the whole file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column of that line, in characters from 1. Absent where the mistake is the whole line's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Of a mistake in code: where an environment sets the values that the failing expression is made of. An attribute of
    /// another component is called `db.port`, a setting `settings.port`.
    pub set: Vec<ValuePlace<'a>>,
    /// Of a mistake: what is affected, hosts and components on hosts (`web01/nginx`).
    pub concerns: &'a [String],
}

/// A place that sets an attribute.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct ValuePlace<'a> {
    /// The attribute's name.
    pub attribute: &'a str,
    /// The file's path in the project.
    pub file: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// The text of that line, without the white space around it.
    pub text: &'a str,
    /// It is the component's default.
    pub default: bool,
}

impl<'a> ValuePlace<'a> {
    /// The place of an attribute's value, or of its default.
    pub fn new(attribute: &'a str, location: &'a Location, default: bool) -> Self {
        Self {
            attribute,
            file: location.file.to_string_lossy().into_owned(),
            line: location.line,
            text: location.excerpt.trim(),
            default,
        }
    }
}

impl<'a> From<&'a CommandError> for Complaint<'a> {
    fn from(error: &'a CommandError) -> Self {
        Self {
            message: error.to_string(),
            causes: error.causes(),
            hints: error.hints().iter().map(String::as_str).collect(),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a Diagnostic> for Complaint<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        let location = diagnostic.location.as_ref();
        Self {
            message: diagnostic.message.clone(),
            causes: Vec::new(),
            hints: diagnostic.help.as_deref().into_iter().collect(),
            file: location.map(|location| location.file.to_string_lossy().into_owned()),
            line: location.map(|location| location.line).filter(|line| *line > 0),
            column: location.map(|location| location.column).filter(|column| *column > 0),
            set: diagnostic.set.iter().map(|set| ValuePlace::new(&set.name, &set.location, false)).collect(),
            concerns: &diagnostic.subject,
        }
    }
}
