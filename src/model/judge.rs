//! Who decides what becomes of each step: the faults of the plan, and the order of things by chance.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use batou_system::simulation::{Act, Disk, DiskFault, Judge, MachineId, ProcessId, Ruling, World};
use batou_system::{clock, fs};

use super::network::{Machines, TARGET, isolate};
use super::plan::{Mishap, MishapKind, Moment, Place};
use crate::interrupt::simulated::interrupt;

/// Which faults are still to come, and what is wrong right now.
pub(super) struct Court {
    faults: RefCell<Vec<Mishap>>,
    taken: RefCell<BTreeMap<usize, (u64, u64)>>,
    wrong: RefCell<Vec<Wrong>>,
    full: RefCell<BTreeMap<usize, Duration>>,
    happened: Cell<usize>,
    calm: Cell<bool>,
    /// Faults whose time is set.
    timed: RefCell<Vec<(Duration, Mishap)>>,
    /// How many marks have been looked at.
    looked: Cell<usize>,
    hosts: Vec<MachineId>,
    desk: MachineId,
    /// A machine that wakes the world when a fault is due.
    fate: MachineId,
}

/// Something that is wrong for a while.
struct Wrong {
    machine: MachineId,
    number: i32,
    until: Duration,
}

impl Court {
    pub(super) fn new(world: &World, machines: &Machines, faults: &[Mishap]) -> Rc<Self> {
        Rc::new(Self {
            faults: RefCell::new(faults.to_vec()),
            taken: RefCell::default(),
            wrong: RefCell::default(),
            full: RefCell::default(),
            happened: Cell::new(0),
            calm: Cell::new(true),
            timed: RefCell::default(),
            looked: Cell::new(0),
            hosts: machines.hosts.clone(),
            desk: machines.desk,
            fate: world.add_machine("fate", Disk::default()),
        })
    }

    /// How many faults there have been.
    pub(super) fn happened(&self) -> usize {
        self.happened.get()
    }

    /// From now on things go wrong.
    pub(super) fn begin(&self, world: &World) {
        self.calm.set(false);
        self.looked.set(world.marks().len());
        for fault in self.faults.borrow().iter() {
            if let Moment::Time(time) = fault.moment {
                self.set_time(world, time, *fault);
            }
        }
    }

    fn set_time(&self, world: &World, time: Duration, fault: Mishap) {
        self.timed.borrow_mut().push((world.elapsed() + time, fault));
        world.start(self.fate, "time", Box::new(move || clock::sleep(time)));
    }

    /// Has those faults happen whose time has come.
    pub(super) fn attend(&self, world: &World) {
        if self.calm.get() {
            return;
        }
        self.hear(world);
        loop {
            let due = self.timed.borrow().iter().position(|(time, _)| *time <= world.elapsed());
            let Some(place) = due else { break };
            let (_, fault) = self.timed.borrow_mut().remove(place);
            self.befall(world, fault);
        }
    }

    /// Looks at marks that are new.
    fn hear(&self, world: &World) {
        for (machine, mark) in world.marks_after(self.looked.get()) {
            self.looked.set(self.looked.get() + 1);
            self.come_to(world, machine, &mark);
        }
    }

    /// Sets when faults strike that come with this mark, and counts it for those that come with a later one.
    fn come_to(&self, world: &World, machine: MachineId, mark: &str) {
        let mut due = Vec::new();
        self.faults.borrow_mut().retain_mut(|fault| {
            let is_near = machine == self.desk || [machine, self.desk].contains(&self.machine(fault.place));
            match &mut fault.moment {
                Moment::Point(point, 0, time) if point.is_in(mark) => {
                    due.push((*time, *fault));
                    return false;
                }
                Moment::Since(point, 0, steps) if is_near && point.is_in(mark) => {
                    let taken = self.taken(self.machine(fault.place));
                    fault.moment = Moment::Step(taken + *steps, false);
                }
                Moment::Point(point, left, _) if point.is_in(mark) => *left -= 1,
                Moment::Since(point, left, _) if is_near && point.is_in(mark) => *left -= 1,
                _ => {}
            }
            true
        });
        for (time, fault) in due {
            self.set_time(world, time, fault);
        }
    }

    /// How many steps the processes of a machine have taken.
    fn taken(&self, machine: MachineId) -> u64 {
        self.taken.borrow().get(&machine.0).map_or(0, |taken| taken.0)
    }

    /// Has a fault happen to a machine, whatever is done there.
    fn befall(&self, world: &World, fault: Mishap) {
        let machine = self.machine(fault.place);
        let processes = world.on(machine);
        let is_of_step = matches!(fault.kind, MishapKind::Fail(_) | MishapKind::Unsynced(_));
        if is_of_step || processes.is_empty() && fault.kind.is_of_a_process() {
            // It befalls the next one.
            self.faults.borrow_mut().push(Mishap { moment: Moment::Step(0, false), ..fault });
            return;
        }
        let victim = usize::try_from(world.random(processes.len().max(1) as u64)).unwrap_or(0);
        let process = processes.get(victim).copied().unwrap_or(ProcessId(0));
        let nothing = Act { name: "nothing", path: Path::new(""), changes: false };
        match self.strike(world, machine, process, fault, &nothing) {
            Some(Ruling::Kill) => world.kill(process),
            Some(Ruling::Crash) => world.crash(machine),
            _ => {}
        }
    }

