//! What a host answers when it is asked for a fact.

use serde::{Deserialize, Serialize};

/// A fact, or why there is none. What it holds is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Its value.
    Known(serde_json::Value),
    /// A sentence.
    Unknown(String),
}
