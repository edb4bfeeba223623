//! `batou verify`: whether every host is still as it was released, down to each file's bytes and each step's
//! `verify`.

use std::collections::BTreeMap;
use std::sync::Arc;

use batou_release::HostName;

use crate::cli::options::{LOCK_WAIT, LeaveOut};
use crate::context::Context;
use crate::deployment::lock::holder;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::Member;
use crate::ui::fault::problem;
use crate::ui::line::Line;
use crate::ui::{bytes, one_line, plural};
use batou_agent::protocol::question::{self, Inspection};
use batou_agent::protocol::{RecordFault, State};

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
        let states = deployment.all_states().await?;
        if args.repair {
            deployment.lock(&holder(), LOCK_WAIT).await?;
            deployment.repair(&states).await?;
        }
        let found = deployment.verify(&states).await?;
        let count: usize = found.values().map(|found| found.problems.len()).sum();
        if count == 0 {
            return Ok(());
        }
        let error = CommandError::failed(format!("{} found", plural(count, "problem")));
        Err(remedies(&found, args).into_iter().fold(error, CommandError::hint))
    })
}

/// What puts right what was found. Of lines of a journal that cannot be read, each says by itself what to do.
fn remedies(found: &BTreeMap<HostName, Inspection>, args: &Args) -> Vec<String> {
    let environment = &args.environment;
    let (damaged, unsettled) =
        (found.values().any(|found| found.damaged), found.values().any(|found| found.unsettled));
    let repair = (damaged && !args.repair)
        .then(|| format!("`batou verify {environment} --repair` sends damaged and missing files anew"));
    let switch = unsettled.then(|| {
        format!("`batou switch {environment} --recheck` makes links again, and runs steps that do not hold")
    });
    repair.into_iter().chain(switch).collect()
}

impl Deployment<'_> {
    /// Sends damaged and missing files of the current releases again, as far as the controller's store has
    /// them.
    async fn repair(&mut self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let manifests = self.current_manifests(states).await?;
        // While locked, agents remember what they find damaged, and count it as missing.
        self.inspect().await?;
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

    /// Checks all hosts, and prints what is wrong.
    async fn verify(
        &mut self,
        states: &BTreeMap<HostName, State>,
    ) -> Result<BTreeMap<HostName, Inspection>, CommandError> {
        let mut found = self.inspect().await?;
        let ui = &self.context.ui;
        for (host, Inspection { problems, files, .. }) in &mut found {
            problems.extend(states.get(host).into_iter().flat_map(lost_journal));
            ui.json(&Line::Verified { host, files_checked: *files, problems });
            let files = plural(usize::try_from(*files).unwrap_or(usize::MAX), "file");
            let verdict = if problems.is_empty() {
                "as released".to_owned()
            } else {
                plural(problems.len(), "problem").to_string()
            };
            ui.line(&format!("{host}: {files} checked, {verdict}"));
            for problem in problems {
                ui.line(&format!("  {}", one_line(problem)));
            }
        }
        Ok(found)
    }

    async fn inspect(&mut self) -> Result<BTreeMap<HostName, Inspection>, CommandError> {
        let ask = async |member: &mut Member| member.ask(&question::verify()).await;
        self.all("could not be verified", ask).await
    }
}

/// What is wrong with a journal that does not tell what is in force. Its lines that cannot be read are found by the check.
fn lost_journal(state: &State) -> impl Iterator<Item = String> {
    let is_told = |fault: &RecordFault| {
        fault.is_of_journal() && !matches!(fault, RecordFault::JournalUnreadable { .. })
    };
    state.faults.iter().copied().filter(is_told).map(|fault| problem(fault, state.generation))
}
