//! What a command said, judged when it has just ended and no other is at work.

use std::collections::BTreeMap;
use std::path::Path;

use batou_agent::protocol::Outcome;
use batou_system::fs;
use batou_system::simulation::{MachineId, World};

use super::command::{Expected, Issued};
use super::invariants::{Broken, deployer, journal, must, of_word, read, steps_hold};
use super::network::{Machines, TARGET};
use super::plan::{CommandKind, MishapKind, Place, Plan};
use super::releases::{FleetRelease, host};

/// What hosts have in force.
pub(super) fn in_force(world: &World, machines: &Machines) -> Expected {
    let manifest = |machine: MachineId| {
        let bytes = world.look(machine, || fs::read(Path::new(TARGET).join("current/manifest.json")));
        bytes.ok().map(|bytes| batou_release::manifest_digest(&bytes))
    };
    machines.hosts.iter().enumerate().map(|(number, machine)| (host(number), manifest(*machine))).collect()
}

/// What is known when a command has just ended.
pub(super) struct Ended<'e> {
    pub(super) world: &'e World,
    pub(super) machines: &'e Machines,
    pub(super) plan: &'e Plan,
    pub(super) releases: &'e BTreeMap<usize, FleetRelease>,
    /// Whether anything has gone wrong so far.
    pub(super) is_disturbed: bool,
}

