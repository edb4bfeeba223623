//! The command line of batou, and the release over many hosts.
//!
//! The modules, in the order in which data flows through them: [`cli`] and [`context`] begin a command;
//! [`evaluation`] determines what every host is to have; [`build`] makes a [`batou_release::Release`] of it;
//! [`plan`] shows what that would change; [`deployment`] and [`fleet`] carry it out over [`remote`] agents that
//! speak the [`batou_agent::protocol`].

// This is a program: only `main` can be reached from outside, and `pub` marks what a module offers to the
// others.
#![allow(unreachable_pub)]
// Its documentation is for those who work on it, and includes private items (`make doc`).
#![allow(rustdoc::private_intra_doc_links)]

mod archive;
mod build;
mod cli;
mod command;
mod context;
mod deployment;
mod error;
mod evaluation;
mod fleet;
mod guard;
mod interrupt;
mod login;
mod mending;
#[cfg(test)]
mod model;
mod naming;
mod outfile;
mod outlink;
mod plan;
mod records;
mod remote;
mod resolver;
mod saved_plan;
mod store_place;
#[cfg(test)]
mod testing;
mod ui;
mod waits;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::Cli;
use command::Command;
use context::Context;
use error::CommandError;
use ui::Ui;

/// The program: reads the command line, runs the command, reports what failed, and ends with the exit status.
pub fn main() -> ExitCode {
    match batou_system::limits::with_enough_stack(begin) {
        Begun::Ended(status) => status,
        // An agent needs little stack. It does its work on the first thread, as the program on a host does.
        Begun::Agent => {
            ExitCode::from(u8::try_from(batou_agent::serve(std::io::stdin(), std::io::stdout())).unwrap_or(1))
        }
    }
}

/// What a command line comes to.
enum Begun {
    /// What it asked for was done, or failed.
    Ended(ExitCode),
    /// This program is to be an agent.
    Agent,
}

fn begin() -> Begun {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Agent, .. }) => Begun::Agent,
        Ok(cli) => Begun::Ended(run(&cli)),
        Err(usage) => {
            // What follows `--` is not for batou.
            let mut words = std::env::args_os().take_while(|word| word != "--");
            Begun::Ended(ui::report::usage(&usage, words.any(|word| word == "--json")))
        }
    }
}

fn run(cli: &Cli) -> ExitCode {
    let threads = batou_system::limits::outlive_large_files().and_then(|()| batou_system::thread::start());
    if matches!((&cli.command, &threads), (Command::Evaluate, Ok(()))) {
        return ExitCode::from(evaluation::serve(std::io::stdin(), std::io::stdout()));
    }
    let threads = threads
        .map_err(|error| CommandError::failed(batou_system::limits::no_thread("this machine", &error)));
    let context = Context::new(cli.global.project.clone(), Ui::new(cli.global.output()));
    let done = threads.and_then(|()| command::run(&context, &cli.command, Cli::command));
    let done = done.map_err(CommandError::or_file_limit);
    interrupt::yield_to_death();
    let status = match &done {
        Ok(()) => 0,
        Err(error) => {
            ui::report::report(&context.ui, error);
            error.exit_code()
        }
    };
    match context.ui.finish() {
        Ok(()) => ExitCode::from(status),
        // The exit status tells what was done on hosts, even if the output could not be written.
        Err(unwritten) => {
            ui::report::unwritten(&context.ui, &unwritten, done.as_ref().err());
            let is_failure = status == 0 && !cli.command.acts_on_hosts();
            ExitCode::from(if is_failure { unwritten.exit_code() } else { status })
        }
    }
}
