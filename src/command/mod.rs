//! One file a subcommand: its options, and a function that calls the rest and prints.

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

/// Runs what talks to hosts to its end.
fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::failed("cannot start").because(error))?;
    let done = runtime.block_on(work);
    // Hosts that are still being called are not waited for: nobody wants to know any more.
    runtime.shutdown_background();
    done
}
