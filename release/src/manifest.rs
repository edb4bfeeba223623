//! What one host is to have.
//!
//! A manifest is identified by the digest of its canonical JSON. It holds no time, author or commit, so the same
//! configuration has the same id wherever and whenever it is evaluated.

use std::collections::BTreeSet;

use batou_store::{ArtifactId, Digest, Name, directory_name};
use serde::{Deserialize, Serialize};

use crate::{Instance, Step};

const MANIFEST_CONTEXT: &str = "batou 2026-11 manifest v1";
const STEP_CONTEXT: &str = "batou 2026-11 step v1";

/// The version of the manifest's format that this program writes, and the newest that it reads.
pub const MANIFEST_FORMAT: u32 = 1;

/// Everything one host is to have: its components, in the order in which they are activated there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
    /// The host's name in the environment.
    pub host: String,
    /// The host's components, providers before requirers.
    pub components: Vec<Component>,
}

/// One component of a host's [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The component's name, and that of its link in a generation.
    pub name: Name,
    /// What `current/<name>` shows.
    pub artifact: ArtifactId,
    /// The components, over all hosts, that are to be activated before this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<Instance>,
    /// What is run on the host once the files are in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Manifest {
    /// The canonical bytes, as stored in `generations/N/manifest.json`.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data")
    }

    /// Reads a manifest, from a host or a file; a newer format is an error that says so.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        if format > MANIFEST_FORMAT {
            return Err(ManifestError::Newer { format });
        }
        serde_json::from_slice(bytes).map_err(ManifestError::Malformed)
    }

    /// The id: the digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        manifest_digest(&self.encode())
    }

    /// The artifacts that the host must hold, without duplicates.
    pub fn artifacts(&self) -> Vec<ArtifactId> {
        let ids: BTreeSet<_> = self.components.iter().map(|component| component.artifact).collect();
        ids.into_iter().collect()
    }

    /// The symlinks of a generation: each component's name and the artifact's folder in the store.
    pub fn links(&self) -> Vec<(Name, String)> {
        let link = |component: &Component| {
            (component.name.clone(), directory_name(&component.artifact, &component.name))
        };
        self.components.iter().map(link).collect()
    }

    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name.as_str() == name)
    }
}

/// The id of a manifest in its stored form.
pub fn manifest_digest(bytes: &[u8]) -> Digest {
    Digest::derive(MANIFEST_CONTEXT, bytes)
}

/// What a component's step depends on: it is run again when this differs from what the host last converged to.
///
/// A step with triggers says itself on which files it depends: in its texts the artifact's own folder, which changes
/// with every file, counts for nothing.
pub fn step_fingerprint(component: &Component, step: &Step) -> Digest {
    let mut text = serde_json::to_string(step).expect("a step is plain data");
    if !step.triggers.is_empty() {
        text = text.replace(&directory_name(&component.artifact, &component.name), "artifact");
    }
    Digest::derive(STEP_CONTEXT, text.as_bytes())
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not a manifest.
    #[error("not a manifest")]
    Malformed(#[source] serde_json::Error),
    /// It was written by a newer batou.
    #[error(
        "the manifest has format {format}, and this batou knows formats up to {MANIFEST_FORMAT}: use a newer one"
    )]
    Newer {
        /// The format found.
        format: u32,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As an older batou wrote it.
    const STEP: &str = r#"{"name":"touch","verify":"test -e x","update":"touch x","revert":null,"irreversible":false,"timeout":300,"directory":null,"environment":{"A":"b"}}"#;

    fn manifest() -> String {
        let id = "12".repeat(32);
        let component = format!(r#"{{"name":"app","artifact":"{id}","steps":[{STEP}]}}"#);
        format!(
            r#"{{"format":1,"project":"shop","environment":"prod","host":"web01","components":[{component}]}}"#
        )
    }

    #[test]
    fn a_manifest_without_newer_keys_keeps_its_bytes_and_fingerprints() {
        let text = manifest();
        let manifest = Manifest::decode(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(manifest.encode()).unwrap(), text);
        let component = &manifest.components[0];
        let fingerprint = step_fingerprint(component, &component.steps[0]);
        assert_eq!(fingerprint, Digest::derive(STEP_CONTEXT, STEP.as_bytes()));
    }

    #[test]
    fn a_step_with_triggers_does_not_depend_on_the_artifact_that_it_names() {
        let mut one = Manifest::decode(manifest().as_bytes()).unwrap().components.remove(0);
        let mut other = Component { artifact: ArtifactId::from(Digest::of(b"other")), ..one.clone() };
        let name = |component: &Component| {
            let directory = directory_name(&component.artifact, &component.name);
            Some(format!("/srv/shop/store/artifacts/{directory}/reload"))
        };
        (one.steps[0].update, other.steps[0].update) = (name(&one), name(&other));
        assert_ne!(step_fingerprint(&one, &one.steps[0]), step_fingerprint(&other, &other.steps[0]));
        for component in [&mut one, &mut other] {
            component.steps[0].triggers.insert("etc/".into(), "1".into());
        }
        assert_eq!(step_fingerprint(&one, &one.steps[0]), step_fingerprint(&other, &other.steps[0]));
        other.steps[0].triggers.insert("etc/".into(), "2".into());
        assert_ne!(step_fingerprint(&one, &one.steps[0]), step_fingerprint(&other, &other.steps[0]));
    }
}
