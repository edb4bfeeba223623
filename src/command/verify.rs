//! `batou verify`: whether every host is still as it was released, down to each file's bytes and each step's
//! `verify`.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_release::HostName;

use crate::cli::options::{LOCK_WAIT, LeaveOut};
use crate::context::Context;
use crate::deployment::faults::nothing_in_force;
use crate::deployment::lock::holder;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::{ByHost, Failures, Member, all, sort};
use crate::ui::fault::problem;
use crate::ui::line::Line;
use crate::ui::{Ui, bytes, one_line, plural, some_of};
use batou_agent::protocol::State;
use batou_agent::protocol::question::{self, Inspection};

/// Check the files and steps of every host, and report what is not as released.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Send damaged and missing files anew
    #[arg(long)]
    pub repair: bool,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    let mut deployment = Deployment::new(context, policy, &hosts, &LeaveOut::default())?;
    block_on(context, async {
        let (states, mut failures) = if args.repair {
            deployment.all_states().await?;
            let states = deployment.lock(&holder(), LOCK_WAIT).await?;
            deployment.repair(&states).await?;
            (states, Failures::new())
        } else {
            deployment.states_of_some().await?
        };
        let (mut found, unverified) = sort(deployment.inspect().await);
        failures.extend(unverified);
        name_underway(&context.ui, &states);
        for (host, inspection) in &mut found {
            inspection.problems.extend(told_by_state(host, &states));
            show(&context.ui, (host, inspection), states.get(host));
        }
        deployment.conclude((&found, &states), &failures, args)
    })
}

/// Names the hosts on which not everything holds yet, or any more.
fn name_underway(ui: &Ui, states: &BTreeMap<HostName, State>) {
    for (host, _) in states.iter().filter(|(_, state)| state.unfinished && !state.has_damaged_intent()) {
        ui.warn(&format!(
            "{host}: a release is under way or was interrupted, so not everything has to hold; whoever releases next finishes it"
        ));
    }
}

/// Prints what is wrong with a host.
fn show(ui: &Ui, (host, found): (&HostName, &Inspection), state: Option<&State>) {
    let Inspection { problems, files, .. } = found;
    ui.json(&Line::Verified { host, files_checked: *files, problems });
    let checked = plural(usize::try_from(*files).unwrap_or(usize::MAX), "file");
    if problems.is_empty() && state.is_some_and(|state| state.generation.is_none()) {
        ui.line(&format!("{host}: no release yet"));
    } else if problems.is_empty() {
        ui.line(&format!("{host}: {checked} checked, as released"));
    } else {
        ui.line(&format!("{host}: {checked} checked, {}", plural(problems.len(), "problem")));
    }
    for problem in problems {
        ui.line(&format!("  {}", one_line(problem)));
    }
}

/// What the host's state tells of that the check does not: records that are lost or damaged, and that nothing is in force.
fn told_by_state(host: &HostName, states: &BTreeMap<HostName, State>) -> Vec<String> {
    let Some(state) = states.get(host) else { return Vec::new() };
    let faults = state.faults.iter().map(|fault| problem(*fault, state.generation));
    faults.chain(nothing_in_force(host, states)).collect()
}

/// What puts right what was found. Of lines of a journal that cannot be read, each says by itself what to do.
fn remedies(found: &BTreeMap<HostName, Inspection>, args: &Args) -> Vec<String> {
    let environment = &args.environment;
    let (damaged, unsettled) =
        (found.values().any(|found| found.damaged), found.values().any(|found| found.unsettled));
    let repair = (damaged && !args.repair)
        .then(|| format!("`batou verify {environment} --repair` sends damaged and missing files anew"));
    let switch = unsettled.then(|| {
        format!("`batou switch {environment} --recheck` makes links and folders again, and runs steps that do not hold")
    });
    repair.into_iter().chain(switch).collect()
}

impl Deployment<'_> {
    /// Sends damaged and missing files of the current releases again, as far as the controller's store has
    /// them.
    async fn repair(&mut self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let manifests = self.current_manifests(states).await?;
        // While locked, agents remember what they find damaged, and count it as missing.
        all(self.inspect().await).map_err(|failures| self.failed("could not be verified", &failures))?;
        let progress = Arc::new(self.context.ui.progress());
        let sent = self.stage(&manifests, &progress, "could not be repaired").await.map_err(|error| {
            error.hint(
                "the local store must have the release: check out the commit that it was made from, and `batou build`",
            )
        })?;
        let objects = plural(usize::try_from(sent.objects).unwrap_or(usize::MAX), "object");
        self.context.ui.status(&format!("sent {objects} anew ({})", bytes(sent.bytes)));
        Ok(())
    }

    async fn inspect(&mut self) -> ByHost<Inspection> {
        let ask = async |member: &mut Member| member.ask(&question::verify()).await;
        self.fleet.each(ask).await
    }

    /// Fails where something was found, or a host could not be verified.
    fn conclude(
        &self,
        (found, states): (&BTreeMap<HostName, Inspection>, &BTreeMap<HostName, State>),
        failures: &Failures,
        args: &Args,
    ) -> Result<(), CommandError> {
        let count: usize = found.values().map(|found| found.problems.len()).sum();
        let problems = plural(count, "problem");
        let error = match (failures.is_empty(), count) {
            (true, 0) => return Ok(()),
            (true, _) => CommandError::failed(format!("{problems} found")),
            (false, 0) => self.failed("could not be verified", failures),
            (false, _) => {
                self.failed(&format!("could not be verified, and {problems} found on the others"), failures)
            }
        };
        let lacking: Vec<_> = found
            .keys()
            .filter(|host| nothing_in_force(host, states).is_some())
            .map(|host| &**host)
            .collect();
        let release = (!lacking.is_empty())
            .then(|| format!("`batou switch {}` releases to {}", args.environment, some_of(&lacking)));
        let hints = remedies(found, args).into_iter().chain(release).chain(self.advise_on_keys(failures));
        Err(hints.fold(error, CommandError::hint))
    }
}
