//! Questions that code asks, and their answers.

use std::sync::Arc;

use minijinja::value::Value;

/// A question of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Query {
    pub(crate) key: String,
    /// Only what this host provides: `same`, or a name.
    pub(crate) host: Option<String>,
}

/// A question that was asked, and the digest of what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) query: Query,
    pub(crate) digest: blake3::Hash,
}

/// What was answered.
pub(super) struct ProvidedAnswer {
    pub(super) found: Arc<Vec<Value>>,
    /// What the answer adds to the causes of whoever asked.
    pub(super) causes: Vec<(String, String)>,
    pub(super) digest: blake3::Hash,
}
