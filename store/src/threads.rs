//! The threads that work on files at the same time.

use std::error::Error;
use std::io;

/// Starts them. Where they are started only when they are first needed, a machine that gives no threads ends the process.
pub fn start_threads() -> io::Result<()> {
    let Err(error) = rayon::ThreadPoolBuilder::new().build_global() else { return Ok(()) };
    // Without a cause it says that they run already.
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => Err(cause.kind().into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_runs_already_is_no_failure() {
        start_threads().unwrap();
        start_threads().unwrap();
    }
}
