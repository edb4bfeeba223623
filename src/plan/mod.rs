//! What a switch would change: the types of a plan, how it is made from two manifests, and how it is shown.

pub mod compare;
mod line;
pub mod objects;
pub mod render;

use batou_agent::protocol::Drift;
use batou_release::{HostName, UnitKind};
use batou_store::{Digest, Mode};

use crate::ui::line::plan::{Change, Transfer};

/// What a switch would change on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// The host's name in the environment.
    pub host: HostName,
    /// The manifest that is in force, if there is one.
    pub from: Option<Digest>,
    /// The manifest that would be in force.
    pub to: Digest,
    /// What would be sent.
    pub missing: Transfer,
    /// The components that change, in the order of the manifest; removed ones last.
    pub components: Vec<ComponentPlan>,
    /// The host already has all of it, and nothing is left to run or put back. If it was not asked: nothing differs.
    pub settled: bool,
    /// Whether the host was asked. Nobody is asked where two releases are compared.
    pub asked: bool,
    /// What differs from the release in force, and will be put back.
    pub drift: Drift,
    /// What else to know about the host, one sentence each.
    pub notes: Vec<String>,
}

/// What would change in a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPlan {
    /// Its name.
    pub component: String,
    /// What happens to it.
    pub change: Change,
    /// The files, folders without content and symlinks that change, sorted by path.
    pub files: Vec<FilePlan>,
    /// The units that would be converged: those that are new or changed.
    pub units: Vec<UnitPlan>,
    /// What it replaces is not known, so its files could not be compared, and all of the new ones are listed.
    pub incomparable: bool,
}

/// A unit that would be converged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitPlan {
    /// Its kind.
    pub kind: UnitKind,
    /// Its name.
    pub name: String,
    /// What it depends on besides its own texts and has changed.
    pub because: Vec<String>,
    /// The sub-component that declares it.
    pub by: Option<String>,
}

/// What would change at a path of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// The path below the component's folder.
    pub path: String,
    /// What happens there.
    pub change: Change,
    /// How it changes.
    pub content: ContentPlan,
    /// The permission bits before and after, if both are files and the bits differ.
    pub mode: Option<(Mode, Mode)>,
    /// The sub-component that declares it, with those that it is part of: `Venv("py") > Package("zope")`.
    pub by: Option<String>,
    /// The changed things that it was rendered from: "attribute web.sleep".
    pub causes: Vec<String>,
}

/// How the content at a path changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentPlan {
    /// Text: the unified diff with 3 lines of context, without a header.
    Diff(String),
    /// Not text, or too large, or not known: the sizes in bytes before and after, where there is a file.
    Sizes(Option<u64>, Option<u64>),
    /// What is there before and after, in words, if one of them is not a file ("symlink to x", "folder").
    Kinds(Option<String>, Option<String>),
    /// The same bytes; only the mode differs.
    Same,
}
