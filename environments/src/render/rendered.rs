//! A component as it will be on a host; a build makes an artifact of it.

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
    /// By path: the sub-components that declare the entry, as `Venv("py")`, outermost first. Entries that the
    /// component declares itself are left out.
    pub breadcrumbs: BTreeMap<String, Vec<String>>,
    /// In the order in which they run.
    pub units: Vec<RenderedUnit>,
    /// The components that must be activated before it; only the direct ones.
    pub after: BTreeSet<Instance>,
}

/// One entry of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A file.
    File {
        /// Its content.
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
    /// To be copied as it is from this file of the project; may be large. Absolute, without symlinks.
    Source(PathBuf),
}

/// A unit of a rendered component. The component's artifact is [`ARTIFACT_TOKEN`](batou_release::ARTIFACT_TOKEN) in all its
/// texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedUnit {
    /// The unit, before the files that it depends on are known.
    pub unit: Unit<Dependency>,
    /// The sub-components that declare it, as `Venv("py")`, outermost first; empty for the component's own.
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
