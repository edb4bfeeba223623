//! The world: which machines there are, and which processes run on them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::disk::Disk;
use super::judgement::Judge;
use super::program::{Main, Programs};
use super::scheduler::Scheduler;
use super::wire::Wire;

/// A machine's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineId(pub usize);

/// A process's number, which no other process of the world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// Its name, for the trace.
    pub name: String,
    /// Its disk.
    pub disk: Rc<RefCell<Disk>>,
    /// How far its clock is ahead, in seconds.
    pub ahead: Cell<i64>,
    /// How often it was started.
    pub boot: Cell<u32>,
}

/// A process.
#[derive(Clone, Debug)]
struct Process {
    machine: MachineId,
    name: String,
    alive: bool,
    /// Until when it is stopped.
    stopped: Option<Instant>,
    /// Who started it.
    parent: Option<ProcessId>,
    began: Duration,
    ended: Option<Duration>,
}

impl Process {
    /// One that nobody has started.
    fn looking_at(machine: MachineId, name: &str) -> Self {
        let (parent, began, ended) = (None, Duration::ZERO, None);
        Process { machine, name: name.to_owned(), alive: true, stopped: None, parent, began, ended }
    }
}

/// Everything that is simulated.
pub struct World {
    machines: RefCell<Vec<Rc<Machine>>>,
    processes: RefCell<BTreeMap<ProcessId, Process>>,
    /// What runs right now.
    running: Cell<Option<ProcessId>>,
    /// Looking on from outside: no step is judged.
    looking: Cell<bool>,
    last: Cell<u32>,
    random: RefCell<fastrand::Rng>,
    pub(super) judge: RefCell<Option<Judge>>,
    pub(super) scheduler: Scheduler,
    start: Instant,
    pub(super) steps: Cell<u64>,
    /// With what a step fails once it is done.
    pub(super) fails_after: Cell<Option<i32>>,
    trace: RefCell<Option<String>>,
    programs: RefCell<Option<Programs>>,
    pub(super) wires: RefCell<Vec<Weak<Mutex<Wire>>>>,
    /// Whether any process was ever stopped.
    stops: Cell<bool>,
    marks: RefCell<Vec<(MachineId, String)>>,
}

/// When the clocks of all worlds begin: 2026-01-01.
const EPOCH: Duration = Duration::from_hours(490_896);

impl World {
    /// A world without machines. To be made within a paused tokio runtime, whose clock is its own.
    pub fn new(seed: u64) -> Rc<Self> {
        let world = Self {
            machines: RefCell::default(),
            processes: RefCell::default(),
            running: Cell::new(None),
            looking: Cell::new(false),
            last: Cell::new(0),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            judge: RefCell::new(None),
            scheduler: Scheduler::default(),
            start: tokio::time::Instant::now().into_std(),
            steps: Cell::new(0),
            fails_after: Cell::new(None),
            trace: RefCell::new(None),
            programs: RefCell::new(None),
            wires: RefCell::default(),
            stops: Cell::new(false),
            marks: RefCell::default(),
        };
        Rc::new(world)
    }

    /// Sets who judges what processes do.
    pub fn judged_by(&self, judge: Judge) {
        self.judge.replace(Some(judge));
    }

    /// Writes down from now on what happens.
    pub fn start_trace(&self) {
        self.trace.replace(Some(String::new()));
    }

    /// What was written down.
    pub fn trace(&self) -> String {
        self.trace.borrow().clone().unwrap_or_default()
    }

