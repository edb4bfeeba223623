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

use std::collections::BTreeSet;

use crate::cli::Command;
use crate::context::Context;
use crate::error::CommandError;
use crate::ui::visible_name;

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

/// Refuses names given on the command line that are none of the known ones, with the nearest one as a hint.
pub fn known(what: &str, wanted: &[String], known: &BTreeSet<&str>) -> Result<(), CommandError> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(name.as_str())) else { return Ok(()) };
    let likeness = |name: &str| strsim::jaro_winkler(name, unknown);
    let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let error = CommandError::input(format!("there is no {what} {}", visible_name(unknown)));
    Err(match nearest {
        Some(nearest) => error.hint(format!("the nearest name is {}", visible_name(nearest))),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_nearest_one() {
        let hosts = BTreeSet::from(["db01", "web01"]);
        assert!(known("host", &["web01".to_owned()], &hosts).is_ok());
        let error = known("host", &["db01".to_owned(), "wbe01".to_owned()], &hosts).err();
        let error = error.map(|error| (error.to_string(), error.hints().to_vec()));
        assert_eq!(
            error,
            Some(("there is no host wbe01".to_owned(), vec!["the nearest name is web01".to_owned()]))
        );
    }
}
