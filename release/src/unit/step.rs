//! Steps: commands that a host runs after the switch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact_path::expand_artifact;
use crate::{HostPath, HostPathError, ScriptPath};

/// A step whose texts are all rendered, except that the path of the component's artifact is
/// [`ARTIFACT_TOKEN`](crate::ARTIFACT_TOKEN) until it is [`expanded`](Step::expanded). `D` is what it depends on, as in every
/// [`Unit`](crate::Unit).
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Step<D = String> {
    /// Unique within its component.
    pub name: String,
    /// Succeeds when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// Does what the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// Undoes it when the host goes back, or a rollback leaves the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<String>,
    /// Whether rollbacks that would go back past it are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub irreversible: bool,
    /// Seconds that each command may take.
    pub timeout: u64,
    /// Where the commands run; by default the component's state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Added to the commands' environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Is run in place of `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Script<D>>,
    /// What must hold besides the command of `verify`.
    #[serde(default = "Assertions::none", skip_serializing_if = "Assertions::is_empty")]
    pub assertions: Assertions<D>,
    /// Nothing is run while this exists, and it must exist after the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<HostPath>,
    /// Nothing else is run while this command succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// The step is skipped where this does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if_path: Option<HostPath>,
    /// What the step depends on besides its own texts: each trigger as declared, and what it names. With triggers, the
    /// step does not depend on the artifact only because its texts name it.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, D>,
}

/// A file of the component's artifact that is run, without a shell.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Script<D = String> {
    /// Below the artifact.
    pub path: ScriptPath,
    /// What it is called with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Its content and mode: a changed script is a changed step.
    pub digest: D,
}

/// What a `verify` says besides its command. All of it must hold.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Assertions<D = String> {
    /// Must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// Must exist, and not be older than others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
    /// Must be the same as when the step last converged. Written as [`Step::triggers`] are.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub unchanged: BTreeMap<String, D>,
    /// Must succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Script<D>>,
}

/// A file and those that it must not be older than, by their modification times.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Newer {
    /// The file.
    pub path: HostPath,
    /// The others, all of which must exist.
    pub than: Vec<HostPath>,
}

impl<D> Assertions<D> {
    /// Asserts nothing.
    pub fn none() -> Self {
        Assertions { path: None, newer: None, unchanged: BTreeMap::new(), script: None }
    }

    /// Whether nothing is asserted.
    pub fn is_empty(&self) -> bool {
        let Assertions { path, newer, unchanged, script } = self;
        path.is_none() && newer.is_none() && unchanged.is_empty() && script.is_none()
    }

    fn map<E>(&self, with: &impl Fn(&D) -> E) -> Assertions<E> {
        Assertions {
            path: self.path.clone(),
            newer: self.newer.clone(),
            unchanged: map(&self.unchanged, with),
            script: self.script.as_ref().map(|script| script.map(with)),
        }
    }
}

impl<D> Default for Assertions<D> {
    fn default() -> Self {
        Self::none()
    }
}

impl<D> Script<D> {
    fn map<E>(&self, with: impl Fn(&D) -> E) -> Script<E> {
        Script { path: self.path.clone(), arguments: self.arguments.clone(), digest: with(&self.digest) }
    }
}

fn map<D, E>(dependencies: &BTreeMap<String, D>, with: impl Fn(&D) -> E) -> BTreeMap<String, E> {
    dependencies.iter().map(|(name, dependency)| (name.clone(), with(dependency))).collect()
}

/// How many seconds a command may take if the step does not say.
pub const STEP_TIMEOUT: u64 = 300;

impl<D> Step<D> {
    /// By name: its triggers, what must be unchanged, and its scripts.
    pub(super) fn dependencies(&self) -> BTreeMap<&str, &D> {
        let named = self.triggers.iter().chain(&self.assertions.unchanged);
        let named = named.map(|(name, dependency)| (name.as_str(), dependency));
        let scripts = self.script.iter().chain(&self.assertions.script);
        named.chain(scripts.map(|script| (script.path.as_str(), &script.digest))).collect()
    }

    /// The same step, which depends on what `with` makes of each of its dependencies.
    pub(super) fn map<E>(&self, with: &impl Fn(&D) -> E) -> Step<E> {
        Step {
            name: self.name.clone(),
            verify: self.verify.clone(),
            update: self.update.clone(),
            revert: self.revert.clone(),
            irreversible: self.irreversible,
            timeout: self.timeout,
            directory: self.directory.clone(),
            environment: self.environment.clone(),
            script: self.script.as_ref().map(|script| script.map(with)),
            assertions: self.assertions.map(with),
            creates: self.creates.clone(),
            unless: self.unless.clone(),
            only_if_path: self.only_if_path.clone(),
            triggers: map(&self.triggers, with),
        }
    }
}

