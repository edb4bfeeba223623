//! `batou status`: what each host has, since when, and whether it can be reached.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cli::options::LeaveOut;
use crate::context::Context;
use crate::deployment::behind::{Lag, Laggards, is_given_back};
use crate::deployment::failure::{chain, refuse_own};
use crate::deployment::faults::has_lost_journal;
use crate::deployment::planned::is_member;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::sort;
use crate::ui::drift::{count, drifted};
use crate::ui::line::Line;
use crate::ui::line::host::{ChangedFile, CurrentRelease, FaultyRecord};
use crate::ui::{bytes, plural, visible_name};
use batou_agent::protocol::State;
use batou_release::HostName;

/// Show what each host has.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    let mut deployment = Deployment::new(context, policy, &hosts, &LeaveOut::default())?;
    block_on(context, async {
        let (states, failures) = sort(deployment.fleet.states().await);
        refuse_own(&failures)?;
        let lags = Laggards::of(&states).map(|laggards| laggards.hosts).unwrap_or_default();
        let width = states.keys().chain(failures.keys()).map(|host| host.len()).max().unwrap_or(0);
        let mut lines = BTreeMap::new();
        for (host, state) in &states {
            let lag = lags.get(host).copied();
            context.ui.json(&reached(host, state, lag.is_some()));
            lines.insert(host, describe(host, state, lag));
        }
        for (host, error) in &failures {
            context.ui.json(&unreachable(host, chain(error)));
            let what = if error.is_unreachable() { "not reachable" } else { "refused" };
            lines.insert(host, format!("{what}: {}", chain(error)));
        }
        for (host, line) in lines {
            context.ui.line(&format!("{host:width$}  {line}"));
        }
        deployment.name_behind(&states);
        deployment.name_faults(&states);
        deployment.name_far(&states);
        deployment.name_retirable(&states, |name| is_member(&hosts, name));
        deployment.fleet.abandon();
        let count = failures.len();
        if count == 0 {
            Ok(())
        } else {
            Err(CommandError::failed(format!("{count} of {} cannot be asked", plural(hosts.len(), "host"))))
        }
    })
}

/// What a host says it has; `behind` if another host has a newer release.
fn reached<'a>(host: &'a str, state: &'a State, behind: bool) -> Line<'a> {
    Line::Status {
        host,
        reachable: true,
        error: None,
        behind: Some(behind),
        user: Some(&state.user),
        current: state.current.as_ref().map(CurrentRelease::from),
        committed: state.committed.as_ref().map(|record| Box::new(record.into())),
        newest_sequence: Some(state.newest_sequence),
        unfinished: Some(state.unfinished),
        faults: Some(state.faults.iter().map(|fault| FaultyRecord::new(*fault, state.generation)).collect()),
        drift_count: Some(state.drift.count),
        drift: Some(state.drift.files.iter().map(ChangedFile::from).collect()),
        target: Some(state.target.into()),
        free: Some(state.free),
    }
}

/// A host that cannot be asked, and why.
fn unreachable(host: &str, error: String) -> Line<'_> {
    Line::Status {
        host,
        reachable: false,
        error: Some(error),
        behind: None,
        user: None,
        current: None,
        committed: None,
        newest_sequence: None,
        unfinished: None,
        faults: None,
        drift_count: None,
        drift: None,
        target: None,
        free: None,
    }
}

fn describe(host: &HostName, state: &State, lag: Option<Lag>) -> String {
    let generation = state.current.as_ref().map(|current| current.generation).or(state.generation);
    let mut text = match (generation, &state.committed) {
        (Some(generation), Some(record)) if !has_lost_journal(state) => {
            let retired = record
                .forgets
                .as_ref()
                .map_or(String::new(), |host| format!(" (since then only {host} was retired)"));
            let (number, release) = (record.sequence, record.release.short());
            let other = if is_given_back(host, state) { "another one than " } else { "" };
            format!("{other}release {number} ({release}){retired}, generation {generation}")
        }
        (Some(generation), _) if has_lost_journal(state) => {
            format!("generation {generation}, of a release that is not known")
        }
        _ => return nothing(state, lag),
    };
    if let (Some(current), Some(record)) = (&state.current, &state.committed)
        && let Some(age) = current.since.map(age)
    {
        text.push_str(&format!(", {age} ago by {}", visible_name(&record.who)));
    }
    match lag {
        None => {}
        Some(Lag::Apart) => text.push_str(", apart from the others"),
        Some(_) => text.push_str(", behind"),
    }
    if state.unfinished && !state.has_damaged_intent() {
        text.push_str(", a release is under way or was interrupted");
    }
    text.push_str(&format!(", {} free", bytes(state.free)));
    if !state.drift.is_none() {
        let (count, drifted) = (count(&state.drift), drifted(&state.drift));
        text.push_str(&format!("; not as released: {count}: {drifted}"));
    }
    text
}

/// What is said of a host on which no release is in force.
fn nothing(state: &State, lag: Option<Lag>) -> String {
    if lag == Some(Lag::Emptied) {
        "no release in force, although it had one: its target directory was emptied".to_owned()
    } else if let Some(record) = &state.committed {
        format!("no release in force, although release {} was committed", record.sequence)
    } else if state.unfinished && !state.has_damaged_intent() {
        "no release yet; the first one is under way or was interrupted".to_owned()
    } else if has_lost_journal(state) || lag.is_some() && state.drift.is_none() {
        "no release in force".to_owned()
    } else if state.drift.is_none() {
        "no release yet".to_owned()
    } else {
        let (count, drifted) = (count(&state.drift), drifted(&state.drift));
        format!("no release in force; not as released: {count}: {drifted}")
    }
}

/// How long ago a time was, in its largest unit.
fn age(then: Timestamp) -> String {
    let passed = Timestamp::now().duration_since(then).max(SignedDuration::ZERO);
    let (hours, minutes) = (passed.as_hours(), passed.as_mins());
    match (hours, minutes) {
        (48.., _) => format!("{} d", hours / 24),
        (1.., _) => format!("{hours} h"),
        (_, 1..) => format!("{minutes} min"),
        _ => format!("{} s", passed.as_secs()),
    }
}