impl Ended<'_> {
    /// Judges the last of these commands.
    pub(super) fn judge(&self, issued: &[Issued]) -> Result<(), Broken> {
        let Some((last, earlier)) = issued.split_last() else { return Ok(()) };
        of_word(self.world, self.machines, last)?;
        if !self.is_disturbed && last.alone.get() {
            self.of_refusals(last, earlier)?;
        }
        // Where a lock keeps nobody out, somebody else may be at work.
        if self.has(|kind| matches!(kind, MishapKind::Unlock)) {
            return Ok(());
        }
        self.of_those_back(last)?;
        if last.said.status() == Some(0) {
            self.of_those_released(last)?;
            self.of_order(last)?;
        }
        Ok(())
    }

    fn has(&self, kind: impl Fn(MishapKind) -> bool) -> bool {
        self.plan.faults.iter().any(|fault| kind(fault.kind))
    }

    /// Whether what steps did may be lost: they do not wait until it is on the disk.
    fn may_lose(&self, number: usize) -> bool {
        let place = Place::Host(number);
        let is_loss = |kind| matches!(kind, MishapKind::Crash(_) | MishapKind::Unsynced(_));
        self.plan.faults.iter().any(|fault| fault.place == place && is_loss(fault.kind))
    }

    /// Where nothing has gone wrong, a command succeeds if it can.
    fn of_refusals(&self, issued: &Issued, earlier: &[Issued]) -> Result<(), Broken> {
        let can = match issued.what {
            CommandKind::Switch(number) | CommandKind::Recheck(number) | CommandKind::Skip(number, _) => {
                self.releases[&number].is_good()
            }
            CommandKind::Rollback => {
                let is_switch = |issued: &Issued| issued.what.is_of_all();
                let entries = journal(self.world, self.machines.hosts[0]);
                let last = entries.iter().rfind(|entry| entry.result == Outcome::Committed);
                let mut committed = entries.iter().filter(|entry| entry.result == Outcome::Committed);
                let another = committed
                    .any(|entry| last.is_some_and(|last| entry.record.release != last.record.release));
                another && !self.plan.shape.stuck && earlier.iter().all(is_switch)
            }
            _ => false,
        };
        must(!can || issued.said.status() == Some(0), || {
            format!("{:?} (#{}) failed, and nothing was wrong", issued.what, issued.process.0)
        })
    }

    /// A host of which it is said that it went back has done so, with all steps, or its problems are told.
    fn of_those_back(&self, issued: &Issued) -> Result<(), Broken> {
        let who = deployer(issued);
        let lines = issued.said.lines();
        let back = lines.iter().filter(|line| line["type"] == "host" && line["state"] == "went-back");
        for line in back {
            let is_it = |number: &usize| line["host"] == host(*number).as_str();
            let Some(number) = (0..self.machines.hosts.len()).find(is_it) else { continue };
            let machine = self.machines.hosts[number];
            let entries = journal(self.world, machine);
            let ours = entries.iter().rfind(|entry| entry.record.who.ends_with(&who));
            let whole = ours.is_some_and(|entry| entry.from.is_some() && entry.from != entry.to);
            let is_empty = |key: &str| line[key].as_array().is_none_or(Vec::is_empty);
            must(!is_empty("problems") || !self.has_failed_back(machine, &who), || {
                format!("{:?} does not tell what failed when {} went back", issued.what, line["host"])
            })?;
            let nothing_left = is_empty("problems") && is_empty("unreverted") && !self.may_lose(number);
            self.world.look(machine, || {
                let intent = read("intent.json").unwrap_or_default();
                must(!intent.contains(&format!("{who}\"")), || {
                    format!("{:?} says that {} went back, which still does", issued.what, line["host"])
                })?;
                if !whole || !nothing_left {
                    return Ok(());
                }
                let told =
                    |broken| format!("{:?} says that {} went back: {broken}", issued.what, line["host"]);
                steps_hold().map_err(|broken| Broken::new(told(broken)))
            })?;
        }
        Ok(())
    }

    /// Whether anything that ran failed when a host went back from a command's release, for the last time.
    fn has_failed_back(&self, machine: MachineId, who: &str) -> bool {
        let marks = self.world.marks();
        let here: Vec<_> =
            marks.iter().filter(|(place, _)| *place == machine).map(|(_, text)| text).collect();
        let goes = |text: &str| text.starts_with("goes back ");
        let Some(last) = here.iter().rposition(|text| goes(text) && text.ends_with(who)) else {
            return false;
        };
        let after = here[last + 1..].iter().take_while(|text| !goes(text));
        after.into_iter().any(|text| text.starts_with("failed "))
    }

    /// Hosts of a release have it, with all steps.
    fn of_those_released(&self, issued: &Issued) -> Result<(), Broken> {
        let (CommandKind::Switch(release) | CommandKind::Recheck(release) | CommandKind::Planned(release)) =
            issued.what
        else {
            return Ok(());
        };
        let now = in_force(self.world, self.machines);
        for (number, machine) in self.machines.hosts.iter().enumerate() {
            let name = host(number);
            let wanted = self.releases[&release].hosts[&name].digest();
            must(now[&name] == Some(wanted), || {
                format!("{:?} succeeded, and {name} has another manifest", issued.what)
            })?;
            if !self.may_lose(number) {
                let told = |broken| format!("{:?} succeeded, and on {name} {broken}", issued.what);
                self.world.look(*machine, || steps_hold().map_err(|broken| Broken::new(told(broken))))?;
            }
        }
        Ok(())
    }

    /// A step is not begun before those that come before it, on all hosts, have ended.
    fn of_order(&self, issued: &Issued) -> Result<(), Broken> {
        let who = deployer(issued);
        let marks = self.world.marks_after(issued.since);
        let is_switch =
            |(_, text): &(MachineId, String)| text.starts_with("switches ") && text.ends_with(&who);
        let Some(switched) = marks.iter().rposition(is_switch) else { return Ok(()) };
        let (mut begun, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for (time, (machine, text)) in marks.iter().enumerate().skip(switched) {
            let Some((what, program)) = text.split_once(": ") else { continue };
            must(!what.starts_with("failed "), || format!("{:?} succeeded, and {text:?}", issued.what))?;
            // A rollback begins with reverts, in no order.
            if matches!(program, "put nothing" | "fail") {
                continue;
            }
            if let Some(component) = what.strip_prefix("runs ") {
                begun.entry((*machine, component)).or_insert(time);
            } else if let Some(component) = what.strip_prefix("ran ") {
                ended.insert((*machine, component), time);
            }
        }
        let first = self.machines.hosts[0];
        for machine in &self.machines.hosts {
            for (before, after) in [((first, "db"), (*machine, "app")), ((*machine, "app"), (first, "top"))] {
                let begins = begun.get(&after).copied();
                let ends = begun.get(&before).map(|_| ended.get(&before).copied().unwrap_or(usize::MAX));
                must(begins.is_none_or(|begins| ends.is_none_or(|ends| ends < begins)), || {
                    format!("{:?} ran {after:?} before {before:?} had ended", issued.what)
                })?;
            }
        }
        Ok(())
    }
}
