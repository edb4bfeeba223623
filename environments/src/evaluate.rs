//! The whole way, from a project and an environment's name to what every host gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_release::{Instance, Step};
use serde::{Deserialize, Serialize};

use crate::configure::{connect, deployed_before};
use crate::diagnostic::{Diagnostic, Diagnostics, Problems};
use crate::dns::{Answers, Dns};
use crate::environment;
use crate::explain::{Explanation, explain};
use crate::facts;
use crate::host::Host;
use crate::notes::Notes;
use crate::project::Project;
use crate::render::{InstanceRender, Rendered, Rendering, render};
use crate::resolve::{Model, resolve};
use crate::settings::{ConnectMethod, Settings};
use crate::settle::settle;
use crate::step::{BuiltArtifact, Describe};
use crate::world::World;

/// Names found in the answers to names: more rounds than this are a loop.
const ROUNDS: usize = 16;

/// What an evaluation needs from outside.
pub struct Options<'a> {
    /// Who answers for names without an entry in `[resolver]`.
    pub dns: &'a dyn Dns,
    /// The controller's login: the service user of local hosts.
    pub user: String,
    /// The home of that user.
    pub user_home: String,
    /// Hears what is being evaluated, where that may take without bound.
    pub notes: Option<Notes<'a>>,
}

/// An environment, rendered. All of it but `source` is plain data, which can be told to another process.
#[derive(Serialize, Deserialize)]
pub struct Evaluation<S = Configured> {
    /// The project's name.
    pub project: String,
    /// `[environment]`
    pub settings: Settings,
    /// By name; ignored ones are marked.
    pub hosts: Vec<Host>,
    /// In dependency order over all hosts, ties by host and component; without what is ignored.
    pub components: Vec<Rendered>,
    /// Host and component of what was evaluated for the sake of others and is not to be deployed.
    pub ignored: Vec<Instance>,
    /// Worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Names that DNS was not asked for.
    pub unresolved: Vec<String>,
    /// What can still be asked.
    pub source: S,
}

impl<S> std::fmt::Debug for Evaluation<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation")
            .field("project", &self.project)
            .field("components", &self.components)
            .finish_non_exhaustive()
    }
}

impl<S> Evaluation<S> {
    /// The same with another source, and the source it had.
    pub fn replace_source<T>(self, source: T) -> (Evaluation<T>, S) {
        let Evaluation {
            project,
            settings,
            hosts,
            components,
            ignored,
            warnings,
            unresolved,
            source: before,
        } = self;
        let same = Evaluation { project, settings, hosts, components, ignored, warnings, unresolved, source };
        (same, before)
    }
}

/// The configured components, which know more than what was rendered of them.
pub struct Configured {
    world: Arc<World>,
    instances: BTreeMap<(String, String), usize>,
}

/// Only `[environment]` and the hosts, for commands that evaluate nothing else.
pub fn settings(project: &Project, environment: &str) -> Result<(Settings, Vec<Host>), Diagnostics> {
    let mut problems = Problems::default();
    let loaded = environment::load(project, environment, &mut problems);
    problems.finish()?;
    match loaded {
        Some(environment) => {
            let hosts = environment.hosts();
            Ok((environment.checked.settings, hosts))
        }
        None => Err(nothing(environment)),
    }
}

/// Loads, checks and configures an environment and renders every file of it. All mistakes at once, sorted.
pub fn evaluate(
    project: &Project,
    environment: &str,
    options: &Options<'_>,
) -> Result<Evaluation, Diagnostics> {
    let mut problems = Problems::default();
    let Some(mut loaded) = environment::load(project, environment, &mut problems) else {
        problems.finish()?;
        return Err(nothing(environment));
    };
    if loaded.checked.settings.connect_method == ConnectMethod::Local {
        at_home(&mut loaded, options);
    }
    facts::attach(project, &mut loaded, &mut problems);
    let declared = Arc::new(resolve(project, loaded, options.notes, &mut problems));
    let answers = Arc::new(Answers::new(declared.environment.resolver.clone()));
    let mut rounds = 0..ROUNDS;
    let (world, rendering) = loop {
        let mut own = Problems::default();
        let attempt = attempt(&declared, &answers, options.notes, &mut own)
            .map_err(|error| Diagnostic::error(format!("cannot start a thread: {error}")))?;
        if !answers.ask(options.dns) {
            problems.extend(own);
            break attempt;
        }
        if rounds.next().is_none() {
            return Err(Diagnostic::error("the answers of DNS lead to further names without an end").into());
        }
    };
    problems.extend(world.take_problems());
    problems.extend(rendering.problems);
    if rendering.incomplete && !problems.has_errors() {
        problems.push(Diagnostic::error("a value could not be evaluated, and the reason was lost"));
    }
    let components = rendering.components;
    let warnings = problems.finish()?;
    let model = Arc::clone(&world.model);
    Ok(finish(&model, world, components, warnings, &answers))
}

