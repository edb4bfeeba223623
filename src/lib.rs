//! The command line of batou, and the agent it starts on hosts.

pub mod agent;
pub mod protocol;
pub mod release;
