//! Units: what a host converges once a component's files are in place.
//!
//! A unit is plain data, and all its texts are rendered. Plans, the journal, rollbacks and the records of a host only
//! deal with units; what a unit is, only its kind's module here and the one in the agent know. A new kind is a
//! variant of [`Unit`], and the compiler then finds every match that has to be completed.

mod step;

use std::collections::BTreeMap;
use std::fmt;

use batou_store::Name;
use serde::{Deserialize, Serialize};

use crate::HostPathError;

pub use step::{Assertions, Newer, STEP_TIMEOUT, Script, Step};

/// Something that a host converges.
///
/// `D` is what it depends on besides its own texts: the digest of a file, a folder or a resource once those are hashed, and
/// before that whatever names them.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Unit<D = String> {
    /// A command that brings something about, or a check that something holds.
    Step(Step<D>),
}

/// What kind of [`Unit`] it is.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// [`Unit::Step`]
    Step,
}

/// The id of a unit: no two units of a manifest have the same.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId {
    /// The component's name.
    pub component: Name,
    /// The unit's kind.
    pub kind: UnitKind,
    /// The unit's name, unique among those of its kind in the component.
    pub name: String,
}

impl<D> Unit<D> {
    /// Whether it says how to undo what it did.
    pub fn has_revert(&self) -> bool {
        match self {
            Unit::Step(step) => step.revert.is_some(),
        }
    }

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

    /// Whether rollbacks that would go back past it are refused.
    pub fn is_irreversible(&self) -> bool {
        match self {
            Unit::Step(step) => step.irreversible,
        }
    }

    /// The files and resources that it depends on besides its own texts: each as it was declared, with what it names.
    pub fn dependencies(&self) -> BTreeMap<&str, &D> {
        match self {
            Unit::Step(step) => step.dependencies(),
        }
    }

    /// The same unit, with what `with` makes of each of its dependencies.
    pub fn map_dependencies<E>(&self, with: impl Fn(&D) -> E) -> Unit<E> {
        match self {
            Unit::Step(step) => Unit::Step(step.map(&with)),
        }
    }

    /// Whether the unit itself says which of the component's files it depends on. If so, it does not depend on all of
    /// them just because it names their folder.
    pub fn says_its_files(&self) -> bool {
        match self {
            Unit::Step(step) => !step.triggers.is_empty(),
        }
    }
}

impl Unit {
    /// The unit with `artifact`, the path of the component's artifact on the host, in place of
    /// [`ARTIFACT_TOKEN`](crate::ARTIFACT_TOKEN). It has another fingerprint, so fingerprints are always taken of the
    /// unit as it is in the manifest. It is an error if a path in it becomes one that cannot be used.
    pub fn expanded(&self, artifact: &str) -> Result<Unit, HostPathError> {
        Ok(match self {
            Unit::Step(step) => Unit::Step(step.expanded(artifact)?),
        })
    }
}

impl UnitId {
    /// The unit of that kind and name in a component.
    pub fn new(component: Name, kind: UnitKind, name: impl Into<String>) -> Self {
        UnitId { component, kind, name: name.into() }
    }
}

impl UnitKind {
    /// Every kind.
    pub const ALL: [UnitKind; 1] = [UnitKind::Step];

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
