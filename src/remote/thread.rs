//! Threads of this process. Failing to start one is an error of this machine, not a panic.

use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

use super::error::StartError;

/// Starts a thread.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::Threads)
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