    fn machine(&self, place: Place) -> MachineId {
        match place {
            Place::Desk => self.desk,
            Place::Host(number) => self.hosts[number],
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn adjourn(&self) {
        self.calm.set(true);
        self.wrong.borrow_mut().clear();
        self.full.borrow_mut().clear();
    }

    pub(super) fn judge(self: &Rc<Self>) -> Judge {
        let court = Rc::clone(self);
        Box::new(move |world, machine, process, step| court.decide(world, machine, process, step))
    }

    fn decide(&self, world: &World, machine: MachineId, process: ProcessId, step: &Act<'_>) -> Ruling {
        if machine == self.fate {
            return Ruling::Go;
        }
        if !self.calm.get() {
            self.hear(world);
            if let Some(fault) = self.due(machine, step.changes)
                && let Some(ruling) = self.strike(world, machine, process, fault, step)
            {
                return ruling;
            }
            self.wrong.borrow_mut().retain(|wrong| wrong.until > world.elapsed());
            self.clear(world);
            let wrong = self.wrong.borrow();
            if let Some(wrong) = wrong.iter().find(|wrong| wrong.machine == machine && step.changes)
                && !matches!(step.name, "send" | "receive")
            {
                return Ruling::Fail(wrong.number);
            }
        }
        match world.random(64) {
            0 => Ruling::Pause(Duration::from_millis(world.random(40))),
            1..10 => Ruling::Yield,
            _ => Ruling::Go,
        }
    }

    /// There is room again where the time of a full disk is over.
    fn clear(&self, world: &World) {
        let mut full = self.full.borrow_mut();
        if let Some((place, _)) = full.iter().find(|(_, until)| **until <= world.elapsed()) {
            let place = *place;
            full.remove(&place);
            world.machine(MachineId(place)).disk.borrow_mut().set_fault(None);
        }
    }

    /// The fault that is due at this step of the machine's processes.
    fn due(&self, machine: MachineId, changes: bool) -> Option<Mishap> {
        let mut taken = self.taken.borrow_mut();
        let (all, changing) = taken.entry(machine.0).or_default();
        *all += 1;
        *changing += u64::from(changes);
        let (all, changing) = (*all, *changing);
        let mut faults = self.faults.borrow_mut();
        let is_due = |fault: &Mishap| match fault.moment {
            Moment::Step(step, of_changes) => {
                self.machine(fault.place) == machine && step < if of_changes { changing } else { all }
            }
            Moment::Time(_) | Moment::Point(..) | Moment::Since(..) => false,
        };
        let place = faults.iter().position(is_due)?;
        Some(faults.remove(place))
    }

    /// What a fault makes of the step; `None` where it does not concern the step itself.
    fn strike(
        &self,
        world: &World,
        machine: MachineId,
        process: ProcessId,
        fault: Mishap,
        step: &Act<'_>,
    ) -> Option<Ruling> {
        self.happened.set(self.happened.get() + 1);
        world.note(|| format!("!! {:?}", fault.kind));
        let seconds = Duration::from_secs;
        let for_a_while = |number, time| {
            let until = world.elapsed() + seconds(time);
            self.wrong.borrow_mut().push(Wrong { machine, number, until });
        };
        match fault.kind {
            MishapKind::Kill => return Some(Ruling::Kill),
            MishapKind::Stop(time) => world.stop(process, seconds(time)),
            MishapKind::Crash(time) => {
                isolate(world, machine, seconds(time));
                return Some(Ruling::Crash);
            }
            MishapKind::Unsynced(more) if step.name == "fsync" => {
                self.follow_up(machine, more, Mishap { kind: MishapKind::Crash(1), ..fault });
                return Some(failed_sync(world));
            }
            MishapKind::Fail(number) if !matches!(step.name, "send" | "receive") => {
                return Some(Ruling::Fail(number));
            }
            // It befalls the next step that can fail.
            MishapKind::Fail(_) | MishapKind::Unsynced(_) => {
                self.happened.set(self.happened.get() - 1);
                self.faults.borrow_mut().push(fault);
            }
            MishapKind::Full(time) => {
                world.machine(machine).disk.borrow_mut().set_fault(Some(DiskFault::Full));
                let until = world.elapsed() + seconds(time);
                self.full.borrow_mut().insert(machine.0, until);
            }
            MishapKind::Unlock => {
                let _ = world.look(machine, || fs::remove_file(Path::new(TARGET).join("lock")));
            }
            MishapKind::Broken(time) => for_a_while(5, time),
            MishapKind::Cut(bytes) => {
                world.cut(self.desk, machine, usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            MishapKind::Silence(time) => {
                world.silence(self.desk, machine);
                isolate(world, machine, seconds(time));
            }
            MishapKind::Clock(time) => world.machine(machine).ahead.set(time),
            MishapKind::Interrupt(again) => {
                self.follow_up(machine, again, Mishap { kind: MishapKind::Interrupt(0), ..fault });
                if !interrupt(process.0) {
                    return Some(Ruling::Kill);
                }
                world.wake();
            }
        }
        None
    }

    /// Has another fault follow after so many steps of a machine; none after no step.
    fn follow_up(&self, machine: MachineId, steps: u64, fault: Mishap) {
        if steps > 0 {
            let moment = Moment::Step(self.taken(machine) + steps, false);
            self.faults.borrow_mut().push(Mishap { moment, ..fault });
        }
    }
}

/// What may become of what a sync was to write.
fn failed_sync(world: &World) -> Ruling {
    match world.random(3) {
        0 => Ruling::Fail(5),
        1 => Ruling::FailDone(5),
        _ => Ruling::FailLost(5),
    }
}
