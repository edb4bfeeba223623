//! Ctrl-C and SIGTERM while hosts are switched: the release is taken back in good order, and what became of each host is
//! said. Before that, and in commands that change nothing, a signal ends batou as it ends any program.

use std::io;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The interrupts that come from now on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes them over; needs a runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
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
