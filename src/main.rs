//! The `batou` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    batou::main()
}
