//! A plan in a file, so that exactly what was reviewed can be released later, or elsewhere.
//!
//! The file carries a digest over its content: one that was damaged or edited is refused. That is no signature, and
//! whoever can write the file can replace all of it.

use std::collections::BTreeMap;
use std::path::Path;

use batou_store::Digest;
use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use batou_release::{Causes, HostName, Manifest, Release};

const FORMAT: u32 = 1;
const CONTEXT: &str = "batou 2026-11 saved plan v1";

/// What a switch is to do, and from which state of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// The version of this format.
    pub format: u32,
    /// The fleet release; its project and environment are the plan's.
    pub release: Release,
    /// What the guard rails had against a release of the project as it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// What each host that takes part is to get.
    pub hosts: BTreeMap<HostName, SavedHost>,
}

/// What one host is to get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHost {
    /// The manifest that was in force when the plan was made, if one was.
    pub expected: Option<Digest>,
    /// The newest sequence in the host's journal at that time.
    pub sequence: u64,
    /// What it is to have.
    pub manifest: Manifest,
    /// Why its files are as they are.
    pub causes: Causes,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    digest: Digest,
    /// The plan's JSON as a string, so that its bytes are exactly those that were hashed.
    plan: String,
}

impl SavedPlan {
    /// A plan of this version of the format.
    pub fn new(release: Release, hosts: BTreeMap<HostName, SavedHost>) -> Self {
        Self { format: FORMAT, release, objection: None, hosts }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Panics
    /// Never: a plan is plain data.
    pub fn write(&self, path: &Path) -> Result<(), CommandError> {
        let plan = serde_json::to_string(self).expect("a plan is plain data");
        let sealed = Sealed { digest: Digest::derive(CONTEXT, plan.as_bytes()), plan };
        let bytes = serde_json::to_vec(&sealed).expect("a plan is plain data");
        Ok(batou_store::fs::atomic_write(path, &bytes, false)?)
    }

    /// Reads a file, and refuses one that is not as it was written.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let refused = |reason: &str| CommandError::input(format!("{} {reason}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| refused("cannot be read").because(error))?;
        let sealed: Sealed =
            serde_json::from_slice(&bytes).map_err(|error| refused("is no saved plan").because(error))?;
        if Digest::derive(CONTEXT, sealed.plan.as_bytes()) != sealed.digest {
            return Err(
                refused("is damaged or was edited").hint("make the plan anew with `batou plan ENV -o FILE`")
            );
        }
        Self::decode(&sealed.plan).map_err(|problem| refused(&problem))
    }

    fn decode(plan: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let malformed = |error: serde_json::Error| format!("is no saved plan: {error}");
        let Format { format } = serde_json::from_str(plan).map_err(malformed)?;
        if format > FORMAT {
            return Err(format!(
                "has format {format}, and this batou knows formats up to {FORMAT}: use a newer one"
            ));
        }
        let plan: Self = serde_json::from_str(plan).map_err(malformed)?;
        let agrees = |(name, host): (&HostName, &SavedHost)| {
            plan.release.hosts.get(name) == Some(&host.manifest.digest()) && host.manifest.host == *name
        };
        if plan.hosts.iter().all(agrees) {
            Ok(plan)
        } else {
            Err("contradicts itself: a host's manifest is not the release's".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::manifest;

    fn plan() -> SavedPlan {
        let manifest = manifest("web01", Vec::new());
        let release = Release {
            project: "shop".to_owned(),
            environment: "prod".to_owned(),
            hosts: BTreeMap::from([("web01".parse().unwrap(), manifest.digest())]),
        };
        let host =
            SavedHost { expected: Some(Digest::of(b"x")), sequence: 7, manifest, causes: Causes::new() };
        SavedPlan::new(release, BTreeMap::from([("web01".parse().unwrap(), host)]))
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        plan().write(&path).unwrap();
        assert_eq!(SavedPlan::read(&path).unwrap(), plan());
    }

    #[test]
    fn every_single_bit_flip_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        plan().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let refused = SavedPlan::read(&path).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "byte {position}");
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(SavedPlan::read(&path).is_err());
    }

    #[test]
    fn an_edited_plan_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        plan().write(&path).unwrap();
        let edited = std::fs::read_to_string(&path).unwrap().replace("prod", "test");
        std::fs::write(&path, edited).unwrap();
        let error = SavedPlan::read(&path).unwrap_err().to_string();
        assert!(error.contains("release.plan is damaged or was edited"), "{error}");
    }

    #[test]
    fn newer_and_contradicting_plans_are_refused() {
        let mut newer = plan();
        newer.format = FORMAT + 1;
        let mut wrong = plan();
        wrong.release.hosts.insert("web01".parse().unwrap(), Digest::of(b"other"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        for (plan, problem) in [(newer, "use a newer one"), (wrong, "contradicts itself")] {
            plan.write(&path).unwrap();
            let error = SavedPlan::read(&path).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
