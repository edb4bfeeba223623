//! The whole evaluation: from a project and the name of an environment to what every host gets.

use std::sync::Arc;

use batou_release::{HostName, Instance};
use batou_store::Name;
use serde::{Deserialize, Serialize};

use crate::model::connect::{connect, deployed_before};
use crate::model::place::{Model, resolve};
use crate::notes::Notes;
use crate::project::Project;
use crate::project::environment::{self, Environment};
use crate::project::facts;
use crate::project::host::Host;
use crate::project::inventory::HostEntry;
use crate::project::policy::{ConnectMethod, Policy};
use crate::render::{Rendered, Rendering, render};
use crate::rounds::settle;
use crate::template::dns::{Dns, DnsAnswers};
use crate::text::diagnostic::{Diagnostic, Diagnostics, Problems, Severity};
use crate::values::LazyValues;
use crate::values::explain::{self, ExplainedEnvironment, Typed};

/// How often DNS is asked. An answer can lead to further names; more rounds than this are a loop.
const ROUNDS: usize = 16;

/// What an evaluation needs from outside.
pub struct Options<'a> {
    /// Looks up names that have no entry in `[resolver]`.
    pub dns: &'a dyn Dns,
    /// The user who runs batou on the controller: the service user of local hosts.
    pub user: String,
    /// That user's home directory.
    pub user_home: String,
    /// Told what is being evaluated, where that can take unbounded time or memory.
    pub notes: Option<Notes<'a>>,
}

/// An environment, rendered: plain data.
#[derive(Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The project's name.
    pub project: String,
    /// `[environment]`
    pub policy: Policy,
    /// By name; ignored ones are marked.
    pub hosts: Vec<Host>,
    /// In dependency order across all hosts, ties broken by host and component; without ignored components.
    pub components: Vec<Rendered>,
    /// Components that were evaluated because others need them, but that are not deployed.
    pub ignored: Vec<Instance>,
    /// Worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Names that were not looked up in DNS.
    pub unresolved: Vec<String>,
}

