//! Who decides what becomes of each step: the faults of the plan, and the order of things by chance.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use batou_system::fs;
use batou_system::simulation::{Act, DiskFault, Judge, MachineId, ProcessId, Ruling, World};

use super::network::{Machines, TARGET, isolate};
use super::plan::{Mishap, MishapKind, Place};
use crate::interrupt::simulated::interrupt;

/// Which faults are still to come, and what is wrong right now.
pub(super) struct Court {
    faults: RefCell<Vec<Mishap>>,
    taken: RefCell<BTreeMap<usize, (u64, u64)>>,
    wrong: RefCell<Vec<Wrong>>,
    full: RefCell<BTreeMap<usize, Duration>>,
    happened: Cell<usize>,
    calm: Cell<bool>,
    hosts: Vec<MachineId>,
    desk: MachineId,
}

/// Something that is wrong for a while.
struct Wrong {
    machine: MachineId,
    number: i32,
    until: Duration,
}

impl Court {
    pub(super) fn new(machines: &Machines, faults: &[Mishap]) -> Rc<Self> {
        Rc::new(Self {
            faults: RefCell::new(faults.to_vec()),
            taken: RefCell::default(),
            wrong: RefCell::default(),
            full: RefCell::default(),
            happened: Cell::new(0),
            calm: Cell::new(true),
            hosts: machines.hosts.clone(),
            desk: machines.desk,
        })
    }

    /// How many faults there have been.
    pub(super) fn happened(&self) -> usize {
        self.happened.get()
    }

    /// From now on things go wrong.
    pub(super) fn begin(&self) {
        self.calm.set(false);
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
        if !self.calm.get() {
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
        let is_due = |fault: &Mishap| {
            let place = match fault.place {
                Place::Desk => self.desk,
                Place::Host(number) => self.hosts[number],
            };
            let count = if fault.of_changes { changing } else { all };
            place == machine && fault.step < count
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
                isolate(machine, seconds(time));
                return Some(Ruling::Crash);
            }
            MishapKind::Fail(number) if !matches!(step.name, "send" | "receive") => {
                return Some(Ruling::Fail(number));
            }
            // It befalls the next step that can fail.
            MishapKind::Fail(_) => {
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
                isolate(machine, seconds(time));
            }
            MishapKind::Clock(time) => world.machine(machine).ahead.set(time),
            MishapKind::Interrupt(again) => {
                if again > 0 {
                    let step = self.taken.borrow()[&machine.0].0 + again;
                    let kind = MishapKind::Interrupt(0);
                    self.faults.borrow_mut().push(Mishap { step, of_changes: false, kind, ..fault });
                }
                if !interrupt(process.0) {
                    return Some(Ruling::Kill);
                }
                world.wake();
            }
        }
        None
    }
}
