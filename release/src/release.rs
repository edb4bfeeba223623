//! What all hosts of an environment are to have.

use std::collections::BTreeMap;

use batou_store::Digest;
use serde::{Deserialize, Serialize};

use crate::HostName;

const RELEASE_CONTEXT: &str = "batou 2026-11 release v1";

/// A fleet release: which manifest each host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
    /// Each host's manifest.
    pub hosts: BTreeMap<HostName, Digest>,
}

impl Release {
    /// The id, the same wherever the same configuration is built.
    pub fn id(&self) -> Digest {
        Digest::derive(RELEASE_CONTEXT, &serde_json::to_vec(self).expect("a release is plain data"))
    }
}
