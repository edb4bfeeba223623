//! The command line of batou, and the agent it starts on hosts.

pub mod archive;
pub mod build;
pub mod cli;
pub mod command;
pub mod context;
pub mod deployment;
pub mod error;
pub mod fleet;
pub mod guard;
pub mod login;
pub mod objects;
pub mod outlink;
pub mod plan;
pub mod protocol;
pub mod records;
pub mod release;
pub mod releasing;
pub mod remote;
pub mod resolver;
pub mod saved_plan;
pub mod ui;
