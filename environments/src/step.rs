//! Steps: commands that a host runs after the switch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Problems};
use crate::file::{Data, Reader, Table};
use crate::source::{At, Text};

/// A step whose every text is rendered.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Unique within its component.
    pub name: String,
    /// Succeeds when there is nothing to do.
    pub verify: Option<String>,
    /// Does it.
    pub update: Option<String>,
    /// Undoes it when the release is rolled back.
    pub revert: Option<String>,
    /// A rollback does not pass it.
    pub irreversible: bool,
    /// Seconds that each command may take.
    pub timeout: u64,
    /// Where the commands run; by default the component's state folder.
    pub directory: Option<String>,
    /// Added to the commands' environment.
    pub environment: BTreeMap<String, String>,
}

/// `[[step]]`
#[derive(Debug)]
pub(crate) struct StepDeclaration {
    pub(crate) name: String,
    pub(crate) verify: Option<Text>,
    pub(crate) update: Option<Text>,
    pub(crate) revert: Option<Text>,
    pub(crate) irreversible: bool,
    pub(crate) timeout: u64,
    pub(crate) directory: Option<Text>,
    pub(crate) environment: BTreeMap<String, Text>,
}

impl StepDeclaration {
    /// The step with every text replaced by what `render` makes of it; `None` if any of them fails.
    pub(crate) fn render(&self, mut render: impl FnMut(&Text) -> Option<String>) -> Option<Step> {
        let mut failed = false;
        let mut optional = |text: &Option<Text>| {
            let rendered = render(text.as_ref()?);
            failed |= rendered.is_none();
            rendered
        };
        let verify = optional(&self.verify);
        let update = optional(&self.update);
        let revert = optional(&self.revert);
        let directory = optional(&self.directory);
        let mut environment = BTreeMap::new();
        for (name, text) in &self.environment {
            match render(text) {
                Some(value) => drop(environment.insert(name.clone(), value)),
                None => failed = true,
            }
        }
        (!failed).then(|| Step {
            name: self.name.clone(),
            verify,
            update,
            revert,
            irreversible: self.irreversible,
            timeout: self.timeout,
            directory,
            environment,
        })
    }
}

/// Checks the steps of a component.
pub(crate) fn check(tables: &[(&Table, &At)], problems: &mut Problems) -> Vec<StepDeclaration> {
    let mut steps: Vec<StepDeclaration> = Vec::new();
    for (table, at) in tables {
        let Some((step, name)) = one(table, at, problems) else { continue };
        if steps.iter().any(|known| known.name == step.name) {
            let message = format!("the step `{}` is declared twice", step.name);
            problems.push(Diagnostic::error(message).at(&name).help("give each step a name of its own"));
            continue;
        }
        steps.push(step);
    }
    steps
}

fn one(table: &Table, at: &At, problems: &mut Problems) -> Option<(StepDeclaration, At)> {
    let mut reader = Reader::new(table, at, "[[step]]", problems);
    let name = reader.required("name");
    let verify = reader.text("verify");
    let update = reader.text("update");
    let revert = reader.text("revert");
    let irreversible = reader.boolean("irreversible").unwrap_or(false);
    let timeout = timeout(&mut reader);
    let directory = reader.text("directory");
    let environment = environment(&mut reader);
    reader.later(&["user", "after"]);
    let has_commands = reader.has("verify") || reader.has("update");
    if !has_commands {
        let message = "a step needs `update`, `verify` or both";
        reader.problems.push(Diagnostic::error(message).at(at).help("add update = \"COMMAND\""));
    }
    reader.finish();
    let name = name?;
    if name.value.trim().is_empty() || name.value.len() > 255 || name.value.chars().any(char::is_control) {
        let message = "a step's name must be one line of at most 255 bytes, without control characters";
        problems.push(Diagnostic::error(message).at(&name.at));
        return None;
    }
    let step = StepDeclaration {
        name: name.value,
        verify,
        update,
        revert,
        irreversible,
        timeout,
        directory,
        environment,
    };
    Some((step, name.at))
}

/// Seconds as a number, or as "30s", "5m", "1h".
fn timeout(reader: &mut Reader<'_, '_>) -> u64 {
    const DEFAULT: u64 = 300;
    const MOST: u64 = 7 * 24 * 3600;
    let Some(node) = reader.node("timeout") else { return DEFAULT };
    let seconds = match &node.data {
        Data::Integer(number) => u64::try_from(*number).ok(),
        Data::String(text) => duration(text),
        _ => None,
    };
    let allowed = seconds.filter(|seconds| (1..=MOST).contains(seconds));
    if allowed.is_none() {
        let message = "`timeout` must be a number of seconds, or a text like \"30s\", \"5m\" or \"1h\"";
        reader
            .problems
            .push(Diagnostic::error(message).at(&node.at).help("at least one second, at most a week"));
    }
    allowed.unwrap_or(DEFAULT)
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

fn environment(reader: &mut Reader<'_, '_>) -> BTreeMap<String, Text> {
    let mut variables = BTreeMap::new();
    let Some((table, _)) = reader.table("environment") else { return variables };
    for (name, member) in table {
        if !crate::name::is_identifier(name) {
            let message = format!("`{name}` is not the name of an environment variable");
            reader.problems.push(Diagnostic::error(message).at(&member.key));
            continue;
        }
        match crate::file::text(&member.node) {
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
