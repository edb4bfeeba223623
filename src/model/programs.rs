//! The programs that the steps of the model's releases run.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use batou_system::simulation::{mark, others_beside};
use batou_system::{clock, fs};

/// How a mark begins that tells of a command which started while another one was running.
pub(super) const BESIDE: &str = "runs beside another one";
/// How long a command has run when its agent is sure to have taken note of it.
const NOTICED: Duration = Duration::from_millis(500);

/// What a command does. Its last word is a text for this shell: instructions between semicolons.
pub(super) fn program(command: &Command) -> Box<dyn FnOnce() -> i32 + Send> {
    let text = command.get_args().last().and_then(|text| text.to_str()).unwrap_or_default().to_owned();
    let folder = command.get_current_dir().map(PathBuf::from).unwrap_or_default();
    Box::new(move || {
        let component =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What only looks may run at any time.
        let tell = |what: &str| {
            if !text.starts_with("is ") {
                mark(&format!("{what} {component}: {text}"));
            }
        };
        if others_beside().into_iter().any(|together| together > NOTICED) {
            tell(BESIDE);
        }
        tell("runs");
        let statuses = text.split(';').map(|instruction| run(instruction.trim(), &folder));
        let status = { statuses }.find(|status| *status != 0).unwrap_or(0);
        tell(if status == 0 { "ran" } else { "failed" });
        status
    })
}

fn run(instruction: &str, folder: &std::path::Path) -> i32 {
    let words: Vec<_> = instruction.split(' ').collect();
    let done = match words[..] {
        ["put", value] => fs::write(folder.join("value"), value).is_ok(),
        ["is", value] => fs::read_to_string(folder.join("value")).is_ok_and(|found| found == value),
        ["sleep", seconds] => {
            clock::sleep(Duration::from_secs(seconds.parse().unwrap_or(0)));
            true
        }
        _ => false,
    };
    i32::from(!done)
}
