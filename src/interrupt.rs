//! Ctrl-C, SIGTERM and SIGHUP. While hosts are switched, a signal has every host go back in good order, and
//! what became of each host is reported. While a host is retired, a signal is waited out. Before that, and in commands that change nothing, a signal ends batou
//! as it ends any program, except that its connections are ended first.

use std::fs;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Who gets signals. A single thread hands them out, so that each signal has one consequence.
static SIGNALS: Mutex<SignalUse> =
    Mutex::new(SignalUse { watched: false, farewells: Vec::new(), concluding: false, taker: None });
/// Whether a signal is about to end this process.
static DYING: AtomicBool = AtomicBool::new(false);

/// What is done with signals.
struct SignalUse {
    /// Whether the thread has been started.
    watched: bool,
    /// What is done before a signal ends this process.
    farewells: Vec<Box<dyn Fn() + Send>>,
    /// Whether only the last words are still to be said. Who is interrupted before them would not know that hosts have
    /// changed, so the first signal is too late.
    concluding: bool,
    /// Where signals go that do not end the process.
    taker: Option<UnboundedSender<()>>,
}

/// The interrupts that arrive from now on.
#[derive(Debug)]
pub struct Interrupts(UnboundedReceiver<()>);

/// Registers something to do before a signal ends this process.
pub fn before_death(farewell: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = lock();
    signals.watch()?;
    signals.farewells.push(Box::new(farewell));
    Ok(())
}

fn lock() -> MutexGuard<'static, SignalUse> {
    SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignalUse {
    /// Starts the thread. Signals that the process was started to ignore (`nohup`) stay ignored.
    fn watch(&mut self) -> io::Result<()> {
        if self.watched {
            return Ok(());
        }
        let ignored = ignored()?;
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(wanted.collect::<Vec<_>>())?;
        let hand_out = move || signals.forever().for_each(|signal| lock().hand_out(signal));
        thread::Builder::new().name("signals".into()).spawn(hand_out)?;
        self.watched = true;
        Ok(())
    }

    fn hand_out(&mut self, signal: i32) {
        if self.taker.as_ref().is_some_and(|taker| taker.send(()).is_ok()) {
            return;
        }
        if std::mem::take(&mut self.concluding) {
            return;
        }
        DYING.store(true, Ordering::SeqCst);
        self.farewells.iter().for_each(|farewell| farewell());
        // This fails for signals that do not end a process.
        let _ = emulate_default_handler(signal);
    }
}

/// Does not return if a signal is about to end this process. Its connections were ended for that reason, so
/// what became of them must not be reported as an error.
pub fn yield_to_death() {
    while DYING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// The signals that this process ignores, as a bit mask: the lowest bit stands for signal 1.
fn ignored() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status is not as it is documented"))
}

impl Interrupts {
    /// Takes over the signals until this is dropped.
    pub fn listen() -> io::Result<Self> {
        #[cfg(test)]
        if batou_system::simulation::is_on() {
            return Ok(simulated::listen());
        }
        let mut signals = lock();
        signals.watch()?;
        let (sender, receiver) = unbounded_channel();
        signals.taker = Some(sender);
        Ok(Self(receiver))
    }

    /// Hosts have ended what there was to interrupt: a signal comes too late now, and only a second one ends the process.
    pub fn conclude(self) {
        lock().concluding = true;
        // From here on signals that go to it are not taken.
        drop(self.0);
    }

    /// Waits for the next interrupt.
    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `work` and gives its result, or `None` if an interrupt comes first.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Does something that should not be left half-done: the first interrupt calls `warn`, the second ends it.
    pub async fn insistent<T>(&mut self, work: impl Future<Output = T>, warn: impl Fn()) -> Option<T> {
        let mut work = pin!(work);
        if let Some(done) = self.unless(&mut work).await {
            return Some(done);
        }
        warn();
        self.unless(work).await
    }
}

/// Interrupts of processes that are simulated.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::{Interrupts, UnboundedSender, unbounded_channel};

    thread_local! {
        static TAKERS: RefCell<BTreeMap<u32, UnboundedSender<()>>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn listen() -> Interrupts {
        let (sender, receiver) = unbounded_channel();
        TAKERS.with_borrow_mut(|takers| takers.insert(batou_system::random::process(), sender));
        Interrupts(receiver)
    }

    /// Interrupts a process; returns whether it listens. One that does not is ended by it.
    pub(crate) fn interrupt(process: u32) -> bool {
        TAKERS.with_borrow(|takers| takers.get(&process).is_some_and(|taker| taker.send(()).is_ok()))
    }

    /// Forgets all processes.
    pub(crate) fn forget() {
        TAKERS.with_borrow_mut(BTreeMap::clear);
    }
}
