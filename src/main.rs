//! The program of the crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    batou::main()
}
