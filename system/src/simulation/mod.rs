//! A simulated world: machines with disks, processes on them, a clock and a network, all on one thread. What happens,
//! and in which order, follows from one seed.
//!
//! A thread of a process is a coroutine. It runs until it waits, and at each of its steps (a call on files, a read or
//! write of a connection) the world's judge may have it pause, fail or die. So what is simulated is the program itself,
//! not an image of it: everything above this crate is the code that runs in production.
//!
//! Nothing takes time but waiting: the clock goes forward when all coroutines wait, to the first moment for which one of
//! them does. It is the clock of a paused tokio runtime, so asynchronous code waits for the same one.

mod disk;
mod judgement;
mod program;
mod scheduler;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::process::ProcessStat;

use scheduler::Awaited;

pub(crate) use disk::SimulatedFile;
pub use disk::{Disk, DiskFault};
pub use judgement::{Act, Judge, Ruling};
pub use program::{Main, Program, Programs, others_beside, start as start_program};
pub use wire::{WireEnd, wire};
pub use world::{Machine, MachineId, ProcessId, World};

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Makes this the world of all that is simulated on this thread, until the returned guard is dropped.
pub fn enter(world: &Rc<World>) -> Entered {
    WORLD.with(|current| current.replace(Some(Rc::clone(world))));
    Entered(())
}

/// Ends the use of a world when it is dropped.
#[derive(Debug)]
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        WORLD.with(RefCell::take);
    }
}

/// What a mutex holds. Nothing here is left half-changed by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The world, if a simulated process is running.
fn world() -> Option<Rc<World>> {
    WORLD.with(|current| current.borrow().clone()).filter(|world| world.process().is_some())
}

/// Whether a simulated process is running.
pub fn is_on() -> bool {
    world().is_some()
}

pub(crate) fn now() -> Option<Instant> {
    world().map(|_| World::now())
}

pub(crate) fn wall() -> Option<SystemTime> {
    world().map(|world| world.wall())
}

pub(crate) fn random() -> Option<u64> {
    world().map(|world| world.random(u64::MAX))
}

pub(crate) fn process() -> Option<u32> {
    world()?.process().map(|process| process.0)
}

/// Which boot of its machine the running process lives in.
pub(crate) fn boot() -> Option<String> {
    let world = world()?;
    let machine = world.machine_of(world.process()?)?;
    let machine = world.machine(machine);
    Some(format!("boot {} of {}", machine.boot.get(), machine.name))
}

/// The processes on the machine of the one that runs.
pub(crate) fn numbers() -> Option<Vec<i32>> {
    let world = world()?;
    let machine = world.machine_of(world.process()?)?;
    Some(world.on(machine).into_iter().filter_map(|id| i32::try_from(id.0).ok()).collect())
}

/// A process on the same machine. Each is a group and a session of its own, and none has the number of another before it.
pub(crate) fn stat(number: i32) -> Option<ProcessStat> {
    numbers()?.contains(&number).then_some(ProcessStat {
        dead: false,
        group: number,
        session: number,
        started: 1,
    })
}

/// Kills a process of the same machine.
pub(crate) fn kill_group(group: i32) -> bool {
    let Some(world) = world() else { return false };
    if let (Some(_), Ok(number)) = (stat(group), u32::try_from(group)) {
        world.kill(ProcessId(number));
    }
    true
}

/// The disk of the machine on which the running process is.
pub(crate) fn disk() -> Option<Rc<RefCell<Disk>>> {
    world().map(|world| world.disk())
}

pub(crate) fn spawn(work: Box<dyn FnOnce() + Send>) {
    if let Some(world) = world() {
        world.spawn(work);
    }
}

/// Wakes everybody who waits: something has changed.
pub(crate) fn wake() {
    if let Some(world) = world() {
        world.wake();
    }
}

/// Wakes those who wait for a change of what is at this address.
pub(crate) fn wake_at(place: usize) {
    if let Some(world) = world() {
        world.wake_at(place);
    }
}

/// Waits until something changes, or until then. Returns `false` if the process is dead, and so must not wait again.
pub(crate) fn park(until: Option<Instant>) -> bool {
    world().is_some_and(|world| world.park(until, Awaited::Any))
}

/// Waits until what is at this address changes, or until then.
pub(crate) fn park_at(until: Option<Instant>, place: usize) -> bool {
    world().is_some_and(|world| world.park(until, Awaited::Place(place)))
}

pub(crate) fn sleep(time: Duration) -> bool {
    let Some(world) = world() else { return false };
    let until = World::now() + time;
    while World::now() < until && world.park(Some(until), Awaited::Place(0)) {}
    true
}

/// Does something as the running process, which the judge may delay, refuse or make the last one. `changes` says whether
/// it changes anything that outlives the process.
pub(crate) fn step(name: &'static str, path: &Path, changes: bool) -> io::Result<()> {
    match world() {
        Some(world) => world.step(&Act { name, path, changes }),
        None => Ok(()),
    }
}

/// Does something with the disk of the running process's machine; `None` if no simulated process is running.
pub(crate) fn on_disk<T>(
    name: &'static str,
    path: &Path,
    changes: bool,
    work: impl FnOnce(&mut Disk) -> Result<T, rustix::io::Errno>,
) -> Option<io::Result<T>> {
    if !is_on() {
        return None;
    }
    if let Err(error) = step(name, path, changes) {
        return Some(Err(error));
    }
    let disk = disk()?;
    let result = work(&mut disk.borrow_mut());
    if let Some(number) = world()?.fails_after.take() {
        return Some(Err(io::Error::from_raw_os_error(number)));
    }
    Some(result.map_err(io::Error::from))
}

/// Waits for a future in a coroutine.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    world().expect("only a simulated process waits like this").block_on(future)
}

/// Notes that the running process has come to a certain point.
pub fn mark(text: &str) {
    world().inspect(|world| world.mark(text));
}

/// The world in which the running process is.
pub fn current() -> Option<Rc<World>> {
    world()
}

/// Waits until something changes, or until then. Returns `false` if the process is dead, and so must not wait again.
pub fn wait(until: Option<Instant>) -> bool {
    park(until)
}
