//! What the operating system gives: files, time, threads and randomness.
//!
//! The store, the agent and the controller get these from here and from nowhere else, so that all of them can run on
//! simulated machines: in one process, with a clock, a disk and a network that a test made up, each history following
//! from one seed. That is the feature `simulation`, which only tests turn on. Without it each function here is a call
//! of the standard library.

pub mod clock;
pub mod fs;
pub mod limits;

pub mod process;
pub mod queue;
pub mod random;
pub mod shared;
pub mod thread;

#[cfg(feature = "simulation")]
pub mod simulation;
