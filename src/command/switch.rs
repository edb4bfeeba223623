//! `batou switch`: releases an environment to its hosts.

use std::collections::BTreeMap;

use batou_environments::{Host, Settings};
use batou_store::Digest;

use crate::build::{Built, build};
use crate::cli::{Diff, SwitchArgs};
use crate::context::Context;
use crate::deployment::Deployment;
use crate::error::CommandError;
use crate::fleet::transaction::HostOrder;
use crate::guard;
use crate::plan::SavedPlan;
use crate::protocol::State;
use crate::releasing::Intended;
use crate::resolver::Resolver;

/// Runs the command.
pub fn run(context: &Context, args: &SwitchArgs) -> Result<(), CommandError> {
    let project = context.project()?;
    let (settings, hosts) = batou_environments::settings(project, &args.environment)?;
    if args.dry_run {
        return super::plan::show(context, settings, &hosts, &args.leave_out, Diff::Full);
    }
    guard::confirm(&settings, args.locking.yes, &context.ui)?;
    super::block_on(switch(context, args, settings, hosts))
}

async fn switch(
    context: &Context,
    args: &SwitchArgs,
    settings: Settings,
    hosts: Vec<Host>,
) -> Result<(), CommandError> {
    let mut deployment = Deployment::new(context, settings.clone(), &hosts, &args.leave_out)?;
    // The hosts are called while the configuration is evaluated: both take about as long.
    deployment.fleet.call();
    guard::check_repository(context.project()?, &settings, args.dirty, &context.ui)?;
    let (built, expected) = match &args.plan {
        Some(file) => {
            let plan = SavedPlan::read(file)?;
            plan.check_is_for(context.project()?, &settings.name)?;
            let expected = plan.expected();
            (plan.into_built(), Some(expected))
        }
        None => (deployment.build()?, None),
    };
    deployment.want(&built);
    let states = deployment.states(&args.leave_out).await?;
    if !args.recheck && expected.is_none() && is_settled(&states) {
        return up_to_date(deployment, &built);
    }
    let intended = intended(&built, &hosts, args.recheck, expected);
    deployment.release(intended, &states, &args.locking).await
}

/// Whether every host has the wanted release and nothing left to do.
fn is_settled(states: &BTreeMap<String, State>) -> bool {
    !states.is_empty() && states.values().all(|state| state.settled)
}

fn up_to_date(deployment: Deployment<'_>, built: &Built) -> Result<(), CommandError> {
    let ui = &deployment.context.ui;
    let release = built.release.id();
    let environment = &deployment.settings.name;
    ui.json(&serde_json::json!({
        "type": "release", "environment": environment, "release": release, "changed": false,
    }));
    ui.line(&format!("{environment}: nothing to do, release {} is in force", release.short()));
    deployment.fleet.abandon();
    Ok(())
}

fn intended(
    built: &Built,
    hosts: &[Host],
    recheck: bool,
    expected: Option<BTreeMap<String, Option<Digest>>>,
) -> Intended {
    let order = |(host, release): (&String, &crate::build::HostRelease)| {
        (host.clone(), HostOrder::new(release.manifest.clone(), &release.causes))
    };
    Intended {
        release: built.release.id(),
        hosts: built.hosts.iter().map(order).collect(),
        members: hosts.iter().filter(|host| !host.ignored).map(|host| host.name.clone()).collect(),
        restores: None,
        recheck,
        expected,
    }
}

impl Deployment<'_> {
    /// Evaluates the environment, builds it into the controller's store and records the result there.
    pub fn build(&self) -> Result<Built, CommandError> {
        let evaluation = self.context.evaluate(&self.settings.name, &Resolver::default())?;
        let built = build(&evaluation, self.context.store()?, &self.context.ui.progress())?;
        self.context.records()?.save(&built)?;
        Ok(built)
    }

    /// Tells the hosts which release they are asked about.
    pub fn want(&mut self, built: &Built) {
        let release = built.release.id();
        for (host, wanted) in &built.hosts {
            let manifest = &wanted.manifest;
            let (digest, artifacts) = (manifest.digest(), manifest.artifacts());
            self.fleet.want(host, crate::protocol::Wanted { release, manifest: digest, artifacts });
        }
    }
}
