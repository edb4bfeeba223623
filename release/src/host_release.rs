//! What one host is to get: its manifest, encoded and hashed once, and why its files are as they are.

use batou_store::Digest;
use serde::{Deserialize, Serialize};

use crate::{Causes, FormatError, Manifest, manifest_digest};

/// What one host is to get, or has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenHostRelease")]
pub struct HostRelease {
    manifest: Manifest,
    causes: Causes,
    #[serde(skip)]
    bytes: Vec<u8>,
    #[serde(skip)]
    digest: Digest,
}

/// Its form as a part of another document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHostRelease {
    manifest: Manifest,
    causes: Causes,
}

impl From<WrittenHostRelease> for HostRelease {
    fn from(written: WrittenHostRelease) -> Self {
        HostRelease::new(written.manifest, written.causes)
    }
}

impl HostRelease {
    /// Encodes and hashes the manifest.
    pub fn new(manifest: Manifest, causes: Causes) -> Self {
        let bytes = manifest.encode();
        let digest = manifest_digest(&bytes);
        HostRelease { manifest, causes, bytes, digest }
    }

    /// Reads a manifest in its stored form, and causes as JSON; there are none if they cannot be read.
    pub fn decode(bytes: Vec<u8>, causes: &[u8]) -> Result<Self, FormatError> {
        let manifest = Manifest::decode(&bytes)?;
        let digest = manifest_digest(&bytes);
        let causes = serde_json::from_slice(causes).unwrap_or_default();
        Ok(HostRelease { manifest, causes, bytes, digest })
    }

    /// What the host is to have.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's stored form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The manifest's id.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Why the files are as they are.
    pub fn causes(&self) -> &Causes {
        &self.causes
    }

    /// The causes as JSON.
    pub fn encode_causes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.causes).expect("causes are plain data")
    }
}
