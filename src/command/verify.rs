//! `batou verify`: whether every host still is as it was released, down to each file's bytes and each step's `verify`.

use serde::Serialize;

use crate::cli::{LeaveOut, Locking, VerifyArgs};
use crate::context::Context;
use crate::deployment::{Deployment, failed, holder};
use crate::error::CommandError;
use crate::fleet::{Member, sort};
use crate::protocol::{Reply, Request};
use crate::remote::RemoteError;
use crate::ui::{plural, visible};

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    host: &'a str,
    files: u64,
    problems: &'a [String],
}

/// Runs the command.
pub fn run(context: &Context, args: &VerifyArgs) -> Result<(), CommandError> {
    let (settings, hosts) = batou_environments::settings(context.project()?, &args.environment)?;
    let mut deployment = Deployment::new(context, settings, &hosts, &LeaveOut::default())?;
    super::block_on(async {
        let states = deployment.states(&LeaveOut::default()).await?;
        if args.repair {
            deployment.lock(&holder(), &Locking::default()).await?;
            let _ = &states;
        }
        let count = deployment.verify().await?;
        if count == 0 {
            return Ok(());
        }
        let error = CommandError::failed(format!("{} found", plural(count, "problem")));
        Err(if args.repair { error } else { error.hint("`batou verify ENV --repair` sends damaged and missing files anew") })
    })
}

impl Deployment<'_> {
    /// Checks all hosts, prints what is wrong, and counts it.
    async fn verify(&mut self) -> Result<usize, CommandError> {
        let ask = async |member: &mut Member| match member.ask(&Request::Verify, &[]).await?.0 {
            Reply::Verified { problems, files } => Ok((problems, files)),
            _ => Err(RemoteError::Protocol),
        };
        let (found, failures) = sort(self.fleet.each(ask).await);
        if !failures.is_empty() {
            return Err(failed("could not be verified", failures));
        }
        let ui = &self.context.ui;
        for (host, (problems, files)) in &found {
            ui.json(&Line { kind: "verified", host, files: *files, problems });
            let files = plural(usize::try_from(*files).unwrap_or(usize::MAX), "file");
            let verdict = if problems.is_empty() { "as released".to_owned() } else { plural(problems.len(), "problem").to_string() };
            ui.line(&format!("{host}: {files} checked, {verdict}"));
            for problem in problems {
                ui.line(&format!("  {}", visible(problem)));
            }
        }
        Ok(found.values().map(|(problems, _)| problems.len()).sum())
    }
}
