//! From checked files to a model: which component runs where, with which overrides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use batou_store::Name;

use crate::component::item::Caller;
use crate::file::Table;
use crate::model::catalog::Catalog;
use crate::model::component::LoadedComponent;
use crate::notes::Notes;
use crate::project::Project;
use crate::project::environment::Environment;
use crate::project::host::Host;
use crate::template;
use crate::text::diagnostic::{Diagnostic, Problems, listed, nearest};
use crate::text::source::At;

/// An environment together with the components that run in it.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) project: Project,
    pub(crate) environment: Arc<Environment>,
    /// By host and component.
    pub(crate) instances: Vec<PlacedComponent>,
    /// Whether every component could be loaded; otherwise it is not known what others provide.
    pub(crate) complete: bool,
    /// Whether all code ran to its end; otherwise it is not known what else it requires.
    pub(crate) finished: bool,
    /// What components that wait for others would provide, by key and host. A requirement of it is not reported as
    /// unmet.
    pub(crate) promised: BTreeSet<(String, String)>,
}

/// A component on a host.
#[derive(Clone)]
pub(crate) struct PlacedComponent {
    pub(crate) host: usize,
    pub(crate) component: Arc<LoadedComponent>,
    pub(crate) features: Vec<String>,
    /// Evaluated for the sake of others, but not deployed.
    pub(crate) ignored: bool,
    pub(crate) overrides: Arc<Table>,
}

/// A `[[provide]]` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Provider {
    pub(crate) instance: usize,
    pub(crate) provide: usize,
}

impl Model {
    pub(crate) fn host(&self, index: usize) -> &Host {
        &self.environment.inventory.hosts[self.instances[index].host].host
    }

    /// The instance as a release names it.
    pub(crate) fn instance_name(&self, index: usize) -> batou_release::Instance {
        let component = Name::new(self.instances[index].component.name.as_str());
        let component = component.expect("a component's name is stricter than a file's");
        batou_release::Instance { host: self.host(index).name.clone(), component }
    }

    /// The host that an instance means by `host = …` of a requirement: its own for `same`.
    pub(crate) fn meant_host(&self, index: usize, written: &str) -> String {
        match written {
            "same" => self.host(index).name.to_string(),
            name => self.environment.checked.policy.host_name(name),
        }
    }

    /// `host/component > Sub("name")`: who declared something, for messages.
    pub(crate) fn subject_of(&self, index: usize, by: &Caller) -> String {
        format!("{}{}", self.subject(index), by.within())
    }

    /// `host/component`, for messages.
    pub(crate) fn subject(&self, index: usize) -> String {
        format!("{}/{}", self.host(index).name, self.instances[index].component.name)
    }
}

/// Loads the components that the environment names and places them on their hosts.
pub(crate) fn resolve(
    project: &Project,
    environment: Environment,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> Model {
    let mut named: BTreeMap<&str, &At> = BTreeMap::new();
    for usage in environment.inventory.hosts.iter().flat_map(|entry| &entry.components) {
        named.entry(&usage.name).or_insert(&usage.at);
    }
    for (name, overrides) in environment.overrides.components() {
        if let Some(at) = &overrides.at {
            named.entry(name).or_insert(at);
        }
    }
    let (components, complete) = load(project, &named, notes, problems);
    check_overrides(&environment, &components, problems);
    let mut instances = Vec::new();
    for (index, entry) in environment.inventory.hosts.iter().enumerate() {
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        let mut usages: Vec<_> = entry.components.iter().collect();
        usages.sort_by(|a, b| a.name.cmp(&b.name));
        for usage in usages {
            let Some(component) = components.get(&usage.name) else { continue };
            if placed.insert(&usage.name) {
                instances.push(PlacedComponent {
                    host: index,
                    component: Arc::clone(component),
                    features: component.interface.features_of(usage, problems),
                    ignored: usage.ignored || entry.host.ignored,
                    overrides: Arc::new(environment.overrides.of(&usage.name, &entry.host.name, problems)),
                });
            }
        }
    }
    let environment = Arc::new(environment);
    let project = project.clone();
    Model { project, environment, instances, complete, finished: true, promised: BTreeSet::new() }
}

fn load(
    project: &Project,
    named: &BTreeMap<&str, &At>,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> (BTreeMap<String, Arc<LoadedComponent>>, bool) {
    let engine = template::engine();
    let catalog = Catalog::load(project, notes, problems);
    let loaded: Vec<(&str, Option<LoadedComponent>, Problems)> = named
        .par_iter()
        .map(|(name, at)| {
            let mut problems = Problems::default();
            let component = catalog.component(name, at, &engine, &mut problems);
            (*name, component, problems)
        })
        .collect();
    let mut components = BTreeMap::new();
    let mut complete = true;
    for (name, component, found) in loaded {
        problems.extend(found);
        match component {
            Some(component) => drop(components.insert(name.to_owned(), Arc::new(component))),
            None => complete = false,
        }
    }
    (components, complete)
}

/// Reports overrides of attributes that the component does not declare.
fn check_overrides(
    environment: &Environment,
    components: &BTreeMap<String, Arc<LoadedComponent>>,
    problems: &mut Problems,
) {
    for (name, overrides) in environment.overrides.components() {
        let Some(component) = components.get(name) else { continue };
        let declared = &component.interface.attributes;
        for (attribute, places) in overrides.names() {
            if declared.contains_key(attribute) {
                continue;
            }
            let help = match nearest(attribute, declared.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if declared.is_empty() => declaring(component),
                None => format!("it declares {}", listed(declared.keys().map(String::as_str))),
            };
            for at in places {
                let message = format!("the component `{name}` declares no attribute `{attribute}`");
                problems.push(Diagnostic::error(message).at(at).help(help.clone()));
            }
        }
    }
}

/// Advice on how the component declares an attribute, where it has none yet.
fn declaring(component: &LoadedComponent) -> String {
    match &component.code {
        Some(declared) => format!("declare it with `attributes` of the component in {}", declared.file),
        None => format!("declare it in [attributes] of components/{}/component.toml", component.name),
    }
}