impl Step {
    /// A step that runs a command once, and says nothing else.
    pub fn updating(name: impl Into<String>, command: impl Into<String>) -> Self {
        Step {
            name: name.into(),
            verify: None,
            update: Some(command.into()),
            revert: None,
            irreversible: false,
            timeout: STEP_TIMEOUT,
            directory: None,
            environment: BTreeMap::new(),
            script: None,
            assertions: Assertions::default(),
            creates: None,
            unless: None,
            only_if_path: None,
            triggers: BTreeMap::new(),
        }
    }

    /// The step with `artifact`, the path of the component's artifact on the host, in place of the token. It has
    /// another fingerprint, so fingerprints are always taken of the step as it is in the manifest. It is an error if
    /// a path in it becomes one that cannot be used.
    pub fn expanded(&self, artifact: &str) -> Result<Step, HostPathError> {
        let text = |text: &String| expand_artifact(text, artifact);
        let path = |path: &HostPath| path.expanded(artifact);
        let script = |script: &Script| Script {
            arguments: script.arguments.iter().map(text).collect(),
            ..script.clone()
        };
        let newer = |newer: &Newer| -> Result<Newer, HostPathError> {
            Ok(Newer {
                path: path(&newer.path)?,
                than: newer.than.iter().map(path).collect::<Result<_, _>>()?,
            })
        };
        Ok(Step {
            name: self.name.clone(),
            verify: self.verify.as_ref().map(text),
            update: self.update.as_ref().map(text),
            revert: self.revert.as_ref().map(text),
            irreversible: self.irreversible,
            timeout: self.timeout,
            directory: self.directory.as_ref().map(text),
            environment: self.environment.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            script: self.script.as_ref().map(script),
            assertions: Assertions {
                path: self.assertions.path.as_ref().map(path).transpose()?,
                newer: self.assertions.newer.as_ref().map(newer).transpose()?,
                unchanged: self.assertions.unchanged.clone(),
                script: self.assertions.script.as_ref().map(script),
            },
            creates: self.creates.as_ref().map(path).transpose()?,
            unless: self.unless.as_ref().map(text),
            only_if_path: self.only_if_path.as_ref().map(path).transpose()?,
            triggers: self.triggers.clone(),
        })
    }

    /// Whether the step has a command or assertion that tells whether it holds.
    pub fn has_verify(&self) -> bool {
        self.verify.is_some() || !self.assertions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ARTIFACT_TOKEN;

    #[test]
    fn every_text_and_path_gets_the_artifacts_path() {
        let text = || Some(format!("{ARTIFACT_TOKEN}/x"));
        let path = || HostPath::new(format!("{ARTIFACT_TOKEN}/x")).unwrap();
        let script = || Script {
            path: ScriptPath::new("run").unwrap(),
            arguments: vec![ARTIFACT_TOKEN.to_owned()],
            digest: "1".to_owned(),
        };
        let step = Step {
            verify: text(),
            revert: text(),
            directory: text(),
            environment: BTreeMap::from([("A".to_owned(), ARTIFACT_TOKEN.to_owned())]),
            script: Some(script()),
            assertions: Assertions {
                path: Some(path()),
                newer: Some(Newer { path: path(), than: vec![path()] }),
                unchanged: BTreeMap::from([("etc/".to_owned(), "1".to_owned())]),
                script: Some(script()),
            },
            creates: Some(path()),
            unless: text(),
            only_if_path: Some(path()),
            triggers: BTreeMap::from([("etc/".to_owned(), "1".to_owned())]),
            ..Step::updating("s", format!("{ARTIFACT_TOKEN}/x"))
        };
        let wanted = serde_json::to_string(&step).unwrap().replace(ARTIFACT_TOKEN, "/srv/a");
        assert_eq!(wanted.matches("/srv/a").count(), 13);
        assert_eq!(serde_json::to_string(&step.expanded("/srv/a").unwrap()).unwrap(), wanted);
    }

    #[test]
    fn a_path_that_becomes_too_long_is_refused() {
        let mut step = Step::updating("s", "true");
        step.creates = Some(HostPath::new(format!("{ARTIFACT_TOKEN}/{}", "x".repeat(4000))).unwrap());
        assert!(step.expanded("/srv/a").is_ok());
        assert_eq!(step.expanded(&"/x".repeat(60)), Err(HostPathError::TooLong));
    }
}
