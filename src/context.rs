//! What every command starts from: the output, the project, the controller's store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use batou_environments::{Evaluation, ExplainedEnvironment, Host, Policy, Project, Typed};
use batou_store::{Lease, Store};

use crate::build::{Built, build};
use crate::error::CommandError;
use crate::evaluation::{self, Lookup};
use crate::login;
use crate::records::{Record, Records};
use crate::store_place;
use crate::ui::{Ui, visible_name};
use crate::waits::Waits;

/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "batou.toml";

/// What every command starts from. The project and the store are opened when they are first needed.
pub struct Context {
    /// The output.
    pub ui: Ui,
    /// The hosts that the command waits for.
    pub waits: Arc<Waits>,
    directory: Option<PathBuf>,
    project: OnceLock<Project>,
    store: OnceLock<Arc<Store>>,
    leases: Mutex<Vec<Lease>>,
}

impl Context {
    /// The context of the project in this folder, if one is named.
    pub fn new(directory: Option<PathBuf>, ui: Ui) -> Self {
        let (waits, project, store) = (Arc::default(), OnceLock::new(), OnceLock::new());
        Self { ui, waits, directory, project, store, leases: Mutex::default() }
    }

    /// Uses this store.
    #[cfg(test)]
    pub(crate) fn use_store(&self, store: Arc<Store>) {
        self.store.get_or_init(|| store);
    }

    /// The project: that of `--project`, or the nearest folder with a `batou.toml`, from the working directory upwards.
    pub fn project(&self) -> Result<&Project, CommandError> {
        if let Some(project) = self.project.get() {
            return Ok(project);
        }
        let directory = match &self.directory {
            Some(directory) => absolute(directory)?,
            None => nearest(&absolute(Path::new("."))?)?,
        };
        let project = batou_environments::project(&directory)?;
        Ok(self.project.get_or_init(|| project))
    }

