//! Programs that simulated processes start.

use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock;
use super::world::ProcessId;
use super::{park, wake, world};

/// The name of their processes.
const NAME: &str = "program";

/// What a program does; gives its exit status.
pub type Main = Box<dyn FnOnce() -> i32 + Send>;

/// Which program a command is.
pub type Programs = Rc<dyn Fn(&Command) -> Main>;

/// A program that was started, on the machine of who started it. It lives on if that process dies.
#[derive(Debug)]
pub struct Program {
    id: ProcessId,
    status: Arc<Mutex<Option<i32>>>,
}

/// Starts a command, if a simulated process does so.
pub fn start(command: &Command) -> Option<Program> {
    let world = world()?;
    let machine = world.machine_of(world.process()?)?;
    let main = world.program(command);
    let status = Arc::new(Mutex::new(None));
    let theirs = Arc::clone(&status);
    let id = world.start(
        machine,
        NAME,
        Box::new(move || {
            let ended = main();
            lock(&theirs).replace(ended);
            wake();
        }),
    );
    Some(Program { id, status })
}

/// Asked by a program: of each other program that runs on its machine, how long it and the process that started it have both
/// been alive.
pub fn others_beside() -> Vec<Duration> {
    let asking = world().and_then(|world| Some((world.process()?, world)));
    asking.map_or(Vec::new(), |(id, world)| world.beside(id, NAME))
}

impl Program {
    /// Its exit status, once it has ended; that of a program that was killed is that of the signal.
    pub fn status(&self) -> Option<i32> {
        let alive = world().is_some_and(|world| world.is_alive(self.id));
        lock(&self.status).or((!alive).then_some(137))
    }

    /// Its number.
    pub fn number(&self) -> i32 {
        i32::try_from(self.id.0).unwrap_or(i32::MAX)
    }

    /// Kills it.
    pub fn kill(&self) {
        world().inspect(|world| world.kill(self.id));
    }

    /// Waits until something happens, or until then; returns `false` if who waits is dead.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        park(until)
    }
}
