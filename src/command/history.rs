//! `batou history`: the releases that an environment's hosts remember.

use crate::cli::options::LeaveOut;
use crate::context::Context;
use crate::deployment::faults::has_lost_journal;
use crate::deployment::number::newest_number;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::history::Past;
use crate::ui::line::Line;
use crate::ui::{one_line, some_of, visible, visible_name};
use batou_agent::protocol::Outcome;

/// Show the releases of an environment.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host's [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    let mut deployment = Deployment::new(context, policy, &hosts, &LeaveOut::default())?;
    deployment.only(&args.host)?;
    block_on(context, async {
        let states = deployment.states(&LeaveOut { skip_unreachable: true, ..LeaveOut::default() }).await?;
        deployment.name_far(&states);
        let output = context.ui.verbosity() > 0 || context.ui.is_json();
        let history =
            deployment.history(newest_number(&states, true, deployment.unchanged())?, output).await?;
        deployment.fleet.abandon();
        for past in history.releases().rev() {
            context.ui.json(&Line::History {
                record: (&past.record).into(),
                when: past.when,
                entries: past.hosts.iter().map(|(host, entry)| (&**host, entry.into())).collect(),
            });
            context.ui.line(&describe(past, history.is_in_force(past), history.repeats(past)));
            tell_failures(context, past);
        }
        if history.current().is_none() {
            let is_known = !states.values().any(has_lost_journal);
            context.ui.line(if is_known {
                "nothing has been released here yet"
            } else {
                "no release is known"
            });
        }
        Ok(())
    })
}

fn describe(past: &Past, in_force: bool, repeats: Option<u64>) -> String {
    let record = &past.record;
    let mark = if in_force { "*" } else { " " };
    let back = match (&record.forgets, record.restores, repeats) {
        (Some(host), ..) => format!(", only {host} was retired"),
        (None, Some(sequence), _) => format!(", release {sequence} restored"),
        (None, None, Some(sequence)) => format!(", release {sequence} once more"),
        (None, None, None) => String::new(),
    };
    let others: Vec<_> =
        past.hosts.keys().filter(|host| record.without.contains(host)).map(|host| &**host).collect();
    let others =
        if others.is_empty() { String::new() } else { format!(", and another one on {}", some_of(&others)) };
    let outcome = if past.is_committed() { String::new() } else { ", failed".to_owned() };
    let hosts = past.hosts.keys().cloned().collect::<Vec<_>>().join(" ");
    let when = past.when.to_string().replace('T', " ");
    format!(
        "{mark} {:>4}  {}  {when}  {}  {hosts}{back}{others}{outcome}",
        record.sequence,
        record.release.short(),
        visible_name(&record.who)
    )
}

/// Why a release failed, and with `--verbose` what its units printed.
fn tell_failures(context: &Context, past: &Past) {
    for (host, entry) in &past.hosts {
        if entry.result != Outcome::Committed {
            let reason = entry.reason.as_deref().unwrap_or("its agent ended before it was committed");
            context.ui.line(&format!("        {host}: {}", one_line(reason)));
        }
        for problem in &entry.problems {
            context.ui.line(&format!("        {host}: not undone: {}", one_line(problem)));
        }
        for unit in &entry.unreverted {
            context.ui.line(&format!("        {host}: left as it is: {}", one_line(&unit.to_string())));
        }
        if context.ui.verbosity() == 0 {
            continue;
        }
        for run in &entry.runs {
            let status =
                run.status.map_or_else(|| "did not end".to_owned(), |status| format!("status {status}"));
            let name = one_line(&format!("{host}: {}: {}", run.unit, run.command));
            context.ui.line(&format!("        {name}: {status}"));
            for line in visible(run.output.trim_end()).lines() {
                context.ui.line(&format!("          | {line}"));
            }
        }
    }
}
