//! What one host is to have.
//!
//! A manifest is identified by the digest of its canonical JSON. It contains no time, author or commit, so the same
//! configuration has the same id wherever and whenever it is evaluated.

use std::collections::BTreeSet;

use batou_store::{ArtifactId, Digest, Name, directory_name};
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Serialize};

use crate::{ARTIFACT_TOKEN, Format, FormatError, HostName, Instance, Unit, UnitId, UnitKind};

const MANIFEST_CONTEXT: &str = "batou 2026-11 manifest v1";
const UNIT_CONTEXT: &str = "batou 2026-11 unit v1";

/// The version of the manifest's format that this program writes, and the only one that it reads.
pub const MANIFEST_FORMAT: u32 = 2;

static FORMAT: Format = Format {
    name: "the manifest",
    kind: "a manifest",
    version: MANIFEST_FORMAT,
    // It depends on whether the generation is in force.
    renewal: None,
};

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
    pub host: HostName,
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
    /// What the host converges once the files are in place, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Unit>,
}

impl Manifest {
    /// The canonical bytes, as stored in `generations/N/manifest.json`.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data")
    }

    /// Reads a manifest, from a host or a file; another version of the format is an error that says so.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        FORMAT.read(bytes).map_err(|error| with_unknown_kind(error, bytes))
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

impl Component {
    /// The id of one of the component's units.
    pub fn unit_id(&self, unit: &Unit) -> UnitId {
        UnitId::new(self.name.clone(), unit.kind(), unit.name())
    }

    /// What one of the component's units depends on: the host converges it again when this differs from what it last
    /// converged to.
    ///
    /// That is everything that the unit says, and the artifact's id if a text or a path of the unit names the
    /// artifact. The id is left out if the unit itself says which files it depends on, since the id changes with
    /// every file.
    pub fn fingerprint(&self, unit: &Unit) -> Digest {
        let mut text = serde_json::to_string(unit).expect("a unit is plain data");
        if !unit.says_its_files() && text.contains(ARTIFACT_TOKEN) {
            // A unit in JSON has no line break, so what follows one cannot be taken for a part of it.
            text.push('\n');
            text.push_str(&self.artifact.to_string());
        }
        Digest::derive(UNIT_CONTEXT, text.as_bytes())
    }

    /// Whether one of the units has this fingerprint.
    pub fn has_unit(&self, fingerprint: &Digest) -> bool {
        self.units.iter().any(|unit| self.fingerprint(unit) == *fingerprint)
    }
}

/// Tells a unit of a kind that only a newer batou knows from damage: a kind can be new although the format is not.
fn with_unknown_kind(error: FormatError, bytes: &[u8]) -> FormatError {
    #[derive(Deserialize)]
    struct ManifestKinds {
        components: Vec<ComponentKinds>,
    }
    #[derive(Deserialize)]
    struct ComponentKinds {
        #[serde(default)]
        units: Vec<KindOfUnit>,
    }
    #[derive(Deserialize)]
    struct KindOfUnit {
        kind: String,
    }
    let FormatError::Malformed { format, .. } = &error else { return error };
    let Ok(manifest) = serde_json::from_slice::<ManifestKinds>(bytes) else { return error };
    let is_known =
        |kind: &str| UnitKind::deserialize(kind.into_deserializer()).map_err(|_: ValueError| ()).is_ok();
    let mut kinds =
        manifest.components.into_iter().flat_map(|component| component.units).map(|unit| unit.kind);
    match kinds.find(|kind| !is_known(kind)) {
        Some(kind) => FormatError::Kind { format, kind },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Assertions, HostPath, Step};

    const STEP: &str = r#"{"kind":"step","name":"touch","verify":"test -e x","update":"touch x","timeout":300,"environment":{"A":"b"}}"#;

    fn manifest() -> String {
        let id = "12".repeat(32);
        let component = format!(r#"{{"name":"app","artifact":"{id}","units":[{STEP}]}}"#);
        format!(
            r#"{{"format":2,"project":"shop","environment":"prod","host":"web01","components":[{component}]}}"#
        )
    }

    fn component() -> Component {
        Manifest::decode(manifest().as_bytes()).unwrap().components.remove(0)
    }

    #[test]
    fn a_manifest_keeps_its_bytes_and_writes_no_key_that_is_not_used() {
        let text = manifest();
        let manifest = Manifest::decode(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(manifest.encode()).unwrap(), text);
        let component = &manifest.components[0];
        assert_eq!(component.fingerprint(&component.units[0]), Digest::derive(UNIT_CONTEXT, STEP.as_bytes()));
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        let refused = |format: &str| {
            let text = manifest().replace("\"format\":2", &format!("\"format\":{format}"));
            Manifest::decode(text.as_bytes()).unwrap_err().to_string()
        };
        assert!(refused("3").contains("the manifest has format 3, and this batou knows formats up to 2"));
        assert!(refused("1").contains("the manifest has format 1, of a batou from before the first release"));
        assert_eq!(refused("\"2\""), "not a manifest");
    }

    #[test]
    fn an_unknown_kind_of_unit_is_a_newer_batous_and_anything_else_is_no_manifest() {
        let refused = |there: &str, instead: &str| {
            let text = manifest().replace(there, instead);
            assert_ne!(text, manifest());
            Manifest::decode(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            refused("\"kind\":\"step\"", "\"kind\":\"service\""),
            "the manifest has a service, which this batou does not know: use a newer batou"
        );
        assert_eq!(refused("\"kind\":\"step\"", "\"kind\":7"), "not a manifest");
        assert_eq!(refused("\"timeout\":300", "\"timeout\":\"long\""), "not a manifest");
        assert_eq!(refused("}]", "}"), "not a manifest");
    }

    /// Whether the step's fingerprint is the same with another artifact.
    fn ignores_the_artifact(step: &Step) -> bool {
        let (one, unit) = (component(), Unit::Step(step.clone()));
        let other = Component { artifact: ArtifactId::from(Digest::of(b"other")), ..one.clone() };
        one.fingerprint(&unit) == other.fingerprint(&unit)
    }

    #[test]
    fn a_unit_depends_on_the_artifact_where_it_names_it() {
        let plain = Step::updating("s", "systemctl reload app");
        assert!(ignores_the_artifact(&plain));
        let path = || HostPath::new(format!("{ARTIFACT_TOKEN}/x")).unwrap();
        let naming = [
            Step::updating("s", format!("{ARTIFACT_TOKEN}/reload")),
            Step { directory: Some(ARTIFACT_TOKEN.to_owned()), ..plain.clone() },
            Step { creates: Some(path()), ..plain.clone() },
            Step { assertions: Assertions { path: Some(path()), ..Assertions::default() }, ..plain },
        ];
        for step in naming {
            assert!(!ignores_the_artifact(&step), "{step:?}");
        }
    }

    #[test]
    fn a_step_with_triggers_does_not_depend_on_the_artifact_that_it_names() {
        let mut step = Step::updating("s", format!("{ARTIFACT_TOKEN}/reload"));
        step.triggers.insert("etc/".into(), "1".into());
        assert!(ignores_the_artifact(&step));
        let mut other = step.clone();
        other.triggers.insert("etc/".into(), "2".into());
        let fingerprint = |step: Step| component().fingerprint(&Unit::Step(step));
        assert_ne!(fingerprint(step), fingerprint(other));
    }

    #[test]
    fn a_unit_is_named_with_its_kind_and_component() {
        let component = component();
        assert_eq!(component.unit_id(&component.units[0]).to_string(), "step app/touch");
    }
}
