//! `batou completions`: a shell's completion script.

use clap_complete::Shell;

use crate::error::CommandError;
use crate::ui::Ui;

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
pub fn run(args: &Args, mut whole: clap::Command) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut whole, "batou", &mut script);
    let printed = Ui::raw(&mut &script[..]);
    printed.map_err(|error| CommandError::failed("the script could not be printed").because(error))
}
