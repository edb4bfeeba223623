//! Who judges what processes do: each of their steps may be delayed, refused or made the last one.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::scheduler::Awaited;
use super::world::{MachineId, ProcessId, World};

/// What a process is about to do, its next step.
#[derive(Clone, Copy, Debug)]
pub struct Act<'s> {
    /// The call.
    pub name: &'static str,
    /// What it is about.
    pub path: &'s Path,
    /// Whether it changes anything that outlives the process.
    pub changes: bool,
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is done.
    Go,
    /// Others go first.
    Yield,
    /// It is done after this time.
    Pause(Duration),
    /// It fails with this error number.
    Fail(i32),
    /// It fails with this error number, although it is done.
    FailDone(i32),
    /// A sync fails with this error number, and no later one writes what it was to write: the kernel takes that for written.
    FailLost(i32),
    /// The process is killed before it does it.
    Kill,
    /// The machine loses its power before that.
    Crash,
}

/// Decides about each step of each process.
pub type Judge = Box<dyn FnMut(&World, MachineId, ProcessId, &Act<'_>) -> Ruling>;

impl World {
    pub(super) fn step(&self, step: &Act<'_>) -> io::Result<()> {
        let Some(id) = self.process() else { return Ok(()) };
        if self.is_looking() {
            return Ok(());
        }
        let dead = || Err(io::Error::other("this process is dead"));
        if !self.is_alive(id) {
            return dead();
        }
        self.steps.set(self.steps.get() + 1);
        let Some(machine) = self.machine_of(id) else { return dead() };
        let judge = self.judge.take();
        let Some(mut judge) = judge else { return Ok(()) };
        let ruling = judge(self, machine, id, step);
        self.judge.replace(Some(judge));
        self.note(|| match ruling {
            Ruling::Go | Ruling::Yield => format!("{} {}", step.name, step.path.display()),
            other => format!("{} {}: {other:?}", step.name, step.path.display()),
        });
        match ruling {
            Ruling::Go => {}
            Ruling::Yield => self.give_way(),
            Ruling::Pause(time) => {
                let until = Self::now() + time;
                while Self::now() < until && self.park(Some(until), Awaited::Place(0)) {}
            }
            Ruling::Fail(number) => return Err(io::Error::from_raw_os_error(number)),
            Ruling::FailDone(number) => self.fails_after.set(Some(number)),
            Ruling::FailLost(number) => {
                self.machine(machine).disk.borrow_mut().lose_changes(step.path);
                return Err(io::Error::from_raw_os_error(number));
            }
            Ruling::Kill => {
                self.kill(id);
                self.park(None, Awaited::Any);
            }
            Ruling::Crash => {
                self.crash(machine);
                self.park(None, Awaited::Any);
            }
        }
        if self.is_alive(id) { Ok(()) } else { dead() }
    }
}
