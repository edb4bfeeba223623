//! The options of the commands that talk to hosts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub lock_wait: u64,
    /// Do not ask for the name of a protected environment
    #[arg(short, long)]
    pub yes: bool,
}

impl Default for Locking {
    fn default() -> Self {
        Locking { lock_wait: 300, yes: false }
    }
}

/// Show what a switch would change on the hosts, and why.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  batou plan prod
  batou plan prod --diff short
  batou plan prod -o release.plan && batou switch prod --plan release.plan")]
pub struct PlanArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Save the plan, for `batou switch --plan FILE`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How much to show
    #[arg(long, value_enum, default_value_t)]
    pub diff: Diff,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
}

/// Release an environment to its hosts.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag of its own
#[command(after_help = "\
All hosts are staged before the first one is switched. If anything fails, every host that was switched goes back to the release it had. A second switch of the same configuration does nothing.

Examples:
  batou switch prod
  batou switch prod --dry-run          show what would be done
  batou switch prod --skip web03       leave a broken host out
  batou switch prod --plan FILE        do exactly what `batou plan -o FILE` showed")]
pub struct SwitchArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
    /// Do what a saved plan says; refused where a host has moved on since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Hash every file and run every step's verify, also where nothing changed
    #[arg(long)]
    pub recheck: bool,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
    /// Release although the project's folder has changes that are not committed or not pushed, or another branch
    #[arg(long, help_heading = "Safety")]
    pub dirty: bool,
    /// How the hosts are locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// Put the previous release back, or the one named with --to.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A rollback evaluates nothing: each host gets exactly what it had. Once more goes further back.

Examples:
  batou rollback prod
  batou rollback prod --to 3f9a01c2    a release that `batou history prod` lists
  batou rollback prod --host web01     on one host only")]
pub struct RollbackArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The release to put back: the beginning of its id, or its number in the history
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST", help_heading = "Hosts")]
    pub host: Vec<String>,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
    /// Go back past irreversible steps
    #[arg(long, help_heading = "Safety")]
    pub force: bool,
    /// How the hosts are locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// Show what each host has.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
}

/// Show the releases of an environment.
#[derive(Clone, Debug, Args)]
pub struct HistoryArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host's [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
}

/// Check the files and steps of every host, and report what is not as released.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Send damaged and missing files anew
    #[arg(long)]
    pub repair: bool,
}

/// Remove from a host what batou made there.
#[derive(Clone, Debug, Args)]
pub struct RetireArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The host, which need no longer be in the environment
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Remove the components' own data (state/) too
    #[arg(long)]
    pub purge: bool,
    /// The host is gone for good: only have the others forget it
    #[arg(long, conflicts_with = "purge")]
    pub lost: bool,
    /// How the host is locked.
    #[command(flatten)]
    pub locking: Locking,
}

/// Run a command on an environment's hosts.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The command runs as the service user in the target directory, without a shell. What it prints to standard error, batou prints to its own.

Examples:
  batou exec prod -- df -h .
  batou exec prod --host web01 -- sh -c 'ls state/*'")]
pub struct ExecArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Ask hosts for the facts that batou.toml declares, and write them to facts.lock.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The facts are those in [facts] of batou.toml. The answers go to environments/ENV/facts.lock, which belongs into the repository: evaluations read that file and ask no host. What changes in it is shown. A host that cannot be asked keeps its old facts, and the exit status is 1.

Examples:
  batou facts prod
  batou facts prod --host web03        a new host
  batou facts prod --check             whether the file is still true")]
pub struct FactsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Write nothing; the exit status is 1 if the file would be another one
    #[arg(long)]
    pub check: bool,
    /// Hosts to leave out.
    #[command(flatten)]
    pub leave_out: LeaveOut,
}
