//! A plan in a file, so that exactly what was reviewed can be released later, or elsewhere.
//!
//! The file carries a digest of its content, so that a damaged or edited file is refused. This is not a
//! signature: whoever can write the file can replace all of it.

use std::collections::BTreeMap;
use std::path::Path;

use batou_store::Digest;
use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use crate::outfile;
use batou_release::{Format, FormatError, HostName, HostRelease, Release};

/// What to do about a plan that is no longer of use.
const RENEWAL: &str = "make the plan anew with `batou plan ENV -o FILE`";
static FORMAT: Format = Format { name: "the plan", kind: "a saved plan", version: 2, renewal: Some(RENEWAL) };
const CONTEXT: &str = "batou 2026-11 saved plan v1";

/// What a switch is to do, and from which state of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    format: u32,
    /// The fleet release; its project and environment are those of the plan.
    pub release: Release,
    /// Why the guard rails objected, if they did, to releasing the project as it was when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// What each host that takes part is to get.
    pub hosts: BTreeMap<HostName, HostRelease>,
    /// The manifest that each of them had in force when the plan was made, if it had one.
    pub expected: BTreeMap<HostName, Option<Digest>>,
}

/// Why a file is not a usable plan. The message follows the file's name.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error("cannot be read")]
    Unreadable(#[source] std::io::Error),
    #[error("is no saved plan")]
    Unsealed(#[source] serde_json::Error),
    #[error("is damaged or was edited")]
    Damaged,
    #[error("{}", unusable(_0))]
    Format(#[from] FormatError),
    #[error("contradicts itself: a host's manifest is not the release's")]
    Inconsistent,
}

fn unusable(error: &FormatError) -> String {
    match error {
        FormatError::Malformed { source, .. } => format!("is no saved plan: {source}"),
        FormatError::Newer { found, format } => {
            format!(
                "has format {found}, and this batou knows formats up to {}: use a newer batou",
                format.version
            )
        }
        FormatError::Kind { kind, .. } => {
            format!("has a {kind}, which this batou does not know: use a newer batou")
        }
        FormatError::Older { found, .. } => format!("has format {found}, which is too old: {RENEWAL}"),
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    digest: Digest,
    /// The plan's JSON as a string, so that exactly the hashed bytes are stored.
    plan: String,
}

impl SavedPlan {
    /// A plan of this version of the format.
    pub fn new(
        release: Release,
        objection: Option<String>,
        hosts: BTreeMap<HostName, HostRelease>,
        expected: BTreeMap<HostName, Option<Digest>>,
    ) -> Self {
        Self { format: FORMAT.version, release, objection, hosts, expected }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Panics
    /// Never: a plan is plain data.
    pub fn write(&self, path: &Path) -> Result<(), CommandError> {
        let plan = serde_json::to_string(self).expect("a plan is plain data");
        let sealed = Sealed { digest: Digest::derive(CONTEXT, plan.as_bytes()), plan };
        let bytes = serde_json::to_vec(&sealed).expect("a plan is plain data");
        let written = batou_store::fs::atomic_write(path, &bytes, batou_store::fs::PRIVATE, false);
        written.map_err(|error| outfile::unwritable(path, error))
    }

    /// Reads a file, and refuses one that has been changed since it was written.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        Self::open(path).map_err(|error| {
            let refused = CommandError::input(format!("{} {error}", path.display()));
            match error {
                PlanError::Unreadable(source) => refused.because(source),
                PlanError::Unsealed(source) => refused.because(source),
                PlanError::Damaged => refused.hint(RENEWAL),
                PlanError::Format(_) | PlanError::Inconsistent => refused,
            }
        })
    }

    fn open(path: &Path) -> Result<Self, PlanError> {
        let bytes = batou_system::fs::read(path).map_err(PlanError::Unreadable)?;
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(PlanError::Unsealed)?;
        if Digest::derive(CONTEXT, sealed.plan.as_bytes()) != sealed.digest {
            return Err(PlanError::Damaged);
        }
        let plan: Self = FORMAT.read(sealed.plan.as_bytes())?;
        let agrees = |(name, host): (&HostName, &HostRelease)| {
            plan.release.hosts.get(name) == Some(&host.digest()) && host.manifest().host == *name
        };
        let consistent = plan.hosts.iter().all(agrees) && plan.hosts.keys().eq(plan.expected.keys());
        if consistent { Ok(plan) } else { Err(PlanError::Inconsistent) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_release::Causes;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::testing::manifest;

    fn plan() -> SavedPlan {
        let manifest = manifest("web01", Vec::new());
        let release = Release {
            project: "shop".to_owned(),
            environment: "prod".to_owned(),
            hosts: BTreeMap::from([("web01".parse().unwrap(), manifest.digest())]),
        };
        let name: HostName = "web01".parse().unwrap();
        let hosts = BTreeMap::from([(name.clone(), HostRelease::new(manifest, Causes::new()))]);
        SavedPlan::new(release, None, hosts, BTreeMap::from([(name, Some(Digest::of(b"x")))]))
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
        assert_eq!(SavedPlan::read(&path).unwrap_err().exit_code(), 2, "cut off");
    }

    #[test]
    fn what_is_no_file_is_no_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let refused = SavedPlan::read(&path).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("release.plan cannot be read"), "{refused}");
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
    fn newer_older_and_contradicting_plans_are_refused() {
        let mut newer = plan();
        newer.format = FORMAT.version + 1;
        let mut older = plan();
        older.format = FORMAT.version - 1;
        let mut wrong = plan();
        wrong.release.hosts.insert("web01".parse().unwrap(), Digest::of(b"other"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.plan");
        for (plan, problem) in
            [(newer, "use a newer batou"), (older, "make the plan anew"), (wrong, "contradicts itself")]
        {
            plan.write(&path).unwrap();
            let error = SavedPlan::read(&path).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