    /// The controller's store, created if absent, and repaired if its folders and locks are not as they should
    /// be. Threads that copy to hosts share it.
    pub fn store(&self) -> Result<&Arc<Store>, CommandError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let root = store_root()?;
        let (store, damaged) = Store::open_mended(&root).map_err(|error| {
            let hint =
                format!("the local store is the folder {}; BATOU_STORE names another one", root.display());
            CommandError::from(error).hint(hint)
        })?;
        if !damaged.is_empty() {
            let (root, damaged) = (store.root().display(), damaged.join(", "));
            self.ui.warn(&format!("{root} was damaged, and has been mended: {damaged}"));
        }
        Ok(self.store.get_or_init(|| Arc::new(store)))
    }

    /// Refuses an environment whose hosts would be in the way of the controller's store.
    pub fn check_store_place(&self, policy: &Policy, hosts: &[Host]) -> Result<(), CommandError> {
        match self.store.get() {
            Some(store) => store_place::check(store.root(), policy, hosts),
            None => store_place::check(&store_root()?, policy, hosts),
        }
    }

    /// Keeps a lease until the end of the command.
    pub fn hold(&self, lease: Option<Lease>) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).extend(lease);
    }

    /// The records of what was built into the controller's store.
    pub fn records(&self) -> Result<Records<'_>, CommandError> {
        Ok(Records::of(self.store()?, |dropped| self.ui.warn(dropped)))
    }

    /// An environment's policy and hosts. If there are mistakes in them, the environment is evaluated too, so
    /// that all of its mistakes are shown at once.
    pub fn policy(&self, environment: &str) -> Result<(Policy, Vec<Host>), CommandError> {
        batou_environments::policy(self.project()?, environment).map_err(|mistakes| {
            self.evaluate_silently(environment, Lookup::Offline).err().unwrap_or_else(|| mistakes.into())
        })
    }

    /// Evaluates an environment and shows its warnings.
    pub fn evaluate(&self, environment: &str, lookup: Lookup) -> Result<Evaluation, CommandError> {
        let evaluation = self.evaluate_silently(environment, lookup)?;
        self.check_store_place(&evaluation.policy, &evaluation.hosts)?;
        crate::ui::report::diagnostics(&self.ui, &evaluation.warnings);
        Ok(evaluation)
    }

    /// Evaluates an environment; leaves its warnings to the caller.
    pub fn evaluate_silently(&self, environment: &str, lookup: Lookup) -> Result<Evaluation, CommandError> {
        evaluation::evaluate(self.project()?, environment, lookup)
    }

    /// Explains the attributes of a component on a host, if it is there.
    pub fn explain(&self, environment: &str, typed: Typed) -> Result<ExplainedEnvironment, CommandError> {
        evaluation::explain(self.project()?, environment, typed)
    }

    /// Evaluates an environment, builds it into the store, and records its release as the environment's newest.
    pub fn build(&self, environment: &str) -> Result<(Evaluation, Built), CommandError> {
        let evaluation = self.evaluate(environment, Lookup::System)?;
        let built = build(&evaluation, self.store()?, &self.ui.progress())?;
        self.records()?.save(&Record::of(&built, evaluation.policy.keep))?;
        Ok((evaluation, built))
    }

    /// The release of the environment `name`, which is built, or the built release whose id begins with `name`.
    pub fn release(&self, name: &str) -> Result<Record, CommandError> {
        let environments =
            self.project().and_then(|project| Ok(batou_environments::environment_names(project)?));
        if environments.as_ref().is_ok_and(|names| names.iter().any(|known| known == name)) {
            let evaluation = self.evaluate(name, Lookup::System)?;
            let built = build(&evaluation, self.store()?, &self.ui.progress())?;
            return Ok(Record::of(&built, evaluation.policy.keep));
        }
        self.records()?.find(name)?.ok_or_else(|| {
            let error = CommandError::input(format!(
                "{} is neither an environment nor a built release",
                visible_name(name)
            ));
            match environments {
                Ok(names) => error.hint(format!("the project's environments are: {}", names.join(", "))),
                Err(_) => {
                    error.hint("outside a project only built releases can be named: see `batou store ls`")
                }
            }
        })
    }

    /// The named environments, or all of them if none is named.
    pub fn environments(&self, named: &[String]) -> Result<Vec<String>, CommandError> {
        if named.is_empty() {
            let all = batou_environments::environment_names(self.project()?)?;
            let error = || CommandError::input("there are no environments");
            let help = "create environments/NAME/environment.toml";
            return if all.is_empty() { Err(error().hint(help)) } else { Ok(all) };
        }
        let mut once: Vec<String> = Vec::new();
        for name in named {
            if !once.contains(name) {
                once.push(name.clone());
            }
        }
        Ok(once)
    }
}

/// Where the controller's store is: `$BATOU_STORE`, or else below the user's cache.
pub fn store_root() -> Result<PathBuf, CommandError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    if let Some(root) = set("BATOU_STORE") {
        return absolute(&root);
    }
    if let Some(cache) = cache() {
        return Ok(cache.join("batou/store"));
    }
    let home = set("HOME").unwrap_or_else(|| PathBuf::from(login::current().home));
    absolute(&home.join(".cache/batou/store"))
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    let plain = std::path::absolute(path);
    plain.map_err(|error| CommandError::failed(format!("{} cannot be found", path.display())).because(error))
}

fn nearest(from: &Path) -> Result<PathBuf, CommandError> {
    let found = from.ancestors().find(|folder| folder.join(PROJECT_FILE).symlink_metadata().is_ok());
    found.map(Path::to_owned).ok_or_else(|| {
        CommandError::input(format!("no {PROJECT_FILE} in {} or above it", from.display()))
            .hint("go to a project's folder, name one with --project DIR, or make one with `batou init DIR`")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_nearest_project_is_found_upwards() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("components/web");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(nearest(&below).unwrap_err().exit_code(), 2);
        std::fs::write(root.path().join(PROJECT_FILE), "").unwrap();
        assert_eq!(nearest(&below).unwrap(), root.path());
    }
}
