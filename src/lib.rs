//! The command line of batou, and the agent it starts on hosts.

pub mod archive;
pub mod build;
pub mod cli;
pub mod command;
pub mod context;
pub mod error;
pub mod guard;
pub mod login;
pub mod outlink;
pub mod plan;
pub mod protocol;
pub mod records;
pub mod release;
pub mod resolver;
pub mod saved_plan;
#[cfg(test)]
mod testing;
pub mod ui;
