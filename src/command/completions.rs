//! `batou completions`: a shell's completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::CommandError;

/// Print a shell's completion script.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  batou completions bash > ~/.local/share/bash-completion/completions/batou
  batou completions zsh > ~/.zfunc/_batou
  batou completions fish > ~/.config/fish/completions/batou.fish")]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "batou", &mut script);
    let printed = context.ui.raw(&mut &script[..]);
    printed.map_err(|error| CommandError::failed("the script could not be printed").because(error))
}
