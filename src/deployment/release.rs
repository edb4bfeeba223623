//! From an order to its end: lock, stage, switch, activate, commit, and what is said about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use batou_release::{HostName, HostRelease, UnitId};
use batou_store::Digest;

use super::Deployment;
use super::decisions::Decisions;
use super::failure::chain;
use super::lock::holder;
use super::number::{newest_records, next_number};
use super::objects::remake;
use super::retirable::GoneHosts;
use super::stale::{unmoved, unreleased};
use super::want::{is_settled, tell_in_force};
use crate::cli::options::Locking;
use crate::error::CommandError;
use crate::fleet::order::{Event, Failed, HostEnding, ReleaseOrder, ReleasePhase, Why};
use crate::fleet::release::Rollout;
use crate::interrupt::Interrupts;
use crate::plan::render;
use crate::remote::RemoteError;
use crate::ui::drift;
use crate::ui::line::Line;
use crate::ui::line::host::{HistoryUnit, HostState};
use crate::ui::{Progress, Ui, bytes, one_line, plural, visible};
use batou_agent::protocol::{AgentError, Drift, HostNames, JournaledRelease, State, UnitRun};

/// A wanted release, before the locked hosts have told its number.
pub struct Intended {
    /// The fleet release.
    pub release: Digest,
    /// What each host gets.
    pub hosts: BTreeMap<HostName, HostRelease>,
    /// All hosts of the environment, including those that take no part. Hosts that have left the environment
    /// since the previous release are remembered beside them until they are retired.
    pub members: Vec<HostName>,
    /// The number of the release that a rollback restores. It was chosen by what the hosts had in force before
    /// they were locked, so that must still be the same after locking.
    pub restores: Option<u64>,
    /// Those of the hosts that get another release than that one: they had it when the release of that number was made.
    pub others: Vec<HostName>,
    /// Hash every file, run every `verify`.
    pub recheck: bool,
    /// What must be current on the hosts, if a plan was made before.
    pub expected: Option<BTreeMap<HostName, Option<Digest>>>,
}