/// The values that an evaluation was made from. Whoever is about to end need not free them.
pub struct Values(#[expect(dead_code, reason = "only kept")] Arc<LazyValues>);

/// What an evaluation comes to, with its mistakes.
struct EvaluationOutcome {
    values: Arc<LazyValues>,
    answers: Arc<DnsAnswers>,
    components: Vec<Rendered>,
    problems: Problems,
}

/// Only `[environment]` and the hosts, for commands that evaluate nothing else.
pub fn policy(project: &Project, environment: &str) -> Result<(Policy, Vec<Host>), Diagnostics> {
    let mut problems = Problems::default();
    let loaded = environment::load(project, environment, &mut problems);
    problems.finish()?;
    match loaded {
        Some(environment) => {
            let hosts = environment.hosts();
            Ok((environment.checked.policy, hosts))
        }
        None => Err(nothing(environment)),
    }
}

/// A host that the environment drops with `= false`, as it would be if it did not: what is still said about it tells how
/// it is reached.
pub fn former_host(
    project: &Project,
    environment: &str,
    name: &HostName,
) -> Result<Option<Host>, Diagnostics> {
    let mut problems = Problems::default();
    let loaded = environment::load(project, environment, &mut problems);
    problems.finish()?;
    let former = loaded.map(|environment| environment.inventory.former).unwrap_or_default();
    Ok(former.into_iter().find(|host| host.name == *name))
}

/// Loads, checks and configures an environment, and renders all its files and steps. All mistakes are reported at
/// once, sorted.
pub fn evaluate(
    project: &Project,
    environment: &str,
    options: &Options<'_>,
) -> Result<Evaluation, Diagnostics> {
    evaluate_with_values(project, environment, options).map(|(evaluation, _)| evaluation)
}

/// Like [`evaluate`], but also returns the values that the evaluation was made from.
pub fn evaluate_with_values(
    project: &Project,
    environment: &str,
    options: &Options<'_>,
) -> Result<(Evaluation, Values), Diagnostics> {
    let EvaluationOutcome { values, answers, components, problems } = outcome(project, environment, options)?;
    let warnings = problems.finish()?;
    Ok((finish(&values.model, components, warnings, &answers), Values(values)))
}

/// What can be told about a component on a host: all that could be evaluated, whatever mistakes there are elsewhere.
pub fn explain(
    project: &Project,
    environment: &str,
    options: &Options<'_>,
    typed: &Typed,
) -> Result<ExplainedEnvironment, Diagnostics> {
    let EvaluationOutcome { values, problems, .. } = outcome(project, environment, options)?;
    let model = &values.model;
    let policy = model.environment.checked.policy.clone();
    let host = policy.host_name(&typed.host);
    let is_meant = |index: &usize| {
        model.host(*index).name == host && model.instances[*index].component.name == typed.component
    };
    let index = (0..model.instances.len()).find(is_meant);
    let all = match problems.finish() {
        Ok(warnings) => warnings,
        Err(mistakes) => mistakes.into_iter().collect(),
    };
    let (mistakes, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|mistake| mistake.concerns(&host, &typed.component));
    Ok(ExplainedEnvironment {
        policy,
        hosts: model.environment.hosts(),
        declared: declared(&model.environment),
        explanation: index.map(|index| explain::explain(&values, index)),
        mistakes,
        elsewhere: others.iter().filter(|mistake| mistake.severity == Severity::Error).count(),
    })
}

fn declared(environment: &Environment) -> Vec<Instance> {
    let of_host = |entry: &HostEntry| {
        let host = entry.host.name.clone();
        let names = entry.components.iter().filter_map(|component| Name::new(component.name.as_str()).ok());
        names.map(|component| Instance { host: host.clone(), component }).collect::<Vec<_>>()
    };
    environment.inventory.hosts.iter().flat_map(of_host).collect()
}

/// Evaluates as far as possible. An environment that cannot be loaded is all there is to say.
fn outcome(
    project: &Project,
    environment: &str,
    options: &Options<'_>,
) -> Result<EvaluationOutcome, Diagnostics> {
    let mut problems = Problems::default();
    let Some(mut loaded) = environment::load(project, environment, &mut problems) else {
        problems.finish()?;
        return Err(nothing(environment));
    };
    if loaded.checked.policy.connect_method == ConnectMethod::Local {
        at_home(&mut loaded, options);
    }
    facts::attach(project, &mut loaded, &mut problems);
    let declared = Arc::new(resolve(project, loaded, options.notes, &mut problems));
    let answers = Arc::new(DnsAnswers::new(declared.environment.resolver.clone()));
    let mut rounds = 0..ROUNDS;
    let (values, rendering) = loop {
        // What an attempt without all answers reports may only follow from that: only the last one counts.
        let mut own = Problems::default();
        let attempt = attempt(&declared, &answers, options.notes, &mut own)
            .map_err(|error| Diagnostic::no_thread(&error))?;
        if !answers.ask(options.dns) {
            problems.extend(own);
            break attempt;
        }
        if rounds.next().is_none() {
            return Err(Diagnostic::error("DNS answers keep leading to further names, without end").into());
        }
    };
    problems.extend(values.take_problems());
    problems.extend(rendering.problems);
    if rendering.incomplete && !problems.has_errors() {
        problems.push(Diagnostic::error(
            "a value could not be evaluated, and no reason was recorded: this is a bug in batou",
        ));
    }
    Ok(EvaluationOutcome { values, answers, components: rendering.components, problems })
}

/// Configures and renders with the DNS answers known so far.
fn attempt(
    declared: &Arc<Model>,
    answers: &Arc<DnsAnswers>,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> std::io::Result<(Arc<LazyValues>, Rendering)> {
    let model = settle(declared, answers, notes, problems).map_err(std::io::Error::other)?;
    let connections = Arc::new(connect(&model, problems));
    let before = deployed_before(&model, &connections);
    let deployed: Vec<usize> =
        connections.order.iter().copied().filter(|index| !model.instances[*index].ignored).collect();
    let values = LazyValues::new(&model, &connections, answers);
    values.configure(notes)?;
    let rendering = render(&values, &deployed, &before, notes);
    Ok((values, rendering))
}

fn finish(
    model: &Model,
    components: Vec<Rendered>,
    warnings: Vec<Diagnostic>,
    answers: &DnsAnswers,
) -> Evaluation {
    let all = 0..model.instances.len();
    Evaluation {
        project: model.project.name.clone(),
        policy: model.environment.checked.policy.clone(),
        hosts: model.environment.hosts(),
        components,
        ignored: all
            .filter(|index| model.instances[*index].ignored)
            .map(|index| model.instance_name(index))
            .collect(),
        warnings,
        unresolved: answers.unresolved(),
    }
}

/// Local hosts belong to whoever runs batou.
fn at_home(environment: &mut Environment, options: &Options<'_>) {
    let policy = &mut environment.checked.policy;
    policy.service_user.get_or_insert_with(|| options.user.clone());
    for host in environment.inventory.hosts.iter_mut().map(|entry| &mut entry.host) {
        host.service_user.get_or_insert_with(|| options.user.clone());
        if host.home.is_some() && host.service_user.as_deref() == Some(options.user.as_str()) {
            host.home = Some(options.user_home.clone());
        }
    }
}

/// Loading failed without a reported reason, which would be a bug of ours.
fn nothing(environment: &str) -> Diagnostics {
    let reason = "no reason was recorded: this is a bug in batou";
    Diagnostic::error(format!("the environment `{environment}` could not be loaded, and {reason}")).into()
}