    /// Writes down something, with the time and who did it.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.trace.borrow_mut() {
            let passed = self.elapsed();
            let who = self.running.get().and_then(|id| {
                let processes = self.processes.borrow();
                let process = processes.get(&id)?;
                Some(format!("{} {}#{}", self.machine(process.machine).name, process.name, id.0))
            });
            let _ = writeln!(
                trace,
                "{:>9.3} s  {:<24} {}",
                passed.as_secs_f64(),
                who.unwrap_or_else(|| "-".into()),
                text()
            );
        }
    }

    pub(super) fn mark(&self, text: &str) {
        if let Some(machine) = self.process().and_then(|id| self.machine_of(id)) {
            self.note(|| format!("** {text}"));
            self.marks.borrow_mut().push((machine, text.to_owned()));
        }
    }

    /// The points to which processes came, in this order, and on which machines.
    pub fn marks(&self) -> Vec<(MachineId, String)> {
        self.marks.borrow().clone()
    }

    /// Those after the first so many.
    pub fn marks_after(&self, count: usize) -> Vec<(MachineId, String)> {
        self.marks.borrow().get(count..).unwrap_or_default().to_vec()
    }

    /// Adds a machine with an empty disk of this size.
    pub fn add_machine(&self, name: &str, disk: Disk) -> MachineId {
        let mut machines = self.machines.borrow_mut();
        machines.push(Rc::new(Machine {
            name: name.to_owned(),
            disk: Rc::new(RefCell::new(disk)),
            ahead: Cell::new(0),
            boot: Cell::new(1),
        }));
        MachineId(machines.len() - 1)
    }

    /// A machine.
    pub fn machine(&self, id: MachineId) -> Rc<Machine> {
        Rc::clone(&self.machines.borrow()[id.0])
    }

    /// Starts a process with its main thread.
    pub fn start(&self, machine: MachineId, name: &str, main: Box<dyn FnOnce() + Send>) -> ProcessId {
        let id = ProcessId(self.last.get() + 1);
        self.last.set(id.0);
        let process = Process {
            parent: self.running.get(),
            began: self.elapsed(),
            ..Process::looking_at(machine, name)
        };
        self.processes.borrow_mut().insert(id, process);
        self.note(|| format!("starts {name}#{}", id.0));
        self.scheduler.add(id, true, main);
        id
    }

    /// Whether a process lives.
    pub fn is_alive(&self, id: ProcessId) -> bool {
        self.processes.borrow().get(&id).is_some_and(|process| process.alive)
    }

    /// Kills a process: it takes no further step, and what it held open is closed.
    pub fn kill(&self, id: ProcessId) {
        let machine = {
            let mut processes = self.processes.borrow_mut();
            let Some(process) = processes.get_mut(&id).filter(|process| process.alive) else { return };
            process.alive = false;
            process.ended = Some(self.elapsed());
            process.machine
        };
        self.note(|| format!("#{} is gone", id.0));
        self.machine(machine).disk.borrow_mut().close_all(id.0);
        self.scheduler.died(id);
        self.wake();
    }

    pub(super) fn kill_all(&self) {
        let all: Vec<_> = self.processes.borrow().keys().copied().collect();
        for id in all {
            self.kill(id);
        }
    }

    /// A process that is stopped takes no step before then.
    pub fn stop(&self, id: ProcessId, time: Duration) {
        let until = Self::now() + time;
        self.stops.set(true);
        self.note(|| format!("#{} is stopped for {time:?}", id.0));
        if let Some(process) = self.processes.borrow_mut().get_mut(&id) {
            process.stopped = Some(until);
        }
    }

    pub(super) fn stopped_until(&self, id: ProcessId) -> Option<Instant> {
        if !self.stops.get() {
            return None;
        }
        self.processes.borrow().get(&id)?.stopped.filter(|until| *until > Self::now())
    }

    /// Cuts a machine's power: all its processes are gone, and of its disk what was not synced may be.
    pub fn crash(&self, machine: MachineId) {
        self.note(|| format!("{} loses its power", self.machine(machine).name));
        self.each_wire(|wire| {
            if wire.touches(machine) {
                wire.silence();
            }
        });
        for id in self.on(machine) {
            self.kill(id);
        }
        let crashed = self.machine(machine);
        crashed.boot.set(crashed.boot.get() + 1);
        crashed.disk.borrow_mut().power_cut(&mut self.random.borrow_mut());
    }

    /// Sets which programs there are.
    pub fn set_programs(&self, programs: Programs) {
        self.programs.replace(Some(programs));
    }

    /// The program that a command starts. Where there are none, it is as if it was not found.
    pub(super) fn program(&self, command: &Command) -> Main {
        let programs = self.programs.borrow().clone();
        programs.map_or_else(|| Box::new(|| 127) as Main, |programs| programs(command))
    }

    /// The living processes on a machine.
    pub fn on(&self, machine: MachineId) -> Vec<ProcessId> {
        let processes = self.processes.borrow();
        let here = processes.iter().filter(|(_, process)| process.alive && process.machine == machine);
        here.map(|(id, _)| *id).collect()
    }

    /// The machine that a process is on.
    pub fn machine_of(&self, id: ProcessId) -> Option<MachineId> {
        self.processes.borrow().get(&id).map(|process| process.machine)
    }

    /// Of each other process of that name on the machine of this one, how long it and who started it have both been alive.
    pub(super) fn beside(&self, id: ProcessId, name: &str) -> Vec<Duration> {
        let processes = self.processes.borrow();
        let Some(this) = processes.get(&id) else { return Vec::new() };
        let others = processes.iter().filter(|(other, process)| {
            **other != id && process.alive && process.machine == this.machine && process.name == name
        });
        let together = |process: &Process| {
            let parent = process.parent.and_then(|parent| processes.get(&parent));
            let ended = parent.and_then(|parent| parent.ended).unwrap_or_else(|| self.elapsed());
            ended.saturating_sub(process.began)
        };
        others.map(|(_, process)| together(process)).collect()
    }

    /// A process's name.
    pub fn name_of(&self, id: ProcessId) -> String {
        self.processes.borrow().get(&id).map(|process| process.name.clone()).unwrap_or_default()
    }

    /// Looks at a machine from outside, as if by a process of its own whose steps nobody judges and that never waits.
    pub fn look<T>(&self, machine: MachineId, work: impl FnOnce() -> T) -> T {
        let id = ProcessId(0);
        self.processes.borrow_mut().insert(id, Process::looking_at(machine, "look"));
        let before = self.running.replace(Some(id));
        self.looking.set(true);
        let result = work();
        self.looking.set(false);
        self.running.set(before);
        self.machine(machine).disk.borrow_mut().close_all(0);
        self.processes.borrow_mut().remove(&id);
        result
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// How much time has passed.
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(self.start)
    }

    /// A random number below this one.
    pub fn random(&self, below: u64) -> u64 {
        self.random.borrow_mut().u64(..below)
    }

    /// The process that runs.
    pub fn process(&self) -> Option<ProcessId> {
        self.running.get()
    }

    pub(super) fn set_running(&self, process: Option<ProcessId>) -> Option<ProcessId> {
        self.running.replace(process)
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking.get()
    }

    pub(super) fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    pub(super) fn wall(&self) -> SystemTime {
        let ahead = self.running_machine().map_or(0, |machine| machine.ahead.get());
        let wall = SystemTime::UNIX_EPOCH + EPOCH + self.elapsed();
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { wall - by } else { wall + by }
    }

    fn running_machine(&self) -> Option<Rc<Machine>> {
        self.machine_of(self.running.get()?).map(|id| self.machine(id))
    }

    pub(super) fn disk(&self) -> Rc<RefCell<Disk>> {
        let machine = self.running_machine().expect("a process runs on a machine");
        Rc::clone(&machine.disk)
    }
}
