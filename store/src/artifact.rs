//! Artifacts: a tree with a name and the artifacts it refers to.
//!
//! An artifact's id is the digest of its record, so it identifies the artifact together with everything it needs. The
//! references are part of the record because the store must know, without reading any file, what else has to be
//! present (the closure).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::DigestError;
use crate::json::json;
use crate::tree::TreeError;
use crate::{Digest, Name};

/// The domain of artifact ids.
const CONTEXT: &str = "batou-store 2026-01 artifact";
/// How many digits of the id are part of a checkout's directory name.
const ID_DIGITS: usize = 40;
/// The longest name an artifact may have: its directory's name also holds the id's digits and a dash.
const MAX_NAME: usize = 255 - ID_DIGITS - 1;

/// The id of an artifact: the digest of its record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactId(Digest);

impl ArtifactId {
    /// The id as a plain digest.
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl From<Digest> for ArtifactId {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ArtifactId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

/// The record of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The name people use for it, at most 214 bytes. The directory of a checked-out artifact is named by the id and this
    /// name.
    pub name: Name,
    /// The digest of its tree.
    pub tree: Digest,
    /// The artifacts it needs besides itself.
    pub references: BTreeSet<ArtifactId>,
}

impl Artifact {
    /// The digest of the canonical bytes.
    pub fn id(&self) -> ArtifactId {
        Self::id_of(&self.encode())
    }

    /// The canonical bytes: compact JSON.
    pub fn encode(&self) -> Vec<u8> {
        json(self)
    }

    /// Decodes canonical bytes, and refuses any others.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let artifact: Self = serde_json::from_slice(bytes)?;
        artifact.check()?;
        if artifact.encode() == bytes { Ok(artifact) } else { Err(TreeError::NotCanonical) }
    }

    /// Refuses a name that is too long to be part of its directory's name.
    pub(crate) fn check(&self) -> Result<(), TreeError> {
        if self.name.as_str().len() > MAX_NAME { Err(TreeError::LongName(self.name.clone())) } else { Ok(()) }
    }

    /// The id of an artifact that has these canonical bytes.
    pub(crate) fn id_of(encoding: &[u8]) -> ArtifactId {
        ArtifactId(Digest::derive(CONTEXT, encoding))
    }
}

/// The name of an artifact's checkout below `artifacts/`: `<first 40 digits>-<name>`.
pub fn directory_name(id: &ArtifactId, name: &Name) -> String {
    format!("{id:.ID_DIGITS$}-{name}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn artifact(name: &str) -> Artifact {
        Artifact { name: Name::new(name).unwrap(), tree: Digest::of(b"t"), references: BTreeSet::new() }
    }

    #[test]
    fn the_record_round_trips_and_its_digest_is_fixed() {
        let mut record = artifact("web");
        record.references.insert(artifact("lib").id());
        record.references.insert(artifact("app").id());
        assert_eq!(Artifact::decode(&record.encode()).unwrap(), record);
        // Changing this digest makes every existing store unreadable.
        assert_eq!(artifact("web").id().short(), "e4bd2770d0a8");
        let directory = directory_name(&record.id(), &record.name);
        assert_eq!(directory, format!("{}-web", &record.id().to_string()[..40]));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let tree = Digest::of(b"t");
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let (low, high) = (one.min(two), one.max(two));
        let refused = |text: &str| Artifact::decode(text.as_bytes()).unwrap_err();
        for other in [
            format!(r#"{{"tree":"{tree}","name":"web","references":[]}}"#),
            format!(r#"{{"name":"web","tree":"{tree}","references":["{high}","{low}"]}}"#),
            format!(r#"{{"name":"web","tree":"{tree}","references":["{low}","{low}"]}}"#),
            format!(r#"{{"name":"web","tree":"{tree}","references":[],"x":1}}"#),
        ] {
            assert!(matches!(refused(&other), TreeError::NotCanonical), "{other}");
        }
        for (none, reason) in [
            (format!(r#"{{"name":"web","tree":"{tree}"}}"#), "missing field `references`"),
            (format!(r#"{{"name":"../web","tree":"{tree}","references":[]}}"#), r#""../web""#),
        ] {
            let error = refused(&none);
            assert!(
                matches!(&error, TreeError::Json(json) if json.to_string().contains(reason)),
                "{error:?}"
            );
        }
        let (fits, long) = ("x".repeat(214), "x".repeat(215));
        let named = |name: &str| format!(r#"{{"name":"{name}","tree":"{tree}","references":[]}}"#);
        assert_eq!(Artifact::decode(named(&fits).as_bytes()).unwrap().name.as_str(), fits);
        assert!(matches!(refused(&named(&long)), TreeError::LongName(name) if name.as_str() == long));
    }
}
