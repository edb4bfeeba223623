//! `batou store`: looks into the local store, checks it, moves releases between stores.

mod inspect;
mod transfer;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;

/// Look into the local store, check it, move releases between stores.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with the local store.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// List the built releases, what one consists of, or the files of an artifact
    #[command(after_help = "\
Examples:
  batou store ls                the built releases of all projects
  batou store ls 3f9a01c2       the artifacts of a release, or the files of an artifact")]
    Ls {
        /// A release or artifact: the beginning of its id, or the artifact's path, also below result/
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Print a file of an artifact
    #[command(after_help = "\
Example:
  batou store cat 88e1f00d nginx.conf")]
    Cat {
        /// The artifact: the beginning of its id, or its path, which may be a link below result/
        #[arg(value_name = "ARTIFACT")]
        artifact: String,
        /// The file's path in it
        #[arg(value_name = "FILE")]
        path: String,
    },
    /// Check every object, and find what is damaged, missing or foreign
    #[command(after_help = "\
Examples:
  batou store verify
  batou store verify --repair                            drop what is damaged
  batou store verify --repair --from /mnt/other/store    fetch it anew
  batou store verify --repair --from release.tar.zst")]
    Verify {
        /// Fetch damaged and missing objects anew, or drop what needs them: the next build makes it again
        #[arg(long)]
        repair: bool,
        /// Another store's folder, or an exported release
        #[arg(long, value_name = "PATH", requires = "repair")]
        from: Option<PathBuf>,
    },
    /// Write an environment's release into one file, for machines without a network
    #[command(after_help = "\
The environment is built first. Its name may also be the id of a built release.

Example:
  batou store export prod -o prod.tar.zst")]
    Export {
        /// The environment, or a built release
        #[arg(value_name = "ENV")]
        environment: String,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Read an exported release into the local store
    Import {
        /// The file that `batou store export` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Runs the action.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    match &args.action {
        Action::Ls { id: None } => inspect::releases(context),
        Action::Ls { id: Some(id) } => inspect::content(context, id),
        Action::Cat { artifact, path } => inspect::cat(context, artifact, path),
        Action::Verify { repair, from } => verify::run(context, *repair, from.as_deref()),
        Action::Export { environment, output } => transfer::export(context, environment, output),
        Action::Import { file } => transfer::import(context, file),
    }
}
