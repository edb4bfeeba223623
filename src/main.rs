//! The program: reads the command line, runs the command, reports what failed, and ends with the exit status.

use std::process::ExitCode;

use batou::cli::{Cli, Command};
use batou::command;
use batou::context::Context;
use batou::evaluation;
use batou::interrupt;
use batou::ui::{self, Ui};
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // What follows `--` is not for batou.
            let mut words = std::env::args_os().take_while(|word| word != "--");
            return ui::usage(&usage, words.any(|word| word == "--json"));
        }
    };
    if matches!(cli.command, Command::Agent) {
        return ExitCode::from(
            u8::try_from(batou_agent::serve(std::io::stdin(), std::io::stdout())).unwrap_or(1),
        );
    }
    if matches!(cli.command, Command::Evaluate) {
        return ExitCode::from(evaluation::serve(std::io::stdin(), std::io::stdout()));
    }
    let context = Context::new(&cli.global, Ui::new(&cli.global.output()));
    let done = command::run(&context, &cli.command);
    interrupt::yield_to_death();
    match done.and_then(|()| context.ui.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::report(&context.ui, &error);
            ExitCode::from(error.exit_code())
        }
    }
}
