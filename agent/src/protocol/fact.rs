//! What a host answers when it is asked for a fact.

use serde::{Deserialize, Serialize};

/// A fact, or why there is none. The value has not been checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Its value.
    Known(serde_json::Value),
    /// Why there is none, as a sentence.
    Unknown(String),
}
