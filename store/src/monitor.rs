//! How the library reports its progress.

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Source files are read and hashed.
    Hashing,
    /// Objects are written into the store.
    Storing,
    /// Objects go from one depot to another.
    Copying,
    /// Objects are read and checked.
    Verifying,
    /// Objects that nothing needs are removed.
    Sweeping,
}

/// Receives the progress of long operations, from several threads.
pub trait Monitor: Sync {
    /// A phase begins, over this many objects and bytes (0 if that is not known yet).
    fn begin(&self, what: Phase, objects: u64, bytes: u64) {
        let _ = (what, objects, bytes);
    }

    /// This many more objects and bytes are done.
    fn advance(&self, objects: u64, bytes: u64) {
        let _ = (objects, bytes);
    }
}

/// A monitor that ignores all progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {}
