//! Commands and their outputs in the documentation, and what really happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::markdown::Piece;
use crate::common::{Output, Sandbox, validate};

/// Whoever runs the tests; `ann` in the documentation.
static USER: LazyLock<String> = LazyLock::new(|| {
    Output::of(std::process::Command::new("id").arg("-un")).success().stdout.trim().to_owned()
});

/// The chapters that are replayed from beginning to end, in an empty folder, and how many commands they have at least.
/// Other chapters are replayed section by section, each in its project.
pub(super) const REPLAYED: [(&str, usize); 3] =
    [("README.md", 15), ("docs/src/guide/first-project.md", 5), ("docs/src/reference/json.md", 15)];

/// A command of a page, and what the page says it prints.
pub(super) struct Command {
    line: usize,
    text: String,
    shown: String,
}

/// The commands in `console` blocks: lines after `$ `, each followed by its output.
pub(super) fn commands(pieces: &[Piece], place: &str) -> Vec<Command> {
    let mut commands = Vec::<Command>::new();
    for piece in pieces {
        let Piece::Block { info, text, line, .. } = piece else { continue };
        if info != "console" {
            continue;
        }
        for (number, text) in text.lines().enumerate() {
            match (text.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => {
                    let (text, shown) = (command.to_owned(), String::new());
                    commands.push(Command { line: line + number + 1, text, shown });
                }
                (None, Some(command)) => command.shown.extend([text, "\n"]),
                (None, None) => panic!("{place}:{line}: output without a command"),
            }
        }
    }
    commands
}

/// What differs between a page and what happens.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) mistakes: Vec<String>,
    /// Ids of the page, and what they are.
    pub(super) ids: BTreeMap<String, String>,
}

/// Runs the commands one after the other in a folder, and says where the outcome is another. Those that show an error
/// must fail, all others must not.
pub(super) fn replay(sandbox: &Sandbox, commands: &[Command]) -> Differences {
    let mut folder = sandbox.project();
    let mut differences = Differences::default();
    let mistakes = &mut differences.mistakes;
    for Command { line, text, shown } in commands {
        if let Some(name) = text.strip_prefix("cd ") {
            folder.push(name);
            continue;
        }
        let output = shell(sandbox, &folder, text);
        let is_error = |line: &str| line.starts_with("error: ") || line.contains(r#""type":"error""#);
        let fails = shown.lines().any(is_error);
        if text.contains("--json") {
            let wrong = output.stdout.lines().filter_map(|line| validate(line).err());
            mistakes.extend(wrong.map(|wrong| format!("{line}: {text}\n{wrong}")));
        }
        let (expected, found) = (masked(shown), masked(&output.stdout));
        if (output.status == Some(0)) == fails || expected != found {
            let status = output.status;
            mistakes.push(format!(
                "{line}: {text}\n--- the page says\n{shown}--- status {status:?}\n{}",
                output.stdout
            ));
        }
        let pairs = ids(shown).into_iter().zip(ids(&output.stdout)).filter(|(shown, found)| shown != found);
        differences.ids.extend(pairs);
    }
    differences
}

/// The ids in a text, which are the same on every machine.
fn ids(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_id = |word: &&str| {
        let letters = word.bytes().any(|byte| byte.is_ascii_lowercase());
        word.len() >= 12 && letters && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    words.filter(is_id).map(str::to_owned).collect()
}

fn shell(sandbox: &Sandbox, folder: &Path, line: &str) -> Output {
    let mut command = sandbox.program("sh");
    let batou = PathBuf::from(env!("CARGO_BIN_EXE_batou"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", batou.parent().unwrap().display()));
    Output::of(command.current_dir(folder).args(["-c", &format!("exec 2>&1; {line}")]))
}

/// A text in which whatever differs from run to run or from version to version has the same form: ids, times, paths, people, free space. The width
/// of gaps does not count.
fn masked(text: &str) -> String {
    text.lines().map(|line| masked_line(line) + "\n").collect()
}

fn masked_line(line: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_./@:-".contains(c);
    let mut words: Vec<String> = Vec::new();
    let mut inside = false;
    for character in line.chars() {
        if is_word(character) && inside {
            words.last_mut().unwrap().push(character);
        } else if character != ' ' || words.last().is_none_or(|last| last != " ") {
            words.push(character.into());
        }
        inside = is_word(character);
    }
    let mut words: Vec<_> = words.iter().map(|word| masked_word(word)).collect();
    // "64.3 GiB free", "2 min ago"
    for end in 4..words.len() {
        if ["free", "ago"].contains(&words[end].as_str()) {
            words[end - 4] = "N".into();
            words[end - 2] = "UNIT".into();
        }
    }
    words.concat()
}

fn masked_word(word: &str) -> String {
    let bare = word.trim_start_matches(':').trim_end_matches([':', '.']);
    let (first, rest) = word.split_once(bare).unwrap_or_default();
    let all = |allowed: fn(char) -> bool| bare.chars().all(allowed);
    let mask = if bare.starts_with('/') && bare.len() > 1 {
        return "PATH".into(); // with its full stop: a path may end in one
    } else if bare.contains('@') && !bare.starts_with('@') {
        "WHO"
    } else if bare == "ann" || bare == *USER {
        "USER"
    } else if bare.len() >= 10 && bare.starts_with("20") && bare.as_bytes()[4] == b'-' {
        "DATE"
    } else if bare.len() == 9 && bare.ends_with('Z') && all(|c| c.is_ascii_digit() || c == ':' || c == 'Z') {
        "TIME"
    } else if bare.len() >= 12 && all(|c| c.is_ascii_hexdigit()) {
        "ID"
    } else if bare.len() >= 7 && all(|c| c.is_ascii_digit()) {
        "N"
    } else {
        bare
    };
    format!("{first}{mask}{rest}")
}

/// The calls of batou in a line of code: the words of the command and its options.
pub(super) fn calls(code: &str) -> Vec<(String, Vec<String>)> {
    let mut calls = Vec::new();
    for (at, _) in code.match_indices("batou ") {
        if !code[..at].is_empty() && !code[..at].ends_with([' ', '`', '(']) {
            continue; // such as ./batou, which is batou 2
        }
        let ends = ["&&", "|", "||", ";", ">", "#", "--", "…"];
        let words = code[at..].split([' ', '`', ')']).skip(1).take_while(|word| !ends.contains(word));
        let words: Vec<_> = words.collect();
        let is_command = |word: &&&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
        let count = if words.first() == Some(&"store") { 2 } else { 1 };
        let command: Vec<_> = words.iter().take(count).take_while(is_command).copied().collect();
        if command.len() < count {
            continue; // a placeholder, or prose
        }
        let options = words.iter().filter(|word| word.starts_with('-'));
        let name = |word: &&str| word.split(['=', ',']).next().unwrap_or_default().to_owned();
        let command = command.join(" ").replace("deploy", "switch");
        calls.push((command, options.map(name).collect()));
    }
    calls
}
