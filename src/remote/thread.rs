//! Threads of this process. Failing to start one is an error of this machine, not a panic.

use batou_system::thread::{self, Thread};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::error::StartError;

/// Starts a thread.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>, StartError> {
    thread::spawn(name, work).map_err(StartError::Threads)
}

/// Waits for a future on a thread that may block.
pub(super) fn wait<T>(runtime: &Handle, work: impl Future<Output = T>) -> T {
    #[cfg(test)]
    if batou_system::simulation::is_on() {
        return batou_system::simulation::block_on(work);
    }
    runtime.block_on(work)
}

/// Delivers something from a thread that may block; returns whether anybody takes it.
pub(super) fn deliver<T>(to: &mpsc::Sender<T>, item: T) -> bool {
    #[cfg(test)]
    if batou_system::simulation::is_on() {
        return batou_system::simulation::block_on(to.send(item)).is_ok();
    }
    to.blocking_send(item).is_ok()
}

/// The result of a thread, which can be waited for without blocking.
#[derive(Debug)]
pub struct Working<T>(oneshot::Receiver<T>);

/// Does blocking work on a new thread.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Working<T>, StartError> {
    let (tell, told) = oneshot::channel();
    spawn("host", move || {
        // Nobody may be waiting for it any more.
        let _ = tell.send(work());
    })?;
    Ok(Working(told))
}

impl<T> Working<T> {
    /// Waits for the result.
    pub async fn wait(self) -> T {
        self.0.await.expect("a thread ends with its outcome, unless it panicked")
    }
}
