//! Problems in a store, and what repairs them.

use std::fmt;
use std::path::PathBuf;

use crate::{ArtifactId, ObjectId};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It should be there.
    Missing,
    /// It is not as it was written.
    Damaged,
    /// The store did not make it.
    Foreign,
}

/// What repairs a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// Fetching the object from another store.
    Fetch(ObjectId),
    /// Checking the artifact out again.
    CheckOut(ArtifactId),
    /// Removing the file.
    Remove,
    /// Writing the store's format file again.
    Format,
    /// Nothing that the store could do: a person has to look at it.
    Look,
}

/// A problem in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The file, relative to the store's root.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
    /// How it shows.
    pub detail: String,
    /// What repairs it.
    pub remedy: Remedy,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Missing => "missing",
            Fault::Damaged => "damaged",
            Fault::Foreign => "foreign",
        };
        write!(f, "{fault}: {}: {}", self.path.display(), self.detail)
    }
}
