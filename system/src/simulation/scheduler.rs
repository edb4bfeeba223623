//! Who runs next: the threads of all processes as coroutines, of which one runs at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use generator::{Generator, Gn};
use tokio::sync::Notify;

use super::lock;
use super::world::{ProcessId, World};

/// A coroutine's stack, in words.
const STACK: usize = 1 << 17;
/// After how much time nothing new will happen any more.
const EVER: Duration = Duration::from_hours(2);
/// How many times coroutines may be resumed without that any time passes. Beyond, they wait for each other in circles.
const SPIN: u64 = 100_000;

/// The coroutines.
#[derive(Default)]
pub(super) struct Scheduler {
    tasks: RefCell<BTreeMap<u64, Task>>,
    last: Cell<u64>,
    running: Cell<Option<u64>>,
    /// Whether a process has died since the dead were buried.
    deaths: Cell<bool>,
    alerts: Arc<Alerts>,
}

struct Task {
    process: ProcessId,
    /// Whether its process ends with it.
    main: bool,
    /// `None` while it runs.
    coroutine: Option<Generator<'static, (), ()>>,
    /// What it waits for; `None` if it is ready.
    wait: Option<Parked>,
}

#[derive(Clone, Copy)]
struct Parked {
    until: Option<Instant>,
    what: Awaited,
}

/// What a coroutine waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Any change at all.
    Any,
    /// A change of what is at this address.
    Place(usize),
    /// A future, whose waker tells.
    Future,
}

/// The coroutines whose futures can go on, as the runtime tells.
#[derive(Default)]
struct Alerts {
    tasks: Mutex<Vec<u64>>,
    notify: Notify,
}

/// Wakes a coroutine that waits for a future.
struct TaskWaker {
    task: u64,
    alerts: Arc<Alerts>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.alerts.tasks).push(self.task);
        self.alerts.notify.notify_one();
    }
}

impl Scheduler {
    pub(super) fn add(&self, process: ProcessId, main: bool, work: Box<dyn FnOnce() + Send>) {
        let id = self.last.get() + 1;
        self.last.set(id);
        let coroutine = Gn::new_opt(STACK, work);
        self.tasks.borrow_mut().insert(id, Task { process, main, coroutine: Some(coroutine), wait: None });
    }

    /// Ends all coroutines of a process but the one that runs, which ends when it next waits.
    pub(super) fn died(&self, process: ProcessId) {
        self.deaths.set(true);
        for task in self.tasks.borrow_mut().values_mut().filter(|task| task.process == process) {
            task.wait = None;
        }
    }
}

impl World {
    /// Starts another thread of the running process.
    pub(super) fn spawn(&self, work: Box<dyn FnOnce() + Send>) {
        if let Some(process) = self.process() {
            self.scheduler.add(process, false, work);
        }
    }

    /// Wakes everybody who waits for changes.
    pub fn wake(&self) {
        self.wake_if(|what| what != Awaited::Future);
    }

    /// Wakes those who wait for a change of what is at this address.
    pub(super) fn wake_at(&self, place: usize) {
        self.wake_if(|what| matches!(what, Awaited::Any) || what == Awaited::Place(place));
    }

    fn wake_if(&self, is_meant: impl Fn(Awaited) -> bool) {
        for task in self.scheduler.tasks.borrow_mut().values_mut() {
            if task.wait.is_some_and(|wait| is_meant(wait.what)) {
                task.wait = None;
            }
        }
    }

    /// Suspends what runs until something changes, or until then. Returns `false` if its process is dead.
    pub(super) fn park(&self, until: Option<Instant>, what: Awaited) -> bool {
        let (Some(process), Some(id)) = (self.process(), self.scheduler.running.get()) else { return false };
        // What unwinds because its process was killed must not be suspended again.
        if self.is_looking() || std::thread::panicking() {
            return false;
        }
        if let Some(task) = self.scheduler.tasks.borrow_mut().get_mut(&id) {
            task.wait = Some(Parked { until, what });
        }
        #[allow(deprecated)]
        // what waits is far below what started the coroutine, and cannot be handed its scope
        generator::yield_with(());
        self.is_alive(process)
    }

    /// Lets others go first.
    pub(super) fn give_way(&self) {
        if self.process().is_some() && !self.is_looking() && !std::thread::panicking() {
            #[allow(deprecated)] // as above
            generator::yield_with(());
        }
    }

