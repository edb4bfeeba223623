//! What must be true after every history. ARCHITECTURE.md has the list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use batou_agent::protocol::{JournalEntry, Outcome};
use batou_store::{Digest, Durability, Store};
use batou_system::fs;
use batou_system::simulation::{MachineId, World};
use serde_json::Value;

use super::command::Issued;
use super::network::{Machines, TARGET};
use super::plan::{CommandKind, Mishap, MishapKind, Place, Plan};
use super::programs::BESIDE;
use super::releases::{FleetRelease, host};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(String);

impl Broken {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

pub(super) fn must(holds: bool, text: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(text())) }
}

/// Who made the releases of a command, as journals have it.
pub(super) fn deployer(issued: &Issued) -> String {
    format!("@desk{}", issued.process.0)
}

pub(super) fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(TARGET).join(path)).ok()
}

/// A host's journal; a torn last line counts for nothing.
pub(super) fn journal(world: &World, machine: MachineId) -> Vec<JournalEntry> {
    let text = world.look(machine, || read("journal")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn committed(world: &World, machine: MachineId, issued: &Issued) -> bool {
    let who = deployer(issued);
    let entries = journal(world, machine);
    entries.iter().any(|entry| entry.record.who.ends_with(&who) && entry.result == Outcome::Committed)
}

/// What commands said is true, of each host and by their exit status, when they end and for ever after.
pub(super) fn of_words(world: &World, machines: &Machines, all: &[Issued]) -> Result<(), Broken> {
    all.iter().try_for_each(|issued| of_word(world, machines, issued))?;
    of_commits(world)
}

/// What one command said.
pub(super) fn of_word(world: &World, machines: &Machines, issued: &Issued) -> Result<(), Broken> {
    let Some(status) = issued.said.status() else { return Ok(()) };
    let endings = issued.said.endings();
    let mut kept = Vec::new();
    for (number, machine) in machines.hosts.iter().enumerate() {
        let name = host(number).to_string();
        let has = committed(world, *machine, issued);
        let said = endings.get(&name).map(String::as_str);
        // A rollback leaves out hosts that had nothing then, and a command that failed early names none.
        if said.is_some() || endings.is_empty() {
            kept.push(has);
        }
        let is_true = match said {
            Some("released" | "restored") => has,
            Some("went-back" | "goes-back" | "overtaken") => !has,
            _ => true,
        };
        must(is_true, || {
            format!(
                "{:?} (#{}) said {said:?} of {name}, whose journal says {has}",
                issued.what, issued.process.0
            )
        })?;
    }
    let any = kept.iter().any(|has| *has);
    let fits = match status {
        0 => kept.iter().all(|has| *has) || !any,
        1 | 2 => !any,
        3 => has_mixed_endings(world, issued),
        _ => false,
    };
    must(fits, || {
        format!(
            "{:?} (#{}) ended with {status}, and {kept:?} have its release",
            issued.what, issued.process.0
        )
    })?;
    let refused = matches!(issued.what, CommandKind::Foreign(_) | CommandKind::Future(_)) && any;
    must(!refused, || format!("{:?} made a release", issued.what))
}

/// Whether a command may say that hosts differ: it has told them to commit, and one has not answered, or has not done it
/// when another has.
fn has_mixed_endings(world: &World, issued: &Issued) -> bool {
    let who = deployer(issued);
    let was_told = |text: &str| text.starts_with("tells ") && text.ends_with(&who);
    let endings = issued.said.endings();
    let is_there = |word: &str| endings.values().any(|ending| ending == word);
    let is_released = |ending: &String| ending == "released" || ending == "restored";
    let (any, all) = (endings.values().any(is_released), endings.values().all(is_released));
    world.marks().iter().any(|(_, text)| was_told(text)) && (is_there("unknown") || any && !all)
}

/// What has become of a host to which nothing happened is known, if nothing has happened to who asks.
pub(super) fn of_the_undisturbed(all: &[Issued], plan: &Plan) -> Result<(), Broken> {
    // A host whose connection was cut can be asked again.
    let is_cut = |fault: &Mishap| matches!(fault.kind, MishapKind::Cut(_));
    let is_hit = |place: Place| plan.faults.iter().any(|fault| fault.place == place && !is_cut(fault));
    if is_hit(Place::Desk) {
        return Ok(());
    }
    for number in (0..plan.hosts).filter(|number| !is_hit(Place::Host(*number))) {
        for issued in all {
            let endings = issued.said.endings();
            let ending = endings.get(&host(number).to_string()).map(String::as_str);
            must(!matches!(ending, Some("unknown" | "goes-back")), || {
                format!(
                    "{:?} (#{}) does not know what an undisturbed host did",
                    issued.what, issued.process.0
                )
            })?;
        }
    }
    Ok(())
}

/// A host that has said that it can commit can, also on a disk that is full by then.
pub(super) fn of_the_foreseen(all: &[Issued]) -> Result<(), Broken> {
    let mixed = all.iter().find(|issued| issued.said.status() == Some(3));
    must(mixed.is_none(), || "hosts differ, and nothing has happened that a host cannot live with".to_owned())
}

/// No host of a release commits before all that the release changes have been prepared. One that is alone has nobody to
/// wait for.
fn of_commits(world: &World) -> Result<(), Broken> {
    let (mut switched, mut prepared) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    let mut committing = BTreeMap::new();
    for (machine, text) in world.marks() {
        let Some((event, who)) = text.split_once(' ') else { continue };
        let who = who.to_owned();
        match event {
            "switches" => drop(switched.entry(who).or_default().insert(machine.0)),
            "prepared" => drop(prepared.entry(who).or_default().insert(machine.0)),
            // What all others had said when the first host was told to commit.
            "commits" => {
                let ready = prepared.get(&who).cloned().unwrap_or_default();
                committing.entry(who).or_insert(ready);
            }
            _ => {}
        }
    }
    for (who, ready) in committing {
        let all = &switched[&who];
        must(all.len() == 1 || all.is_subset(&ready), || {
            format!("{who} had a host commit when {ready:?} of {all:?} were prepared")
        })?;
    }
    Ok(())
}

/// Once everybody was reached or has gone back by itself: a release is on all of its hosts or on none, unless its command
/// said otherwise or did not live to say it.
pub(super) fn of_the_left(world: &World, machines: &Machines, all: &[Issued]) -> Result<(), Broken> {
    for machine in &machines.hosts {
        complete(world, *machine)?;
        in_force_is_committed(world, *machine)?;
    }
    for issued in all {
        let named = issued.said.endings();
        let is_complete = named.is_empty() || named.len() == machines.hosts.len() || !issued.what.is_of_all();
        must(is_complete, || format!("{:?} (#{}) names only {named:?}", issued.what, issued.process.0))?;
        of_lines(world, issued)?;
        let takes_part = |number: usize| named.is_empty() || named.contains_key(&host(number).to_string());
        let hosts = machines.hosts.iter().enumerate().filter(|(number, _)| takes_part(*number));
        let has: Vec<_> = hosts.map(|(_, machine)| committed(world, *machine, issued)).collect();
        let mixed = has.contains(&true) && has.contains(&false);
        let told = matches!(issued.said.status(), Some(3) | None);
        must(!mixed || told, || format!("{:?} is on {has:?}, and nobody was told", issued.what))?;
    }
    of_words(world, machines, all)
}

/// No step is run while one runs that an earlier agent left, if that one could take note of it.
pub(super) fn of_runs(world: &World, machines: &Machines, plan: &Plan) -> Result<(), Broken> {
    use MishapKind::{Clock, Crash, Cut, Interrupt, Kill, Silence, Unlock};
    let can_note = |place: Place| {
        let mut faults = plan.faults.iter().filter(|fault| fault.place == place);
        faults.all(|fault| {
            matches!(fault.kind, Clock(_) | Crash(_) | Cut(_) | Interrupt(_) | Kill | Silence(_) | Unlock)
        })
    };
    let beside = world.marks().into_iter().find(|(machine, text)| {
        let number = machines.hosts.iter().position(|host| host == machine);
        text.starts_with(BESIDE) && number.is_some_and(|number| can_note(Place::Host(number)))
    });
    must(beside.is_none(), || {
        let (machine, text) = beside.expect("it is there");
        format!("{}: {text}", world.machine(machine).name)
    })
}

/// Each host that was switched has a line about it in its journal, or is still to go back.
fn of_lines(world: &World, issued: &Issued) -> Result<(), Broken> {
    let who = deployer(issued);
    for (machine, text) in world.marks() {
        if !text.starts_with("switches ") || !text.ends_with(&who) {
            continue;
        }
        let told = journal(world, machine).iter().any(|entry| entry.record.who.ends_with(&who));
        must(told || world.look(machine, || read("intent.json")).is_some(), || {
            let name = &world.machine(machine).name;
            format!(
                "{:?} (#{}) switched {name}, whose journal does not say so",
                issued.what, issued.process.0
            )
        })?;
    }
    Ok(())
}

/// Where agents and disks were left alone, hosts have gone back by themselves, and their steps are as the release in force
/// has them. Where agents were killed, that is so of hosts that have gone back without problems.
pub(super) fn of_the_recovered(world: &World, machines: &Machines, plan: &Plan) -> Result<(), Broken> {
    use MishapKind::{Clock, Cut, Interrupt, Kill, Silence};
    let on_hosts = || plan.faults.iter().filter(|fault| fault.place != Place::Desk);
    let is_mild = |kind| matches!(kind, Clock(_) | Cut(_) | Interrupt(_) | Silence(_));
    if !on_hosts().all(|fault| is_mild(fault.kind) || matches!(fault.kind, Kill)) {
        return Ok(());
    }
    let is_mild = on_hosts().all(|fault| is_mild(fault.kind));
    for machine in &machines.hosts {
        let name = &world.machine(*machine).name;
        let entries = journal(world, *machine);
        let had_problems = entries.last().is_some_and(|last| !last.problems.is_empty());
        world.look(*machine, || {
            let goes_back = read("intent.json").is_some();
            must(!goes_back || !is_mild, || format!("{name} has not gone back"))?;
            if !is_mild && (goes_back || had_problems) {
                return Ok(());
            }
            steps_hold().map_err(|broken| Broken(format!("{name}: {broken}")))
        })?;
    }
    Ok(())
}

/// The steps of the release in force are as it has them.
pub(super) fn steps_hold() -> Result<(), Broken> {
    let Ok(manifest) = fs::read(Path::new(TARGET).join("current/manifest.json")) else { return Ok(()) };
    let manifest =
        batou_release::Manifest::decode(&manifest).map_err(|error| Broken::new(error.to_string()))?;
    for component in manifest.components.iter().filter(|component| !component.units.is_empty()) {
        let text = component.name.as_str();
        let number = read(&format!("current/{text}/number")).unwrap_or_default();
        let value = read(&format!("state/{text}/value"));
        must(value.as_deref() == Some(number.trim_end()), || {
            format!("{text} is that of release {}, and its step left {value:?}", number.trim_end())
        })?;
    }
    Ok(())
}

/// Whoever wants what there is finds nothing to do.
pub(super) fn of_rest(issued: &Issued) -> Result<(), Broken> {
    let mut lines = issued.said.lines().into_iter();
    let changed = lines.find(|line| line["type"] == "released").map(|line| line["changed"].clone());
    must(changed == Some(false.into()), || format!("a second {:?} did something", issued.what))
}

/// What is in force on a host was committed last, unless an intent says that it goes back from something else.
fn in_force_is_committed(world: &World, machine: MachineId) -> Result<(), Broken> {
    let entries = journal(world, machine);
    let mut committed = entries.iter().filter(|entry| entry.result == Outcome::Committed);
    let last = committed.clone().next_back().map(|entry| entry.manifest);
    let (intent, current) = world
        .look(machine, || (read("intent.json"), fs::read(Path::new(TARGET).join("current/manifest.json"))));
    let intent = intent.map(|text| serde_json::from_str::<Value>(&text).unwrap_or_default());
    let goes_back = intent.is_some_and(|intent| {
        !committed.any(|entry| serde_json::to_value(&entry.record).is_ok_and(|it| it == intent["record"]))
    });
    let found = current.ok().map(|manifest| batou_release::manifest_digest(&manifest));
    must(goes_back || found == last, || {
        let name = &world.machine(machine).name;
        format!("{name} has {found:?} in force, and {last:?} was committed last")
    })
}

/// What is in force on a host is whole: the pointer leads to a generation, whose files are all there and undamaged.
fn complete(world: &World, machine: MachineId) -> Result<(), Broken> {
    let name = world.machine(machine).name.clone();
    world.look(machine, || {
        let committed = read("journal").is_some_and(|text| text.contains("\"committed\""));
        let Ok(current) = fs::read_link(Path::new(TARGET).join("current")) else {
            return must(!committed, || format!("{name} has had a release, and has no `current`"));
        };
        let generation = Path::new(TARGET).join(&current);
        let manifest = fs::read(generation.join("manifest.json"));
        let manifest =
            manifest.map_err(|error| Broken(format!("{name}: {}: {error}", generation.display())))?;
        let manifest =
            batou_release::Manifest::decode(&manifest).map_err(|error| Broken(format!("{name}: {error}")))?;
        for component in &manifest.components {
            let file = |file: &str| {
                let path = generation.join(component.name.as_str()).join(file);
                fs::read_to_string(&path)
                    .map_err(|error| Broken(format!("{name}: {}: {error}", path.display())))
            };
            let (number, same, big) = (file("number")?, file("same")?, file("big")?);
            let length = number.trim_end().parse::<usize>().map_or(0, |number| 3000 + number);
            let whole = same == format!("of {}\n", component.name) && big == "x".repeat(length);
            must(whole, || format!("{name} has other content in {}", component.name))?;
        }
        let store = Store::open_existing(&Path::new(TARGET).join("store"), Durability::Host);
        let store = store.map_err(|error| Broken(format!("{name}: {error}")))?;
        let store = store.ok_or_else(|| Broken(format!("{name} has no store")))?;
        let closure =
            store.closure(&manifest.artifacts()).map_err(|error| Broken(format!("{name}: {error}")))?;
        must(!closure.objects().is_empty(), || format!("{name} has nothing"))
    })
}

/// An undisturbed command has succeeded, and everything is as it said.
pub(super) fn of_success(
    world: &World,
    machines: &Machines,
    issued: &Issued,
    release: &FleetRelease,
) -> Result<(), Broken> {
    let said = issued.said.text();
    must(issued.said.status() == Some(0), || {
        format!("an undisturbed {:?} ended with {:?}:\n{said}", issued.what, issued.said.status())
    })?;
    for (place, machine) in machines.hosts.iter().enumerate() {
        complete(world, *machine)?;
        let name = host(place);
        let wanted = release.hosts[&name].digest();
        world.look(*machine, || {
            let manifest = fs::read(Path::new(TARGET).join("current/manifest.json")).unwrap_or_default();
            let found: Digest = batou_release::manifest_digest(&manifest);
            must(found == wanted, || {
                format!("after {:?} {name} has another manifest:\n{said}", issued.what)
            })?;
            steps_hold().map_err(|broken| Broken(format!("after {:?} on {name}: {broken}", issued.what)))?;
            must(read("intent.json").is_none(), || format!("after {:?} {name} has an intent", issued.what))?;
            must(read("running.json").is_none(), || format!("after {:?} {name} still runs", issued.what))
        })?;
    }
    Ok(())
}

/// Journals tell one order: numbers grow on each host, and a number is one release everywhere, unless one of them left out
/// hosts, whose journals it did not see.
pub(super) fn of_journals(world: &World, machines: &Machines, all: &[Issued]) -> Result<(), Broken> {
    let skips = all.iter().filter(|issued| matches!(issued.what, CommandKind::Skip(..)));
    let partial: Vec<_> = skips.map(deployer).collect();
    let mut known: BTreeMap<u64, (Digest, String)> = BTreeMap::new();
    for machine in &machines.hosts {
        let mut last = 0;
        for entry in journal(world, *machine).into_iter().filter(|entry| entry.result == Outcome::Committed) {
            let sequence = entry.record.sequence;
            let name = &world.machine(*machine).name;
            must(sequence > last, || format!("{name} has release {sequence} after {last}"))?;
            last = sequence;
            if partial.iter().any(|who| entry.record.who.ends_with(who)) {
                continue;
            }
            let this = (entry.record.release, entry.record.who.clone());
            let other = known.entry(sequence).or_insert_with(|| this.clone());
            must(*other == this, || {
                format!("{name} has another release {sequence}: {this:?}, not {other:?}")
            })?;
        }
    }
    Ok(())
}
