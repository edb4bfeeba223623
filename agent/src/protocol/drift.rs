//! What is not as it was released.

use batou_store::Name;
use serde::{Deserialize, Serialize};

use super::bounded;

/// Files of the release in force that do not look as they were released, or that were put back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// How many there are.
    #[serde(deserialize_with = "bounded::number")]
    pub count: u64,
    /// The first of them, at most [`Drift::NAMED`].
    #[serde(deserialize_with = "bounded::few::<_, _, { Drift::NAMED }>")]
    pub files: Vec<DriftedFile>,
}

/// A file that is not as it was released.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DriftedFile {
    /// The component that it is of; none for what is the host's as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Name>,
    /// Its path in the component's folder, or without a component in the target directory.
    #[serde(deserialize_with = "bounded::path")]
    pub path: String,
    /// What happened to it.
    pub kind: DriftKind,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// It was removed.
    Missing,
    /// It was changed or replaced.
    Changed,
    /// It was not released.
    Foreign,
    /// It was removed, and it was not released: a component's own data, which nobody has. It is made again, empty.
    Lost,
}

impl Drift {
    /// How many files are named at most; more are only counted.
    pub const NAMED: usize = 20;

    /// The drift that these files make. A file that is given twice counts once.
    pub fn of(mut files: Vec<DriftedFile>) -> Self {
        files.sort();
        files.dedup_by(|next, file| (&next.component, &next.path) == (&file.component, &file.path));
        let count = files.len() as u64;
        files.truncate(Self::NAMED);
        Self { count, files }
    }

    /// Whether everything is as it was released.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }
}
