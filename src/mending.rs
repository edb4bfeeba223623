//! What was damaged in the controller's store is rebuilt from the project's files, and the command goes on.
//!
//! The store is a cache: its files are not synced to disk, and anybody may remove some of them. So whatever a
//! command finds damaged or missing there is dropped and rebuilt, and the work that met it is done once more.

use std::collections::{BTreeMap, BTreeSet};

use batou_environments::Evaluation;
use batou_release::HostRelease;
use batou_store::{ArtifactId, Dropped, Name, ObjectId, Store};

use crate::build::{Built, build, objects};
use crate::context::Context;
use crate::error::CommandError;
use crate::evaluation::Lookup;
use crate::records::Record;
use crate::ui::plural;

/// How many artifacts a warning names.
const SHOWN: usize = 5;

/// What a command needs from the store, and what can rebuild it.
#[derive(Clone, Debug, Default)]
pub struct Needed {
    /// The environments of the project whose components may rebuild it.
    pub environments: BTreeSet<String>,
    /// What the command cannot do without.
    pub artifacts: BTreeSet<ArtifactId>,
    /// What it could make use of, such as what hosts have now. Only those that are in the store count.
    pub useful: BTreeSet<ArtifactId>,
}

impl Needed {
    /// All artifacts of these releases of an environment.
    pub fn of<'r>(environment: &str, hosts: impl IntoIterator<Item = &'r HostRelease>) -> Self {
        let artifacts = hosts.into_iter().flat_map(|host| host.manifest().artifacts()).collect();
        Self { environments: [environment.to_owned()].into(), artifacts, useful: BTreeSet::new() }
    }
}

impl Context {
    /// Does something, and once more if it failed because of damage in the store that could be repaired by
    /// rebuilding.
    pub fn mending<T>(
        &self,
        needed: &Needed,
        work: impl Fn() -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        match work() {
            Err(error) if error.is_of_store() && self.mend(needed)? => work(),
            done => done,
        }
    }

    /// Reads everything that is needed, and rebuilds what is damaged or missing. Returns whether anything was.
    /// Something needed that cannot be rebuilt is an error.
    pub fn mend(&self, needed: &Needed) -> Result<bool, CommandError> {
        let store = self.store()?;
        let mut wanted: Vec<_> = needed.artifacts.iter().copied().collect();
        for id in &needed.useful {
            if store.contains(&ObjectId::Artifact(*id))? {
                wanted.push(*id);
            }
        }
        let evaluations = needed.environments.iter();
        let evaluations: Result<Vec<_>, _> =
            evaluations.map(|name| self.evaluate_silently(name, Lookup::System)).collect();
        let made = match &evaluations {
            Ok(evaluations) => self.objects(evaluations),
            Err(_) => Ok(Vec::new()),
        };
        let dropped =
            store.drop_damaged(&wanted, made.as_deref().unwrap_or_default(), &self.ui.progress())?;
        if dropped.faults.is_empty() {
            return Ok(false);
        }
        let again = evaluations.and_then(|evaluations| self.build_again(&evaluations, &dropped));
        let lacking = |ids: &BTreeSet<ArtifactId>| {
            let mut lacking = 0;
            for id in ids.intersection(&dropped.artifacts) {
                lacking += usize::from(!store.contains(&ObjectId::Artifact(*id))?);
            }
            Ok::<_, CommandError>(lacking)
        };
        let lost = lacking(&needed.artifacts)?;
        if lost > 0 {
            return Err(unmendable(store, lost, again.err()));
        }
        let mut done = format!("{} had damaged or missing files", store.root().display());
        let names = again.unwrap_or_default();
        if !names.is_empty() {
            done.push_str(&format!("; made again from the project's files: {}", enumerated(&names)));
        }
        match lacking(&needed.useful)? {
            0 => {}
            some => done.push_str(&format!("; dropped: {} of other releases", plural(some, "artifact"))),
        }
        self.ui.warn(&done);
        Ok(true)
    }

    /// All objects of the environments.
    fn objects(&self, evaluations: &[Evaluation]) -> Result<Vec<ObjectId>, CommandError> {
        let mut made = BTreeSet::new();
        for evaluation in evaluations {
            made.extend(objects(evaluation, self.store()?, &self.ui.progress())?);
        }
        Ok(made.into_iter().collect())
    }

    /// Builds the environments into the store, and checks out again what was checked out before. Returns the
    /// names of the artifacts that had been dropped.
    fn build_again(
        &self,
        evaluations: &[Evaluation],
        dropped: &Dropped,
    ) -> Result<BTreeSet<Name>, CommandError> {
        let store = self.store()?;
        let mut made = BTreeSet::new();
        for evaluation in evaluations {
            let built = build(evaluation, store, &self.ui.progress())?;
            let names = names(&built);
            let shown = dropped.checked_out.iter();
            let shown: Vec<_> = shown.filter_map(|id| Some((*id, *names.get(id)?))).collect();
            store.check_out(&shown)?;
            let again = names.iter().filter(|(id, _)| dropped.artifacts.contains(id));
            made.extend(again.map(|(_, name)| (*name).clone()));
            self.hold(built.lease);
        }
        Ok(made)
    }

    /// What a built release needs. Only the project that it belongs to can rebuild it.
    pub fn needed_of(&self, record: &Record) -> Needed {
        let (project, environment) = (&record.release.project, &record.release.environment);
        let mut needed = Needed::of(environment, record.hosts.values());
        let known = self.project().ok().filter(|ours| ours.name == *project);
        let names = known.and_then(|project| batou_environments::environment_names(project).ok());
        if !names.is_some_and(|names| names.contains(environment)) {
            needed.environments.clear();
        }
        needed
    }
}

/// The first few names.
fn enumerated(names: &BTreeSet<Name>) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(Name::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn names(built: &Built) -> BTreeMap<ArtifactId, &Name> {
    let components = built.hosts.values().flat_map(|host| &host.manifest().components);
    components.map(|component| (component.artifact, &component.name)).collect()
}

fn unmendable(store: &Store, lost: usize, failure: Option<CommandError>) -> CommandError {
    let message = format!(
        "{} was damaged, and has lost {}, which cannot be made again from the project's files as they are now",
        store.root().display(),
        plural(lost, "artifact"),
    );
    let error = CommandError::failed(message);
    let error = match failure {
        Some(failure) => error.because(failure),
        None => error,
    };
    error.hint(
        "`batou store import` the release again, or `batou build` its environment from the commit that it was made from",
    )
}
