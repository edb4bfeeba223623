//! The command line of batou, and the release over many hosts.
//!
//! The modules in the order in which data flows through them: [`cli`] and [`context`] begin a command; [`evaluation`] says what every
//! host is to have; [`build`] makes a [`batou_release::Release`] of what was evaluated; [`plan`] says what it would change;
//! [`deployment`], [`releasing`] and [`fleet`] carry it out over [`remote`] agents that speak the [`batou_agent::protocol`].

pub mod archive;
pub mod build;
pub mod cli;
pub mod command;
pub mod context;
pub mod deployment;
pub mod error;
pub mod evaluation;
pub mod fleet;
pub mod guard;
pub mod interrupt;
pub mod login;
pub mod naming;
pub mod outfile;
pub mod outlink;
pub mod plan;
pub mod records;
pub mod releasing;
pub mod remote;
pub mod resolver;
pub mod saved_plan;
#[cfg(test)]
mod testing;
pub mod ui;
