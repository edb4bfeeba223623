//! The command line of batou, and the agent it starts on hosts.

pub mod protocol;
pub mod release;