impl Deployment<'_> {
    /// Makes the release on all hosts of the fleet. `before` holds their states when first asked.
    pub async fn release(
        &mut self,
        intended: Intended,
        before: &BTreeMap<HostName, State>,
        locking: &Locking,
    ) -> Result<(), CommandError> {
        let ui = &self.context.ui;
        self.make_targets(before).await?;
        let holder = holder();
        let states = self.lock(&holder, locking.patience()).await?;
        self.refuse_damaged_activations(&states)?;
        // Checked only now: until the hosts were locked, another deployer could still have released.
        if let Some(expected) = &intended.expected {
            unmoved(expected, &states)?;
        }
        if intended.restores.is_some() {
            self.refuse_lost_journals(&states)?;
            unreleased(before, &states)?;
        }
        // Whoever had the lock before may have released the same. What taking the lock put right is a release of its own.
        let is_new = |(host, now): (&HostName, &State)| {
            before.get(host).is_some_and(|then| then.committed != now.committed)
        };
        let by_another = states.iter().any(is_new);
        if by_another && !intended.recheck && intended.restores.is_none() && is_settled(&states) {
            self.fleet.unlock().await;
            tell_in_force(ui, &self.policy.name, intended.release);
            return Ok(());
        }
        let number = next_number(&states, locking.yes, self.unchanged())?;
        self.name_disregarded(&states);
        let without = self.without(&intended);
        let order = ReleaseOrder {
            record: JournaledRelease {
                release: intended.release,
                sequence: number.sequence,
                restores: intended.restores,
                forgets: None,
                disregards: number.disregards,
                who: format!("{}@{}", holder.user, holder.machine),
                attempt: holder.attempt,
                hosts: self.remembered(intended.members, &states),
                without,
            },
            holder,
            before: states.iter().map(|(host, state)| (host.clone(), state.committed.clone())).collect(),
            hosts: intended.hosts,
            keep: self.policy.keep,
            recheck: intended.recheck,
        };
        // Files were put back, units had been left undone, or some hosts did not have it.
        let again = newest_records(&states).first().map(|(_, record)| *record);
        let again = again.filter(|record| record.release == intended.release && intended.restores.is_none());
        let again = again.map(|record| record.sequence);
        let endings = self.run(&order, &states).await?;
        tell_released(ui, &self.policy.name, (&order, again), &endings);
        Ok(())
    }

    async fn run(
        &mut self,
        order: &ReleaseOrder,
        states: &BTreeMap<HostName, State>,
    ) -> Result<BTreeMap<HostName, HostEnding>, CommandError> {
        let ui = &self.context.ui;
        let progress = Arc::new(ui.progress());
        let staged =
            self.stage(&order.hosts, &progress, "could not be staged; nothing was switched anywhere").await;
        drop(progress);
        match staged {
            Ok(copied) if copied.objects > 0 => {
                let objects = plural(usize::try_from(copied.objects).unwrap_or(usize::MAX), "object");
                ui.status(&format!("staged {objects} ({})", bytes(copied.bytes)));
            }
            Ok(_) => {}
            Err(error) => {
                self.fleet.unlock().await;
                return Err(error);
            }
        }
        let mut interrupts = Interrupts::listen()
            .map_err(|error| CommandError::failed("cannot listen for signals").because(error))?;
        let progress = ui.progress();
        let decisions = Decisions::default();
        let tell = |event: Event<'_>| tell(ui, (&progress, &decisions), event);
        let remake = remake(self.context, &self.policy.name);
        let rollout =
            Rollout { order, states, store: self.context.store()?, remake: &remake, watcher: &tell };
        let endings = self.fleet.release(rollout, &mut interrupts).await;
        interrupts.conclude();
        drop(progress);
        decisions.show(ui);
        endings.map_err(|failed| self.explain(&failed))
    }

    /// The hosts of the environment that will not have the release.
    fn without(&self, intended: &Intended) -> HostNames {
        let have = self.fleet.hosts();
        let lacks = |host: &&HostName| !have.contains(*host) || intended.others.contains(host);
        HostNames::first_of(intended.members.iter().filter(lacks).cloned().collect()).0
    }

    /// The members, and the hosts that the newest release remembers, as many as a journal can hold.
    fn remembered(&self, members: Vec<HostName>, states: &BTreeMap<HostName, State>) -> HostNames {
        let members: BTreeSet<_> = members.into_iter().collect();
        let gone = GoneHosts::of(states, |name| members.contains(name));
        self.name_doubtful(&gone);
        let (hosts, left_out) = HostNames::first_of(members.into_iter().chain(gone.known).collect());
        if left_out > 0 {
            let count = plural(left_out, "host");
            self.context.ui.warn(&format!(
                "{count} will not be named in the journals: the environment has, or had, more hosts than a journal has room for"
            ));
        }
        hosts
    }

    /// What a failed release left behind, host by host; the last line sums it up.
    fn explain(&self, failed: &Failed) -> CommandError {
        let ui = &self.context.ui;
        let mut text = if failed.failures.is_empty() {
            format!("the release was interrupted during {}", failed.phase.name())
        } else {
            format!("{} failed:", failed.phase.name())
        };
        for (subject, error) in &failed.failures {
            text.push_str(&format!("\n  {subject}: {}", chain(error)));
            if let RemoteError::Agent(AgentError { run: Some(run), .. }) = error {
                text.push_str(&output_of(run));
            }
        }
        for (host, ending) in &failed.endings {
            tell_ending(ui, host, ending, None);
        }
        self.with_room(summary(&text, &failed.endings), &failed.failures)
    }
}

