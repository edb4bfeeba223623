//! `batou plan`: what a switch would change on the hosts, and why. Changes nothing, apart from installing the
//! agent.

use std::path::PathBuf;

use crate::cli::options::{Diff, LeaveOut};
use crate::context::Context;
use crate::deployment::block_on;
use crate::deployment::planned::{self, Planned};
use crate::error::CommandError;
use crate::guard;
use crate::outfile;
use crate::plan::render::render;
use batou_agent::shell::word;

/// Show what a switch would change on the hosts, and why.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  batou plan prod
  batou plan prod --diff short
  batou plan prod -o release.plan && batou switch prod --plan release.plan")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Save the plan, for `batou switch --plan FILE`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How much to show
    #[arg(long, value_enum, default_value_t)]
    pub diff: Diff,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = context.policy(&args.environment)?;
    let Some(file) = &args.output else {
        return planned::show(context, policy, &hosts, &args.leave_out, args.diff);
    };
    let place = outfile::place(file)?;
    // The repository is checked before the files are read, so that a change in between is not missed.
    let objection = guard::check_repository(&context.project()?.root, &policy, false, &context.ui).err();
    let objection = objection.map(|error| error.to_string());
    block_on(context, async {
        let planned = Planned::make(context, policy, &hosts, &args.leave_out, args.diff).await?;
        render(&planned.hosts, args.diff, &context.ui);
        if let Some(objection) = &objection {
            context.ui.warn(&format!("{objection}: a switch with this plan needs --dirty"));
        }
        planned.save(objection).write(&place)?;
        context.ui.status(&format!(
            "saved; `batou switch {} --plan {}` releases it",
            args.environment,
            word(&file.to_string_lossy())
        ));
        planned.deployment.fleet.abandon();
        Ok(())
    })
}
