//! The release protocol as a model: the real controller and the real agents, in one process, on machines that are
//! simulated, with all that can go wrong chosen by a seed.
//!
//! A seed makes a [`Plan`](plan::Plan): how many hosts, which commands by whom and when, and which faults at which steps, times or events.
//! [`history::run`] carries it out: what the commands do is what `batou switch` and `batou rollback` do, from the first
//! question on. When one ends, [`words`] looks whether what it said is true. At the end all faults are healed, and [`invariants`]
//! looks at the disks.
//!
//! A history that breaks an invariant is shrunk, and printed with the command that replays it.

mod command;
mod history;
mod invariants;
mod judge;
mod network;
mod plan;
mod programs;
mod releases;
mod tests;
mod words;
