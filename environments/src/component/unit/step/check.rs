//! `[[step]]`, checked.

use std::collections::BTreeMap;

use batou_release::STEP_TIMEOUT;

use super::declaration::{NewerDeclaration, ScriptDeclaration, StepDeclaration, Verify};
use crate::component::item::Item;
use crate::component::path;
use crate::component::unit::Trigger;
use crate::file::{Data, Table, TableReader, text};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};

/// Checks the steps of a component.
pub(crate) fn check(item: &Item, problems: &mut Problems) -> Option<(StepDeclaration, At)> {
    let mut reader = item.reader(problems);
    let name = reader.required("name");
    let verify = verify(&mut reader);
    let update = reader.text("update");
    let script = script(&mut reader);
    let step = StepDeclaration {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        verify,
        update,
        script,
        revert: reader.text("revert"),
        irreversible: reader.boolean("irreversible").unwrap_or(false),
        timeout: timeout(&mut reader),
        directory: reader.text("directory"),
        environment: environment(&mut reader),
        creates: reader.text("creates"),
        unless: reader.text("unless"),
        only_if_path: reader.text("only_if_path"),
        triggers: triggers(&mut reader, "triggers"),
    };
    reader.later(&["user", "after"]);
    check_commands(&mut reader);
    reader.finish();
    let name = name?;
    if name.value.trim().is_empty() || name.value.len() > 255 || name.value.chars().any(char::is_control) {
        let message = "a step's name must be one line of at most 255 bytes, without control characters";
        problems.push(Diagnostic::error(message).at(&name.at));
        return None;
    }
    if crate::template::is_template(&name.value) {
        let message = format!("the step's name `{}` looks like a template; a name cannot be one", name.value);
        problems.push(Diagnostic::error(message).at(&name.at));
        return None;
    }
    Some((step, name.at))
}

/// What a step must have, and what does not go together.
fn check_commands(reader: &mut TableReader<'_, '_>) {
    let does = reader.has("update") || reader.has("script");
    // A misspelt one is told as that.
    if !does && !reader.has("verify") && !reader.misspells(&["update", "script", "verify"]) {
        let message = "a step needs `update`, `verify` or both";
        reader.problems.push(Diagnostic::error(message).at(reader.at()).help("add update = \"COMMAND\""));
    }
    if reader.has("update") && reader.has("script") {
        let message = "a step can have `update` or `script`, not both";
        let help = "drop one of the two, or make two steps";
        reader.problems.push(Diagnostic::error(message).at(reader.at()).help(help));
    }
    for key in ["creates", "unless"] {
        if reader.has(key) && !does {
            let message = format!("`{key}` applies to `update`, and the step has none");
            let help = "add update = \"COMMAND\", or use `verify`";
            reader.problems.push(Diagnostic::error(message).at(reader.at()).help(help));
        }
    }
}

/// A command, or a table of what must hold.
fn verify(reader: &mut TableReader<'_, '_>) -> Verify {
    let Some(node) = reader.node("verify") else { return Verify::default() };
    if let Some(command) = text(node) {
        return Verify { command: Some(command), ..Verify::default() };
    }
    match &node.data {
        Data::Table(table) => verify_table(table, &node.at, reader.problems),
        other => {
            let command = text(node);
            if command.is_none() {
                reader.wrong::<()>("verify", "a command, or a table of what must hold", other, &node.at);
            }
            Verify { command, ..Verify::default() }
        }
    }
}

fn verify_table(table: &Table, at: &At, problems: &mut Problems) -> Verify {
    let mut reader = TableReader::new(table, at, "`verify`", problems);
    let verify = Verify {
        command: reader.text("command"),
        script: script(&mut reader),
        path: reader.text("path"),
        newer: newer(&mut reader),
        unchanged: triggers(&mut reader, "unchanged"),
    };
    let known = ["command", "script", "path", "newer", "unchanged"];
    if !known.iter().any(|key| reader.has(key)) && table.is_empty() {
        let message = "`verify` is empty";
        let help = "the keys are command, newer, path, script, unchanged";
        reader.problems.push(Diagnostic::error(message).at(at).help(help));
    }
    reader.finish();
    verify
}

fn newer(reader: &mut TableReader<'_, '_>) -> Option<NewerDeclaration> {
    let path = reader.text("newer");
    let than = reader.texts("than");
    match (reader.has("newer"), reader.has("than")) {
        (true, false) => {
            let message = "`newer` needs `than`: the files that it must not be older than";
            reader.problems.push(Diagnostic::error(message).at(reader.at()).help("add than = [\"PATH\"]"));
        }
        (false, true) => {
            let message = "`than` needs `newer`: the file that must not be older";
            reader.problems.push(Diagnostic::error(message).at(reader.at()).help("add newer = \"PATH\""));
        }
        _ => {}
    }
    Some(NewerDeclaration { path: path?, than })
}

/// `script` with its `arguments`.
fn script(reader: &mut TableReader<'_, '_>) -> Option<ScriptDeclaration> {
    let text = reader.text("script");
    let arguments = reader.texts("arguments");
    if reader.has("arguments") && !reader.has("script") {
        let message = "`arguments` apply to `script`, and there is none";
        reader.problems.push(
            Diagnostic::error(message)
                .at(reader.at())
                .help("write the arguments of a command into the command"),
        );
    }
    let text = text?;
    match path::check(&text.value) {
        Ok(path) => Some(ScriptDeclaration { path, at: text.at, arguments }),
        Err(error) => {
            reader.problems.push(Diagnostic::error(error.to_string()).at(&text.at));
            None
        }
    }
}

fn triggers(reader: &mut TableReader<'_, '_>, key: &'static str) -> Vec<Trigger> {
    let texts = reader.texts(key);
    texts.into_iter().filter_map(|text| Trigger::new(text, reader.problems)).collect()
}

/// Seconds as a number, or as "30s", "5m", "1h".
fn timeout(reader: &mut TableReader<'_, '_>) -> u64 {
    const MOST: u64 = 7 * 24 * 3600;
    let Some(node) = reader.node("timeout") else { return STEP_TIMEOUT };
    let seconds = match &node.data {
        Data::Integer(number) => u64::try_from(*number).ok(),
        Data::String(text) => duration(text),
        _ => None,
    };
    let allowed = seconds.filter(|seconds| (1..=MOST).contains(seconds));
    if allowed.is_none() {
        let message = "`timeout` must be a number of seconds, or a string like \"30s\", \"5m\" or \"1h\"";
        reader
            .problems
            .push(Diagnostic::error(message).at(&node.at).help("at least one second, at most a week"));
    }
    allowed.unwrap_or(STEP_TIMEOUT)
}

fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.len() - text.chars().next_back()?.len_utf8());
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return text.parse().ok(),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}

fn environment(reader: &mut TableReader<'_, '_>) -> BTreeMap<String, Text> {
    let mut variables = BTreeMap::new();
    let Some((table, _)) = reader.table("environment") else { return variables };
    for (name, member) in table {
        if !crate::text::name::is_identifier(name) {
            let message = format!("`{name}` is not the name of an environment variable");
            reader.problems.push(Diagnostic::error(message).at(&member.key));
            continue;
        }
        match text(&member.node) {
            Some(text) => drop(variables.insert(name.clone(), text)),
            None => drop(reader.wrong::<()>(name, "a string", &member.node.data, &member.node.at)),
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("30s"), Some(30));
        assert_eq!(duration("5m"), Some(300));
        assert_eq!(duration(" 2h "), Some(7200));
        assert_eq!(duration("12"), Some(12));
        for bad in ["", "s", "-1s", "1d", "99999999999999999999h", "ä"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