/// Configures and renders with what is known of names so far.
fn attempt(
    declared: &Arc<Model>,
    answers: &Arc<Answers>,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> std::io::Result<(Arc<World>, Rendering)> {
    let model = settle(declared, answers, notes, problems).map_err(std::io::Error::other)?;
    let connections = Arc::new(connect(&model, problems));
    let before = deployed_before(&model, &connections);
    let deployed: Vec<usize> =
        connections.order.iter().copied().filter(|index| !model.instances[*index].ignored).collect();
    let world = World::new(&model, &connections, answers);
    world.configure(notes)?;
    let rendering = render(&world, &deployed, &before, notes);
    Ok((world, rendering))
}

fn finish(
    model: &Model,
    world: Arc<World>,
    components: Vec<Rendered>,
    warnings: Vec<Diagnostic>,
    answers: &Answers,
) -> Evaluation {
    let name =
        |index: usize| (model.host(index).name.to_string(), model.instances[index].component.name.clone());
    let all = 0..model.instances.len();
    Evaluation {
        project: model.project.name.clone(),
        settings: model.environment.checked.settings.clone(),
        hosts: model.environment.hosts(),
        components,
        ignored: all
            .clone()
            .filter(|index| model.instances[*index].ignored)
            .map(|index| model.instance_name(index))
            .collect(),
        warnings,
        unresolved: answers.unresolved(),
        source: Configured { instances: all.map(|index| (name(index), index)).collect(), world },
    }
}

/// Local hosts belong to whoever runs batou.
fn at_home(environment: &mut environment::Environment, options: &Options<'_>) {
    let settings = &mut environment.checked.settings;
    settings.service_user.get_or_insert_with(|| options.user.clone());
    for host in environment.inventory.hosts.iter_mut().map(|entry| &mut entry.host) {
        host.service_user.get_or_insert_with(|| options.user.clone());
        if host.service_user.as_deref() == Some(options.user.as_str()) {
            host.home = Some(options.user_home.clone());
        }
    }
}

/// Loading failed without a mistake that says so.
fn nothing(environment: &str) -> Diagnostics {
    Diagnostic::error(format!("the environment `{environment}` is empty")).into()
}

impl Configured {
    /// The attributes of a component on a host, and where their values come from; `None` if it is not there.
    pub fn explain(&self, host: &str, component: &str) -> Option<Explanation> {
        let index = self.instances.get(&(host.to_owned(), component.to_owned()))?;
        Some(explain(&self.world, *index))
    }

    /// The steps of a component, whose texts may name `component.artifact`: its path on the host. `describe` says what
    /// is at a path in the artifact, in a text that differs where content, mode or kind do: steps may depend on it.
    pub fn steps(
        &self,
        (host, component): (&str, &str),
        artifact: &str,
        describe: &Describe<'_>,
    ) -> Result<Vec<Step>, Diagnostics> {
        let Some(index) = self.instances.get(&(host.to_owned(), component.to_owned())) else {
            return Err(Diagnostic::error(format!("there is no component `{component}` on `{host}`")).into());
        };
        let artifact = BuiltArtifact { path: artifact, describe };
        InstanceRender::steps(&self.world, *index, artifact).map_err(|problems| match problems.finish() {
            Err(diagnostics) => diagnostics,
            Ok(_) => Diagnostic::error(format!("the steps of {host}/{component} cannot be rendered")).into(),
        })
    }
}

impl Evaluation {
    /// [`Configured::steps`]
    pub fn steps(
        &self,
        instance: (&str, &str),
        artifact: &str,
        describe: &Describe<'_>,
    ) -> Result<Vec<Step>, Diagnostics> {
        self.source.steps(instance, artifact, describe)
    }
}
