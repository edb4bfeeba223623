//! Digests as lines have them.

use batou_store::{ArtifactId, Digest};
use serde::Serialize;

/// A digest: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct HexDigest(#[cfg_attr(test, schemars(regex(pattern = "^[0-9a-f]{64}$")))] String);

impl From<Digest> for HexDigest {
    fn from(digest: Digest) -> Self {
        Self(digest.to_string())
    }
}

impl From<ArtifactId> for HexDigest {
    fn from(artifact: ArtifactId) -> Self {
        Self(artifact.to_string())
    }
}
