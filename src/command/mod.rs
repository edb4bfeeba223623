//! One file a subcommand: its options, and a function that calls the rest and prints.

pub mod build;
pub mod check;
pub mod completions;
pub mod diff;
pub mod gc;
pub mod init;
pub mod store;

use crate::cli::Command;
use crate::context::Context;
use crate::error::CommandError;

/// Runs a command.
pub fn run(context: &Context, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Build(args) => build::run(context, args),
        Command::Diff(args) => diff::run(context, args),
        Command::Gc(args) => gc::run(context, args),
        Command::Store(args) => store::run(context, args),
        Command::Completions(args) => completions::run(context, args),
        _ => Err(CommandError::usage("this command needs the part of batou that talks to hosts")),
    }
}
