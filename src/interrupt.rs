//! Ctrl-C, SIGTERM and SIGHUP. While hosts are switched, the release is taken back in good order, and what became of each
//! host is said. Before that, and in commands that change nothing, a signal ends batou as it ends any program, only that its
//! connections are ended first.

use std::fs;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How many [`Interrupts`] there are. While there is one, signals are its.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
/// Whether a signal is about to end this process.
static DYING: AtomicBool = AtomicBool::new(false);

/// The interrupts that come from now on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// Has a signal that ends this process do something first. What the process was started to ignore (`nohup`) is ignored.
pub fn before_death(farewell: impl Fn() + Send + 'static) -> io::Result<()> {
    let ignored = ignored()?;
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted.collect::<Vec<_>>())?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if HANDLERS.load(Ordering::SeqCst) > 0 {
                continue;
            }
            DYING.store(true, Ordering::SeqCst);
            farewell();
            // It fails for signals that do not end a process.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// Where a signal is about to end this process, does not return: what became of the connections that were ended for that is
/// nothing to tell.
pub fn yield_to_death() {
    while DYING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// The signals that this process ignores: a bit each, from the lowest for the first.
fn ignored() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status is not as it is documented"))
}

impl Interrupts {
    /// Takes them over; needs a runtime.
    pub fn listen() -> io::Result<Self> {
        let interrupts = Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        };
        HANDLERS.fetch_add(1, Ordering::SeqCst);
        Ok(interrupts)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Does something unless there is an interrupt before its end.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Does something that should not be left half-done: the first interrupt is answered by `warn`, the second ends it.
    pub async fn insistent<T>(&mut self, work: impl Future<Output = T>, warn: impl Fn()) -> Option<T> {
        let mut work = pin!(work);
        if let Some(done) = self.unless(&mut work).await {
            return Some(done);
        }
        warn();
        self.unless(work).await
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        HANDLERS.fetch_sub(1, Ordering::SeqCst);
    }
}
