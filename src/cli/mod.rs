//! The command line's shape. Its texts are the reference that users read first.

pub mod options;

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{ArgAction, Args, Parser};

use crate::command::Command;
use crate::ui::Verbosity;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Builds the configuration of services and releases it to their hosts, all or nothing.
#[derive(Debug, Parser)]
#[command(
    name = "batou",
    version,
    long_version = concat!(env!("CARGO_PKG_VERSION"), "\nagents within: ", env!("BATOU_CARRIED")),
    styles = STYLES,
    max_term_width = 100,
    propagate_version = false,
    after_help = "\
Exit status:
  0  done
  1  failed; nothing changed, or every host went back
  2  bad use or bad input; nothing was done
  3  hosts are left in differing states

`batou COMMAND --help` tells more about a command, with examples."
)]
pub struct Cli {
    /// Options that every command has.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command has.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The project's folder [default: the nearest one with a batou.toml, from here upwards]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Print one JSON object a line, errors included, on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Print more; twice: even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl Global {
    /// How output is wanted.
    pub fn output(&self) -> Verbosity {
        Verbosity { json: self.json, quiet: self.quiet, verbose: self.verbose }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn deploy_is_switch() {
        let cli = Cli::try_parse_from(["batou", "deploy", "prod", "--skip", "a", "--skip", "b"]).unwrap();
        let Command::Switch(args) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(args.environment, "prod");
        assert_eq!(args.leave_out.skip, ["a", "b"]);
        assert_eq!(args.locking.lock_wait, 300);
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = Cli::try_parse_from(["batou", "check", "--json", "-vv", "--project", "/p"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.verbose, 2);
        assert_eq!(cli.global.project.as_deref(), Some(std::path::Path::new("/p")));
    }

    #[test]
    fn a_command_for_hosts_keeps_its_own_options() {
        let cli = Cli::try_parse_from(["batou", "exec", "prod", "--host", "h", "--", "ls", "-l", "--json"])
            .unwrap();
        assert!(!cli.global.json);
        let Command::Exec(args) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(args.command, ["ls", "-l", "--json"]);
    }

    #[test]
    fn bad_use_is_status_2() {
        for line in
            [&["batou"][..], &["batou", "swich"], &["batou", "switch"], &["batou", "check", "-q", "-v"]]
        {
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
