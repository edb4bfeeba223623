//! The program that runs on hosts: [`batou_agent`] on standard input and output.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(u8::try_from(batou_agent::serve(std::io::stdin(), std::io::stdout())).unwrap_or(1))
}