    /// Waits for a future.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let task = self.scheduler.running.get().unwrap_or_default();
        let alerts = Arc::clone(&self.scheduler.alerts);
        let waker = Waker::from(Arc::new(TaskWaker { task, alerts }));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
            // There is no result to go on with. That happens while a dead process unwinds.
            assert!(self.park(None, Awaited::Future), "a dead process waits for nothing");
        }
    }

    /// Runs everything until `done`, or until nothing happens any more; returns whether it was done.
    pub async fn run(self: &Rc<Self>, mut done: impl FnMut() -> bool) -> bool {
        let (mut moment, mut resumed) = (Self::now(), 0);
        let limit = moment + EVER;
        loop {
            resumed = if Self::now() == moment { resumed + 1 } else { 0 };
            moment = Self::now();
            if resumed > SPIN {
                self.note(|| "!! no time passes any more".to_owned());
                return false;
            }
            self.hear();
            self.bury();
            if done() {
                return true;
            }
            // It may have killed somebody.
            self.bury();
            if let Some(task) = self.choose() {
                self.resume(task);
                continue;
            }
            let next = self.next();
            if Self::now() >= limit {
                return false;
            }
            let until = tokio::time::Instant::from_std(next.unwrap_or(limit));
            let slept = tokio::select! {
                biased;
                () = self.scheduler.alerts.notify.notified() => false,
                () = tokio::time::sleep_until(until) => true,
            };
            // The runtime counts milliseconds, and may be a part of one early. A notice may be an old one, of what was heard
            // already: then no time has passed, and none is to be left out.
            let early = next.filter(|_| slept && lock(&self.scheduler.alerts.tasks).is_empty());
            let early = early.map_or(Duration::ZERO, |next| next.saturating_duration_since(Self::now()));
            if !early.is_zero() {
                tokio::time::advance(early).await;
            }
            self.wake_late();
        }
    }

    /// Readies those whose futures can go on.
    fn hear(&self) {
        let alerted = std::mem::take(&mut *lock(&self.scheduler.alerts.tasks));
        let mut tasks = self.scheduler.tasks.borrow_mut();
        for id in alerted {
            if let Some(task) = tasks.get_mut(&id) {
                task.wait = None;
            }
        }
    }

    /// Ends all processes.
    pub fn end(&self) {
        self.kill_all();
        self.bury();
    }

    /// Drops the coroutines of dead processes. Their destructors run, and change nothing any more.
    fn bury(&self) {
        while self.scheduler.deaths.take() {
            while self.bury_one() {}
        }
    }

    /// Drops one of them; returns whether there was one.
    fn bury_one(&self) -> bool {
        let dead = {
            let tasks = self.scheduler.tasks.borrow();
            tasks.iter().find(|(_, task)| !self.is_alive(task.process)).map(|(id, _)| *id)
        };
        let task = dead.and_then(|id| self.scheduler.tasks.borrow_mut().remove(&id));
        let Some(Task { process, coroutine, .. }) = task else { return false };
        let before = self.set_running(Some(process));
        drop(coroutine);
        self.set_running(before);
        true
    }

    /// One of those that are ready.
    fn choose(&self) -> Option<u64> {
        let tasks = self.scheduler.tasks.borrow();
        let is_ready = |task: &Task| task.wait.is_none() && self.stopped_until(task.process).is_none();
        let ready = || tasks.iter().filter(|(_, task)| is_ready(task)).map(|(id, _)| *id);
        let count = ready().count();
        if count < 2 {
            return ready().next();
        }
        ready().nth(usize::try_from(self.random(count as u64)).unwrap_or(0))
    }

    /// The first moment for which something waits.
    fn next(&self) -> Option<Instant> {
        let tasks = self.scheduler.tasks.borrow();
        let moment = |task: &Task| match (self.stopped_until(task.process), task.wait) {
            (Some(stopped), _) => Some(stopped),
            (None, Some(wait)) => wait.until,
            (None, None) => None,
        };
        tasks.values().filter_map(moment).min()
    }

    fn wake_late(&self) {
        let now = Self::now();
        for task in self.scheduler.tasks.borrow_mut().values_mut() {
            if task.wait.is_some_and(|wait| wait.until.is_some_and(|until| until <= now)) {
                task.wait = None;
            }
        }
    }

    fn resume(&self, id: u64) {
        let (process, coroutine) = {
            let mut tasks = self.scheduler.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&id) else { return };
            (task.process, task.coroutine.take())
        };
        let Some(mut coroutine) = coroutine else { return };
        let before = self.set_running(Some(process));
        let earlier = self.scheduler.running.replace(Some(id));
        coroutine.resume();
        self.scheduler.running.set(earlier);
        self.set_running(before);
        let mut tasks = self.scheduler.tasks.borrow_mut();
        if coroutine.is_done() {
            let main = tasks.remove(&id).is_some_and(|task| task.main);
            drop(tasks);
            if main {
                self.kill(process);
            }
            self.wake();
        } else if let Some(task) = tasks.get_mut(&id) {
            task.coroutine = Some(coroutine);
        }
    }
}
