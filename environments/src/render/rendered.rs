//! A component as it will be on a host: what a build makes an artifact of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use batou_release::{HostName, Instance, Unit};
use serde::{Deserialize, Serialize};

/// What a component is on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rendered {
    /// The host's name.
    pub host: HostName,
    /// The component's name.
    pub component: String,
    /// By relative path: no `.`, `..` or empty parts.
    pub entries: BTreeMap<String, Entry>,
    /// By path: what the entry was made from (`attribute web.sleep`, `resource postgres from db01/postgres`, …) and
    /// 12 hex digits of the BLAKE3 digest of each. A [`Content::Source`] is its own cause and is not hashed here.
    pub causes: BTreeMap<String, BTreeMap<String, String>>,
    /// By path: the sub-components that declare the entry, as `Venv("py")`, from the outside to the inside. Without
    /// those that the component declares itself.
    pub breadcrumbs: BTreeMap<String, Vec<String>>,
    /// In their order.
    pub units: Vec<RenderedUnit>,
    /// Host and component of what must be activated before, directly.
    pub after: BTreeSet<Instance>,
}

/// One entry of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A file.
    File {
        /// What stands in it.
        content: Content,
        /// Nine bits, as declared.
        mode: u32,
    },
    /// A folder with nothing in it.
    Directory,
    /// A symlink.
    Symlink {
        /// Where it points, as it will be written.
        target: String,
    },
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Rendered.
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To be taken from this file of the project as it is; may be large. Absolute, without symlinks.
    Source(PathBuf),
}

/// A unit of a rendered component. The component's artifact is [`ARTIFACT_TOKEN`](batou_release::ARTIFACT_TOKEN) in all its
/// texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedUnit {
    /// What it is, before it is known what the files are that it depends on.
    pub unit: Unit<Dependency>,
    /// The sub-components that declare it, as `Venv("py")`, from the outside to the inside; empty for the component's
    /// own.
    pub breadcrumb: Vec<String>,
}

/// What a unit depends on besides its own texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dependency {
    /// Paths of entries of the component, sorted: their content, mode and kind.
    Entries(Vec<String>),
    /// A value: 64 hex digits of its digest.
    Value(String),
}
