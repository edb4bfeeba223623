//! One file for each subcommand: its options, and a function that calls the rest and prints.

pub mod build;
pub mod check;
pub mod completions;
pub mod diff;
pub mod exec;
pub mod explain;
pub mod facts;
pub mod gc;
pub mod history;
pub mod init;
pub mod plan;
pub mod retire;
pub mod rollback;
pub mod status;
pub mod store;
pub mod switch;
pub mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;

/// What batou does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new project that works at once
    Init(init::Args),
    /// Evaluate environments and show every mistake; needs no network
    Check(check::Args),
    /// Show the attributes of a component on a host, and where each value is set
    Explain(explain::Args),
    /// Build environments into the local store and link the results below result/
    Build(build::Args),
    /// Show what a switch would change on the hosts, and why
    Plan(plan::Args),
    /// Release an environment to its hosts
    #[command(visible_alias = "deploy")]
    Switch(switch::Args),
    /// Restore the previous release, or the one named with --to
    Rollback(rollback::Args),
    /// Show what each host has
    Status(status::Args),
    /// Show the releases of an environment
    History(history::Args),
    /// Show what differs between two environments or built releases
    Diff(diff::Args),
    /// Check the files and steps of every host, and report what is not as released
    Verify(verify::Args),
    /// Remove from a host what batou made there
    Retire(retire::Args),
    /// Run a command on an environment's hosts
    Exec(exec::Args),
    /// Ask hosts for the facts that batou.toml declares, and write them to facts.lock
    Facts(facts::Args),
    /// Remove what nobody needs any more from the local store
    Gc(gc::Args),
    /// Look into the local store, check it, move releases between stores
    Store(store::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Serve a controller over standard input and output
    #[command(hide = true)]
    Agent,
    /// Evaluate an environment for the batou that started this one
    #[command(hide = true)]
    Evaluate,
}

impl Command {
    /// Whether the exit status is about what was done or found on hosts. It then stays the same even if the output cannot
    /// be written.
    pub fn acts_on_hosts(&self) -> bool {
        match self {
            Command::Switch(args) => !args.dry_run,
            Command::Rollback(_) | Command::Retire(_) | Command::Verify(_) | Command::Exec(_) => true,
            _ => false,
        }
    }
}

/// Runs a command; `whole` is the command line that it is part of.
pub fn run(context: &Context, command: &Command, whole: fn() -> clap::Command) -> Result<(), CommandError> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Build(args) => build::run(context, args),
        Command::Diff(args) => diff::run(context, args),
        Command::Gc(args) => gc::run(context, args),
        Command::Store(args) => store::run(context, args),
        Command::Completions(args) => completions::run(args, whole()),
        Command::Plan(args) => plan::run(context, args),
        Command::Switch(args) => switch::run(context, args),
        Command::Rollback(args) => rollback::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::History(args) => history::run(context, args),
        Command::Verify(args) => verify::run(context, args),
        Command::Retire(args) => retire::run(context, args),
        Command::Exec(args) => exec::run(context, args),
        Command::Explain(args) => explain::run(context, args),
        Command::Facts(args) => facts::run(context, args),
        Command::Agent | Command::Evaluate => {
            Err(CommandError::usage("a process that serves another is started before anything else"))
        }
    }
}