/// The last lines about a failed release: whether all hosts have what they had before, and what to do if not.
fn summary(text: &str, endings: &BTreeMap<HostName, HostEnding>) -> CommandError {
    let hint = "`batou status` asks the hosts again, and the next `batou switch` puts them right";
    let differing =
        |ending: &HostEnding| matches!(ending, HostEnding::Unknown { .. } | HostEnding::Released { .. });
    if endings.values().any(differing) {
        let states = endings.iter().map(|(host, ending)| format!("{host} {}", ending.word()));
        let states = states.collect::<Vec<_>>().join(", ");
        return CommandError::diverged(format!("{text}\nhosts are left in differing states: {states}"))
            .hint(hint);
    }
    let is_back = |ending: &HostEnding| matches!(ending, HostEnding::WentBack { .. });
    let (back, others): (Vec<_>, Vec<_>) = endings.iter().partition(|(_, ending)| is_back(ending));
    let back: Vec<_> = back.into_iter().map(|(_, ending)| ending).collect();
    if others.is_empty() {
        let changed = if back.iter().any(|ending| has_unreverted(ending)) {
            "no host keeps the release, but steps that have no `revert` are left as they are"
        } else {
            "nothing has changed"
        };
        return CommandError::failed(format!("{text}\n{changed}: {}", gone_back(&back)));
    }
    let was_overtaken = others.iter().any(|(_, ending)| matches!(ending, HostEnding::Overtaken { .. }));
    let hint = if was_overtaken {
        "see `batou history` and talk to each other before you switch again"
    } else {
        hint
    };
    let others = others.into_iter().map(|(host, ending)| format!("{host} {}", ending.word()));
    let back = (!back.is_empty()).then(|| gone_back(&back));
    let states = back.into_iter().chain(others).collect::<Vec<_>>().join(", ");
    CommandError::failed(format!("{text}\nno host keeps the release: {states}")).hint(hint)
}

fn has_unreverted(ending: &HostEnding) -> bool {
    matches!(ending, HostEnding::WentBack { unreverted, .. } if !unreverted.is_empty())
}

/// What the hosts went back to: the release before, or none.
fn gone_back(endings: &[&HostEnding]) -> String {
    let had_none = |ending: &&&HostEnding| matches!(ending, HostEnding::WentBack { had_release: false, .. });
    let none = endings.iter().filter(had_none).count();
    let before = plural(endings.len() - none, "host");
    match (none, endings.len() - none) {
        (0, _) => format!("{before} went back to the release before"),
        (_, 0) => format!("{} had no release before, and has none again", plural(none, "host")),
        (..) => format!("{before} went back to the release before, and {} to none", plural(none, "host")),
    }
}

/// Prints how a release ended on a host; for a rollback, also which release it restores.
fn tell_ending(ui: &Ui, host: &str, ending: &HostEnding, restores: Option<u64>) {
    let (none, mut unreverted, mut had_release): (&[String], &[UnitId], _) = (&[], &[], None);
    let (state, generation, error, problems) = match ending {
        HostEnding::Released { generation } if restores.is_some() => {
            (HostState::Restored, *generation, None, none)
        }
        HostEnding::Released { generation } => (HostState::Released, *generation, None, none),
        HostEnding::WentBack { problems, unreverted: units, had_release: had } => {
            (unreverted, had_release) = (units, Some(*had));
            (HostState::WentBack, None, None, &problems[..])
        }
        HostEnding::GoesBack { why } => (HostState::GoesBack, None, Some(why.as_str()), none),
        HostEnding::Overtaken { by } => (HostState::Overtaken, None, Some(by.as_str()), none),
        HostEnding::Unknown { why } => (HostState::Unknown, None, Some(why.as_str()), none),
    };
    let word = if matches!(state, HostState::Restored) { "restored" } else { ending.word() };
    let why = error.map_or(String::new(), |why| format!(": {}", one_line(why)));
    let to = if had_release == Some(false) { ": had no release before" } else { "" };
    ui.line(&format!("  {host}  {word}{why}{to}"));
    if !unreverted.is_empty() {
        let units: Vec<_> =
            unreverted.iter().map(|unit| format!("{host}/{}: {}", unit.component, unit.name)).collect();
        ui.warn(&format!("left as they are, since they have no `revert`: {}", one_line(&units.join(", "))));
    }
    for problem in problems {
        ui.warn(&format!("{host}: while it went back: {}", one_line(problem)));
    }
    let unreverted = unreverted.iter().map(HistoryUnit::from).collect();
    ui.json(&Line::Host { host, state, generation, error, problems, unreverted, had_release });
}

