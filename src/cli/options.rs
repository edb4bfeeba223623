//! Options that several commands have.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// How long to wait for another deployer unless told otherwise.
pub const LOCK_WAIT: Duration = Duration::from_mins(5);

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Diff {
    /// Components only
    None,
    /// Components and files
    Short,
    /// Components, files, and what changes in them
    #[default]
    Full,
}

/// Hosts that are left out on purpose.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Hosts")]
pub struct LeaveOut {
    /// Leave this host out; a later switch catches it up [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub skip: Vec<String>,
    /// Leave out every host that cannot be reached
    #[arg(long)]
    pub skip_unreachable: bool,
    /// Accept the keys of hosts that ssh does not know yet
    #[arg(long)]
    pub accept_new: bool,
}

/// How the hosts' locks are taken.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Safety")]
pub struct Locking {
    /// How long to wait for another deployer to finish
    #[arg(long, value_name = "SECONDS", default_value_t = LOCK_WAIT.as_secs())]
    pub lock_wait: u64,
    /// Confirm all at once: a protected environment, a release number far beyond the others', retiring a host that is not gone
    #[arg(short, long)]
    pub yes: bool,
}

impl Locking {
    /// How long to wait for another deployer.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.lock_wait)
    }
}
