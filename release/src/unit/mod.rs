//! Units: what a host converges once a component's files are in place.
//!
//! A unit is plain data whose every text is rendered. Plans, the journal, rollbacks and the records of a host speak of
//! units; only a kind's own module here, and the one beside it in the agent, know what it is. A new kind is a variant of
//! [`Unit`], whose matches the compiler then asks to be completed.

mod step;

use std::collections::BTreeMap;
use std::fmt;

use batou_store::Name;
use serde::{Deserialize, Serialize};

use crate::HostPathError;

pub use step::{Assertions, Newer, STEP_TIMEOUT, Script, Step};

/// Something that a host converges.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Unit {
    /// A command that is run until it holds.
    Step(Step),
}

/// What kind of [`Unit`] it is.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// [`Unit::Step`]
    Step,
}

/// A unit of a host: no two units of a manifest have the same.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId {
    /// The component's name.
    pub component: Name,
    /// The unit's kind.
    pub kind: UnitKind,
    /// The unit's name, unique among those of its kind in the component.
    pub name: String,
}

impl Unit {
    /// What kind it is.
    pub fn kind(&self) -> UnitKind {
        match self {
            Unit::Step(_) => UnitKind::Step,
        }
    }

    /// Its name, unique among those of its kind in the component.
    pub fn name(&self) -> &str {
        match self {
            Unit::Step(step) => &step.name,
        }
    }

    /// The unit on a host where the component's artifact is at `artifact`: that stands in it as
    /// [`ARTIFACT_TOKEN`](crate::ARTIFACT_TOKEN) until then. What was expanded has another fingerprint: that is asked of the
    /// unit as the manifest has it. A path that becomes one that cannot be used is an error.
    pub fn expanded(&self, artifact: &str) -> Result<Unit, HostPathError> {
        Ok(match self {
            Unit::Step(step) => Unit::Step(step.expanded(artifact)?),
        })
    }

    /// Whether a rollback does not pass it.
    pub fn is_irreversible(&self) -> bool {
        match self {
            Unit::Step(step) => step.irreversible,
        }
    }

    /// The files and resources that it depends on besides its own texts: each as it was declared, and the digest of what
    /// it names.
    pub fn dependencies(&self) -> BTreeMap<&str, &str> {
        match self {
            Unit::Step(step) => step.dependencies(),
        }
    }

    /// Whether the unit itself says on which of the component's files it depends. It then does not depend on all of them
    /// only because it names their folder.
    pub fn says_its_files(&self) -> bool {
        match self {
            Unit::Step(step) => !step.triggers.is_empty(),
        }
    }
}

impl UnitId {
    /// The unit of that kind and name in a component.
    pub fn new(component: Name, kind: UnitKind, name: impl Into<String>) -> Self {
        UnitId { component, kind, name: name.into() }
    }
}

impl UnitKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            UnitKind::Step => "step",
        }
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

/// `step app/migrate`
impl fmt::Display for UnitId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}/{}", self.kind, self.component, self.name)
    }
}
