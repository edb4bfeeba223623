//! `batou switch`: releases an environment to its hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use batou_environments::{Host, Policy};
use batou_release::{HostName, HostRelease};
use batou_store::{Digest, Lease, ObjectId};

use crate::build::Built;
use crate::cli::options::{Diff, LeaveOut, Locking};
use crate::context::Context;
use crate::deployment::release::Intended;
use crate::deployment::stale::unmoved;
use crate::deployment::want::{is_settled, tell_in_force};
use crate::deployment::{Deployment, block_on, planned};
use crate::error::CommandError;
use crate::guard;
use crate::saved_plan::SavedPlan;
use crate::ui::visible_name;
use batou_agent::protocol::State;

/// Release an environment to its hosts.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag of its own
#[command(after_help = "\
All hosts are staged before the first one is switched. If anything fails, every host that was switched goes back to the release it had. A second switch of the same configuration does nothing.

Examples:
  batou switch prod
  batou switch prod --dry-run          show what would be done
  batou switch prod --skip web03       leave a broken host out
  batou switch prod --plan FILE        do exactly what `batou plan -o FILE` showed")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
    /// Do what a saved plan says; refused where a host has moved on since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Hash every file and run every step's verify, also where nothing changed
    #[arg(long)]
    pub recheck: bool,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
    /// Release although the project's folder has changes that are not committed or not pushed, or another branch
    #[arg(long, help_heading = "Safety")]
    pub dirty: bool,
    /// How the hosts are locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = context.policy(&args.environment)?;
    if args.dry_run {
        return planned::show(context, policy, &hosts, &args.leave_out, Diff::Full);
    }
    guard::confirm(&policy, args.locking.yes, &context.ui)?;
    block_on(context, switch(context, args, policy, hosts))
}

async fn switch(
    context: &Context,
    args: &Args,
    policy: Policy,
    hosts: Vec<Host>,
) -> Result<(), CommandError> {
    let mut deployment = Deployment::new(context, policy, &hosts, &args.leave_out)?;
    // The hosts are called while the configuration is evaluated: both take about equally long.
    deployment.fleet.call();
    let wanted = wish(&deployment, args, &hosts)?;
    let members = hosts.iter().filter(|host| !host.ignored).map(|host| host.name.clone()).collect();
    fulfil(deployment, wanted, members, args).await
}

/// Gives the hosts what is wanted, unless they have it.
pub(crate) async fn fulfil(
    mut deployment: Deployment<'_>,
    wanted: Wish,
    members: Vec<HostName>,
    args: &Args,
) -> Result<(), CommandError> {
    deployment.only_planned(&wanted)?;
    deployment.want(&wanted.hosts, wanted.release);
    let states = deployment.states(&args.leave_out).await?;
    if let Some(expected) = &wanted.expected {
        deployment.refuse_lost(&states)?;
        unmoved(expected, &states)?;
    }
    if !args.recheck && is_settled(&states) {
        tell_in_force(&deployment.context.ui, &deployment.policy.name, wanted.release);
        deployment.fleet.abandon();
        return Ok(());
    }
    let intended = Intended {
        release: wanted.release,
        hosts: wanted.hosts,
        members,
        restores: None,
        others: Vec::new(),
        recheck: args.recheck,
        expected: wanted.expected,
    };
    deployment.release(intended, &states, &args.locking).await
}

/// What is wanted, once it is known that it may be released from here.
fn wish(deployment: &Deployment<'_>, args: &Args, hosts: &[Host]) -> Result<Wish, CommandError> {
    let Deployment { context, policy, .. } = deployment;
    let Some(file) = &args.plan else {
        guard::check_repository(&context.project()?.root, policy, args.dirty, &context.ui)?;
        return Ok(Wish::built(deployment.build()?));
    };
    let plan = SavedPlan::read(file)?;
    refuse_objection(&plan, args.dirty)?;
    Wish::planned(plan, deployment, hosts)
}

/// Refuses a plan that was made from a repository with an objection. The repository beside it now does not
/// matter.
fn refuse_objection(plan: &SavedPlan, dirty: bool) -> Result<(), CommandError> {
    match &plan.objection {
        Some(objection) if !dirty => Err(CommandError::input(format!("when the plan was made, {objection}"))
            .hint("make the plan anew, or release it anyway with --dirty")),
        _ => Ok(()),
    }
}

/// What is to be released: built just now, or planned earlier.
pub(crate) struct Wish {
    pub(crate) release: Digest,
    pub(crate) hosts: BTreeMap<HostName, HostRelease>,
    pub(crate) expected: Option<BTreeMap<HostName, Option<Digest>>>,
    /// Protects what was built from collection.
    pub(crate) _lease: Option<Lease>,
}

impl Wish {
    fn built(built: Built) -> Self {
        Wish { release: built.release.id(), hosts: built.hosts, expected: None, _lease: built.lease }
    }

    fn planned(plan: SavedPlan, deployment: &Deployment<'_>, known: &[Host]) -> Result<Self, CommandError> {
        let (project, environment) = (&deployment.context.project()?.name, &deployment.policy.name);
        if plan.release.project != *project || plan.release.environment != *environment {
            let message = format!(
                "the plan is for {} of project {}, not for {environment} of {project}",
                plan.release.environment, plan.release.project
            );
            return Err(CommandError::usage(message));
        }
        let is_known = |name: &HostName| known.iter().any(|host| host.name == *name && !host.ignored);
        if let Some(gone) = plan.hosts.keys().find(|name| !is_known(name)) {
            let message =
                format!("the plan is for {} too, which is no host of {environment}", visible_name(gone));
            return Err(CommandError::usage(message).hint("make a new one with `batou plan ENV -o FILE`"));
        }
        let release = plan.release.id();
        Ok(Wish { release, hosts: plan.hosts, expected: Some(plan.expected), _lease: None })
    }
}

impl Deployment<'_> {
    /// Leaves out the hosts that a saved plan leaves out, and says so.
    fn only_planned(&mut self, wanted: &Wish) -> Result<(), CommandError> {
        let (planned, others): (Vec<_>, Vec<_>) =
            self.fleet.hosts().into_iter().partition(|host| wanted.hosts.contains_key(host));
        for host in &others {
            self.context.ui.notice(&format!("{host} is not in the plan, and stays as it is"));
        }
        self.fleet.leave_out(others);
        if planned.is_empty() {
            return Err(CommandError::usage("none of the plan's hosts is left"));
        }
        Ok(())
    }

    /// Refuses a saved plan whose content is lost. A plan only names what it releases, so the host or the local
    /// store must have it.
    fn refuse_lost(&self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let store = self.context.store()?;
        for id in states.values().flat_map(|state| &state.missing) {
            if !store.contains(&ObjectId::Artifact(*id))? {
                let message = format!(
                    "the plan needs artifact {}, which is no longer in {}, or never was",
                    id.short(),
                    store.root().display()
                );
                return Err(CommandError::failed(message).hint(
                    "make the plan anew, or bring its release here with `batou store export` and `batou store import`",
                ));
            }
        }
        Ok(())
    }
}