/// Prints that a release is in force; with the number of the one before, if this is the same once more.
fn tell_released(
    ui: &Ui,
    environment: &str,
    (order, again): (&ReleaseOrder, Option<u64>),
    endings: &BTreeMap<HostName, HostEnding>,
) {
    let record = &order.record;
    ui.json(&Line::Released {
        environment,
        release: record.release.into(),
        changed: true,
        sequence: Some(record.sequence),
        restores: record.restores,
        again,
    });
    for (host, ending) in endings {
        tell_ending(ui, host, ending, record.restores);
    }
    let back = match (record.restores, again) {
        (Some(sequence), _) => format!(", as in release {sequence}"),
        (None, Some(sequence)) => format!(": release {sequence} once more"),
        (None, None) => String::new(),
    };
    let given_others = endings.keys().filter(|host| record.without.contains(host)).count();
    let but = if given_others == 0 {
        String::new()
    } else {
        format!(", and {} what it was then", plural(given_others, "host"))
    };
    ui.line(&format!(
        "{environment}: release {} ({}) is in force on {}{back}{but}",
        record.sequence,
        record.release.short(),
        plural(endings.len() - given_others, "host"),
    ));
}

/// What a failed unit printed, indented below its error.
fn output_of(run: &UnitRun) -> String {
    let output = visible(run.output.trim_end());
    output.lines().fold(String::new(), |text, line| text + "\n    | " + line)
}

/// Prints which files were put back, once for all hosts with the same files.
fn tell_mended(ui: &Ui, hosts: &[(&HostName, &Drift)]) {
    let mut alike: Vec<(&Drift, Vec<&str>)> = Vec::new();
    for &(host, drift) in hosts {
        ui.json(&Line::Mended {
            host,
            count: drift.count,
            files: drift.files.iter().map(Into::into).collect(),
        });
        match alike.iter_mut().find(|(other, _)| *other == drift) {
            Some((_, names)) => names.push(host),
            None => alike.push((drift, vec![host])),
        }
    }
    for (drift, names) in alike {
        let (names, lost, others) = (render::hosts(&names), drift::lost(drift), drift::without_lost(drift));
        if !lost.is_empty() {
            ui.warn(&format!(
                "{names}: {} gone, with all data of {}, and empty now",
                if lost.len() == 1 {
                    format!("{} was", lost[0])
                } else {
                    format!("{} were", lost.join(", "))
                },
                if lost.len() == 1 { "that component" } else { "those components" },
            ));
        }
        if !others.is_none() {
            let (count, mended) = (drift::count(&others), drift::mended(&others));
            ui.line(&format!("{names}: {count} not as released, put back: {mended}"));
        }
    }
}

/// Shows a release's progress.
fn tell(ui: &Ui, (progress, decisions): (&Progress, &Decisions), event: Event<'_>) {
    match event {
        Event::Mended(hosts) => tell_mended(ui, hosts),
        Event::Begins(phase, count) => progress.start(phase.name(), count as u64, 0),
        Event::Activated(instance, units) => {
            progress.add(1, 0);
            let (host, component) = (instance.host.as_str(), instance.component.as_str());
            ui.json(&Line::Activated { host, component, units: units.iter().map(Into::into).collect() });
            decisions.add(instance, units);
        }
        Event::Output(instance, bytes) => {
            let text = visible(&String::from_utf8_lossy(bytes));
            for line in text.lines() {
                ui.detail(&format!("{instance}: {line}"));
            }
        }
        Event::GoingBack(why) => {
            progress.end();
            let why = match why {
                Why::Failure => "a host failed",
                Why::Interrupt => "interrupted",
            };
            ui.warn(&format!("{why}: every switched host goes back"));
        }
        Event::Interrupted(phase) => {
            progress.end();
            let what = if phase == ReleasePhase::Commit { "the hosts commit" } else { "the hosts go back" };
            ui.warn(&format!(
                "{what}, and batou waits for them; interrupt again to end batou without waiting"
            ));
        }
    }
}
