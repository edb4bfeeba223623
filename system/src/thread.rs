//! Threads.

use std::io;
#[cfg(feature = "simulation")]
use std::sync::Arc;
#[cfg(feature = "simulation")]
use std::sync::Mutex;

use rayon::prelude::*;

/// A thread that was started.
#[derive(Debug)]
pub struct Thread<T>(Joining<T>);

#[derive(Debug)]
enum Joining<T> {
    Real(std::thread::JoinHandle<T>),
    #[cfg(feature = "simulation")]
    Simulated(Arc<Mutex<Option<T>>>),
}

/// Starts a thread. The name is shown by the operating system.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        let done = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&done);
        crate::simulation::spawn(Box::new(move || {
            let result = work();
            crate::simulation::lock(&theirs).replace(result);
            crate::simulation::wake();
        }));
        return Ok(Thread(Joining::Simulated(done)));
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(|thread| Thread(Joining::Real(thread)))
}

impl<T> Thread<T> {
    /// Waits for its end; `None` if it panicked.
    pub fn join(self) -> Option<T> {
        match self.0 {
            Joining::Real(thread) => thread.join().ok(),
            #[cfg(feature = "simulation")]
            Joining::Simulated(done) => {
                while crate::simulation::lock(&done).is_none() && crate::simulation::park(None) {}
                crate::simulation::lock(&done).take()
            }
        }
    }
}

/// Does `first` on another thread while this one does `second`. What passes from one to the other goes through a
/// [`crate::queue::between`].
pub fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        let first = first();
        return (first, second());
    }
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}

/// Does something with each item, on as many threads as there are processors; at least `share` items go to one thread.
/// The first error ends it.
pub fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    share: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E> {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        return items.iter().map(work).collect();
    }
    items.par_iter().with_min_len(share).map(work).collect()
}

/// Starts the threads of [`each`] and reports if that fails. Without this call they are started when they are first
/// needed, and the process panics if the machine has no threads left.
pub fn start() -> io::Result<()> {
    use std::error::Error;
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        return Ok(());
    }
    let Err(error) = rayon::ThreadPoolBuilder::new().build_global() else { return Ok(()) };
    // Without a cause it says that they run already.
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => {
            Err(cause.raw_os_error().map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_runs_already_is_no_failure() {
        start().unwrap();
        start().unwrap();
    }
}
