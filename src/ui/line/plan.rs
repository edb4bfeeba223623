//! What would change on a host.

use serde::Serialize;

/// What would be sent to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Transfer {
    /// How many objects.
    pub objects: u64,
    /// How many bytes, before compression.
    pub bytes: u64,
}

/// How something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// It becomes different.
    Changed,
    /// It goes.
    Removed,
}

/// What would change in a component.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct PlannedComponent<'a> {
    /// The component.
    pub component: &'a str,
    /// What happens to it.
    pub change: Change,
    /// The files, empty folders and symbolic links that change, sorted by path.
    pub files: Vec<PlannedFile<'a>>,
    /// The units that would be converged: those that are new or changed.
    pub units: Vec<PlannedUnit<'a>>,
    /// What it replaces is not known here, so that its files could not be compared: all of the new ones are listed.
    pub incomparable: bool,
}

/// A unit that would be converged.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct PlannedUnit<'a> {
    /// Its kind: `step`.
    pub kind: String,
    /// Its name in the component.
    pub name: &'a str,
    /// What it depends on besides its own texts, as far as that changed: `etc/`, `resource:db`.
    pub because: &'a [String],
    /// The sub-component that declares it, after those that this one is part of: `Venv("py") > Package("zope")`. Absent
    /// where the component itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
}

/// What would change at a path of a component. With none of `diff`, `sizes` and `kinds` its content stays, and its mode
/// alone changes.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct PlannedFile<'a> {
    /// The path in the component's folder.
    pub path: &'a str,
    /// What happens there.
    pub change: Change,
    /// The unified diff with 3 lines of context and without a header. Absent where it is not text, is large, or is not in
    /// the local store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<&'a str>,
    /// The sizes in bytes before and after, `null` where there is no file. Absent where there is a `diff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<(Option<u64>, Option<u64>)>,
    /// What is there before and after (`folder`, `symlink to /srv/x`), `null` where nothing is. Absent where both are files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<(Option<&'a str>, Option<&'a str>)>,
    /// The permission bits before and after, four octal digits each. Absent unless both are files and
    /// they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<(String, String)>,
    /// What it was made from and has another value now: `attribute web.sleep`, or `file components/app/app.conf`.
    pub because: &'a [String],
    /// The sub-component that declares it, as with units. Absent where the component itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
}
