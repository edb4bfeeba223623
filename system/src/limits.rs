//! What a session allows a program, and how the program lives with it.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::Builder;

use rustix::process::{Resource, getrlimit};
use signal_hook::consts::SIGXFSZ;

/// The stack that a program's work may need, in bytes.
const STACK: usize = 8 << 20;

/// Runs a program where it has the stack that it needs. That of the first thread is what the session has (`ulimit -s`),
/// and where it is too small the kernel ends the process without a word: then it is a thread that does the work. Else it
/// is not, since the C library's allocator is slower in any but the first one (it asks the kernel for each 4 KiB).
pub fn with_enough_stack<T: Send + 'static>(work: fn() -> T) -> T {
    match getrlimit(Resource::Stack).current {
        Some(session) if session < STACK as u64 => on_a_stack_of_its_own(work),
        _ => work(),
    }
}

fn on_a_stack_of_its_own<T: Send + 'static>(work: fn() -> T) -> T {
    match Builder::new().name("main".into()).stack_size(STACK).spawn(work) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        // Whatever it needs threads for says so.
        Err(_) => work(),
    }
}

/// Has a write fail that would make a file larger than the session allows (`ulimit -f`), where the kernel would end the
/// process. The signal is caught and not ignored: what is ignored stays so in the programs that this one starts.
pub fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// What to say where a machine ("this machine", "this host") gives no thread.
pub fn no_thread(machine: &str, error: &io::Error) -> String {
    format!(
        "{machine} lets batou start no more threads or processes ({error}): raise the limits of the session (`ulimit \
         -u`, `ulimit -v`), or those of the container or service in which it runs"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::File;
    use std::io::Write;

    use rustix::process::{Rlimit, setrlimit};

    use super::*;

    #[test]
    fn a_file_that_grows_too_large_is_an_error() {
        outlive_large_files().unwrap();
        let mut file: File = tempfile::tempfile().unwrap();
        let before = getrlimit(Resource::Fsize);
        // Other tests of this process, if there are any, write no file of that size.
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 20), ..before }).unwrap();
        let written = file.write_all(&vec![1; 2 << 20]);
        setrlimit(Resource::Fsize, before).unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_program_has_the_stack_that_it_needs() {
        fn deep(levels: usize) -> usize {
            let frame = std::hint::black_box([levels; 128]);
            if levels == 0 { 0 } else { frame[0] - levels + 1 + deep(levels - 1) }
        }
        // The threads of tests have 2 MiB.
        assert_eq!(on_a_stack_of_its_own(|| deep(3000)), 3000);
    }
}
