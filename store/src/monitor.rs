//! The way progress leaves the library.

/// What is going on.
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

/// Is told how far a long operation has come; from several threads.
pub trait Monitor: Sync {
    /// A phase begins that will go over so many objects and bytes (0 where that is not known yet).
    fn begin(&self, what: Phase, objects: u64, bytes: u64) {
        let _ = (what, objects, bytes);
    }

    /// So many objects and bytes more are done.
    fn advance(&self, objects: u64, bytes: u64) {
        let _ = (objects, bytes);
    }
}

/// The monitor that nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {}
