//! Threads of this process. One that cannot be had is an error of this machine, and no panic.

use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

use super::error::StartError;

/// Starts a thread.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|_| StartError::Threads)
}

/// What a thread comes to, for who waits without one.
#[derive(Debug)]
pub struct Working<T>(oneshot::Receiver<T>);

/// Has a thread do what blocks.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Working<T>, StartError> {
    let (tell, told) = oneshot::channel();
    spawn("host", move || {
        // Whoever wanted to know may have gone.
        let _ = tell.send(work());
    })?;
    Ok(Working(told))
}

impl<T> Working<T> {
    /// Waits for it.
    pub async fn wait(self) -> T {
        self.0.await.expect("a thread ends with its outcome, unless it panicked")
    }
}
