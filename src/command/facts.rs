//! `batou facts`: asks hosts for their facts and writes them down.

use batou_release::HostName;
use std::collections::BTreeMap;

use batou_environments::{FactsLock, Host};
use similar::ChangeTag;

use crate::cli::options::LeaveOut;
use crate::context::Context;
use crate::deployment::failure::{advice, chain, failed};
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::facts::{Told, gather};
use crate::fleet::{Failures, sort};
use crate::ui::line::Line;
use crate::ui::{ADDED, DIM, REMOVED, Ui, one_line, plural, visible_name};

/// Ask hosts for the facts that batou.toml declares, and write them to facts.lock.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The facts are those in [facts] of batou.toml. The answers go to environments/ENV/facts.lock, which belongs into the repository: evaluations read that file and ask no host. What changes in it is shown. A host that cannot be asked keeps its old facts, and the exit status is 1.

Examples:
  batou facts prod
  batou facts prod --host web03        a new host
  batou facts prod --check             whether the file is still true")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Write nothing; the exit status is 1 if the file would be another one
    #[arg(long)]
    pub check: bool,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
}

/// How many lines are shown for one host.
const LINES: usize = 40;
/// How many characters are shown of each line.
const WIDTH: usize = 200;

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let project = context.project()?;
    if project.facts.is_empty() {
        let error = CommandError::input("batou.toml declares no facts");
        return Err(error.hint("declare them in [facts], such as `memory = \"memory\"`"));
    }
    let (policy, hosts) = context.policy(&args.environment)?;
    let old = FactsLock::load(project, &args.environment)?;
    // An ignored host is asked if it is named.
    let asked: Vec<Host> = hosts
        .iter()
        .map(|host| Host {
            ignored: host.ignored && !args.host.iter().any(|named| host.name == named.as_str()),
            ..host.clone()
        })
        .collect();
    let mut deployment = Deployment::new(context, policy, &asked, &args.leave_out)?;
    deployment.only(&args.host)?;
    let (told, failures) =
        block_on(context, async { Ok(sort(gather(&mut deployment.fleet, &project.facts).await)) })?;

    let failures = left_out(context, args, failures);
    let names: Vec<_> = hosts.iter().map(|host| host.name.clone()).collect();
    let answers = told.iter().map(|(host, told)| (host.clone(), told.facts.clone())).collect();
    let new = old.updated(&project.facts, &names, answers);
    show(&context.ui, &old, &new);
    let differs = write(context, args, &new)?;
    conclude(context, args, differs, &told, &failures)
}

/// Names the hosts that are left out on purpose, and returns the others that failed.
fn left_out(context: &Context, args: &Args, failures: Failures) -> Failures {
    let (left_out, failures): (Failures, Failures) = failures
        .into_iter()
        .partition(|(_, error)| args.leave_out.skip_unreachable && error.is_unreachable());
    for (host, error) in &left_out {
        context.ui.warn(&format!("{host} is left out: {}", chain(error)));
    }
    failures
}

/// Shows what differs, host by host.
fn show(ui: &Ui, old: &FactsLock, new: &FactsLock) {
    let mut hosts: Vec<&str> = old.hosts().chain(new.hosts()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let (before, after) = (old.lines(host), new.lines(host));
        let diff = similar::TextDiff::from_slices(
            &before.iter().map(String::as_str).collect::<Vec<_>>(),
            &after.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let changes: Vec<_> =
            diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal).collect();
        if changes.is_empty() {
            continue;
        }
        let of = |tag| {
            let chosen = changes.iter().filter(|change| change.tag() == tag);
            chosen.map(|change| change.value().to_owned()).collect()
        };
        ui.json(&Line::Facts { host, removed: of(ChangeTag::Delete), added: of(ChangeTag::Insert) });
        ui.section(&visible_name(host));
        let most = if ui.verbosity() > 0 { usize::MAX } else { LINES };
        for change in changes.iter().take(most) {
            let (sign, style) = if change.tag() == ChangeTag::Delete { ("-", REMOVED) } else { ("+", ADDED) };
            ui.line(&format!("  {style}{sign} {}{style:#}", shortened(change.value())));
        }
        if changes.len() > most {
            ui.line(&format!(
                "  {DIM}and {} more, which -v shows{DIM:#}",
                plural(changes.len() - most, "line")
            ));
        }
    }
}

fn shortened(line: &str) -> String {
    let line = visible_name(line);
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Writes the file if it would change, unless it is only to be checked. Returns whether it would change.
fn write(context: &Context, args: &Args, new: &FactsLock) -> Result<bool, CommandError> {
    let relative = FactsLock::path(&args.environment);
    let path = context.project()?.root.join(&relative);
    let text = new.to_toml(&args.environment);
    let changed = batou_system::fs::read(&path).map_or(true, |found| found != text.as_bytes());
    if changed && !args.check {
        new.fits(&text).map_err(CommandError::failed)?;
        batou_store::fs::atomic_write(&path, text.as_bytes(), batou_store::fs::PUBLIC, false)?;
    }
    let file = relative.to_string_lossy();
    let (ui, written) = (&context.ui, changed && !args.check);
    ui.json(&Line::FactsLock { file: &file, changed, written });
    match (changed, written) {
        (true, true) => ui.status(&format!("{file} is written: review it, and commit it")),
        (false, _) => ui.status(&format!("nothing changed in {file}")),
        (true, false) => {}
    }
    Ok(changed)
}

/// Reports what could not be found out, and the difference if there is one.
fn conclude(
    context: &Context,
    args: &Args,
    differs: bool,
    told: &BTreeMap<HostName, Told>,
    failures: &Failures,
) -> Result<(), CommandError> {
    let lines: Vec<String> = told
        .iter()
        .flat_map(|(host, told)| told.problems.iter().map(move |(fact, reason)| (host, fact, reason)))
        .map(|(host, fact, reason)| format!("  {host}: {fact}: {}", one_line(reason)))
        .collect();
    if !lines.is_empty() {
        let count = plural(lines.len(), "fact");
        let message = format!("{count} could not be gathered; what was known is kept:\n{}", lines.join("\n"));
        if failures.is_empty() {
            return Err(CommandError::failed(message));
        }
        context.ui.warn(&message);
    }
    if !failures.is_empty() {
        let error = failed("cannot be asked; what was known of them is kept", failures);
        return Err(advice(failures).into_iter().fold(error, CommandError::hint));
    }
    if differs && args.check {
        let file = FactsLock::path(&args.environment);
        let error = CommandError::failed(format!("{} differs from what the hosts say", file.display()));
        return Err(error.hint(format!("write it anew with `batou facts {}`", args.environment)));
    }
    Ok(())
}
