//! A man in the middle between batou and one of two hosts: every field of every reply, replaced by what it never was.
//!
//! Which fields there are is read from the replies themselves, so that a new one is tampered with as well. Whatever the
//! tampered host says: batou ends, its exit status is true of the other host, nothing that the host sent is taken for
//! batou's own words, and the next release, with nobody in the middle, succeeds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::between::{Between, HOSTS, Outcomes, try_each, verb};
use super::tries_all;
use crate::common::counted;
use crate::shop;

/// The commands whose conversations are tampered with.
const COMMANDS: &[&[&str]] = &[
    &["switch", "dev"],
    &["rollback", "dev"],
    &["plan", "dev"],
    &["status", "dev"],
    &["history", "dev"],
    &["verify", "dev"],
    &["gc", "dev"],
    &["exec", "dev", "--", "true"],
    &["facts", "dev", "--check"],
];
/// Those that change which release is in force.
const RELEASES: [&str; 2] = ["switch", "rollback"];
/// What begins a line of batou's, and must not begin one because a host said so.
const FORGED: &str = "x\nerror: forged\nhelp: forged\nwarning: forged\nforged";
/// Texts that do things to terminals: a title, a cleared screen, a line that goes back, text that runs from right to left.
const CONTROLS: &str = "\u{1b}]0;forged\u{7}\u{1b}[2J\r\u{202e}\u{8}\u{9b}31m";

/// One change of one field.
#[derive(Clone, Debug)]
struct Mutation {
    command: usize,
    /// The number of the reply in its conversation, and the verb.
    reply: usize,
    verb: String,
    /// The path to the field.
    at: Vec<Value>,
    /// What becomes of it.
    action: &'static str,
    value: Value,
}

impl Mutation {
    fn order(&self) -> Value {
        json!({"reply": self.reply, "at": self.at, "do": self.action, "value": self.value})
    }

    fn name(&self) -> String {
        let value: String = self.value.to_string().chars().take(60).collect();
        let path = self.at.iter().map(|key| key.to_string().replace('"', "")).collect::<Vec<_>>().join("/");
        let command = COMMANDS[self.command].join(" ");
        format!("{command}: reply {} ({}), /{path} {} {value}", self.reply, self.verb, self.action)
    }
}

/// Two hosts, of which one has somebody in the middle.
struct TamperedFleet(Between);

impl TamperedFleet {
    fn new() -> Self {
        let between = Between::new();
        shop::append(&between.sandbox, "batou.toml", "[facts]\nmemory = \"memory\"\n");
        between.run(&["facts", "dev"]).success();
        Self(between)
    }

    /// All mutations of the replies of a command.
    fn mutations(&mut self, command: usize) -> Vec<Mutation> {
        self.0.change();
        let mut mutations = Vec::new();
        for (reply, message) in self.0.replies(COMMANDS[command]).iter().enumerate() {
            let verb = verb(message).to_owned();
            let mut changes = Vec::new();
            for part in ["header", "lines"] {
                collect(&message[part], &mut vec![json!(part)], &mut changes);
            }
            // Lines that are no lines are nothing that could be sent.
            changes.retain(|(at, _, value)| at.len() > 1 || at[0] == "header" || value.is_array());
            let mutation = |(at, action, value)| {
                let verb = verb.clone();
                Mutation { command, reply, verb, at, action, value }
            };
            mutations.extend(changes.into_iter().map(mutation));
        }
        self.0.run(&["switch", "dev"]).success();
        mutations
    }

    /// What is wrong after a tampered conversation, if anything is.
    fn try_one(&mut self, mutation: &Mutation) -> Result<Option<i32>, String> {
        self.0.change();
        let before = self.0.in_force(HOSTS[1]);
        let command = COMMANDS[mutation.command];
        let output = self.0.run_with(command, &mutation.order());
        let fault = |text: &str| Err(format!("{}: {text}\n{output:?}", mutation.name()));
        if !matches!(output.status, Some(0..=3)) {
            return fault("it did not end by itself with a status of its own");
        }
        let text = format!("{}{}", output.stdout, output.stderr);
        if let Some(line) = text.lines().find(|line| forged(line)) {
            return fault(&format!("a host's words pass for batou's: {line:?}"));
        }
        if let Some(found) = text.chars().find(|&char| is_control(char)) {
            return fault(&format!("{found:?} is shown as it is"));
        }
        if text.contains("panicked") {
            return fault("it panicked");
        }
        let after = self.0.in_force(HOSTS[1]);
        let new = format!("{} on honest\n", self.0.release);
        let is_true = match (command[0], output.status) {
            ("switch", Some(0)) => after == new,
            ("switch", Some(3)) => after == new || after == before,
            ("rollback", Some(0 | 3)) => true,
            _ => after == before,
        };
        if !is_true {
            return fault(&format!(
                "the exit status is not true of the other host: {before:?}, then {after:?}"
            ));
        }
        if !RELEASES.contains(&command[0]) {
            return Ok(output.status);
        }
        let next = self.0.run(&["switch", "dev"]);
        let in_force = HOSTS.map(|host| self.0.in_force(host));
        let wanted = HOSTS.map(|host| format!("{} on {host}\n", self.0.release));
        if next.status != Some(0) || in_force != wanted {
            return fault(&format!("the next switch does not put it right: {in_force:?}\n{next:?}"));
        }
        let history = self.0.run(&["history", "dev"]);
        if history.status != Some(0) {
            return fault(&format!("a journal cannot be read: {history:?}"));
        }
        Ok(output.status)
    }
}

fn forged(line: &str) -> bool {
    ["error: forged", "help: forged", "warning: forged", "forged"].iter().any(|start| line.starts_with(start))
}

/// Characters that a terminal obeys.
fn is_control(char: char) -> bool {
    char.is_control() && char != '\n' || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Everything that can be done to a value and to all that is in it.
fn collect(value: &Value, at: &mut Vec<Value>, into: &mut Vec<(Vec<Value>, &'static str, Value)>) {
    let mut set = |value: Value| into.push((at.clone(), "set", value));
    let others: Vec<Value> = match value {
        Value::Null => vec![json!(5), json!({}), json!([]), json!(FORGED)],
        Value::Bool(truth) => vec![json!(!truth), json!(null), json!("true")],
        Value::Number(_) => vec![
            json!(0),
            json!(-1),
            json!(1),
            json!(1_u64 << 32),
            json!((1_u64 << 53) + 1),
            json!(u64::MAX),
            json!(1e308),
            json!(null),
            json!("1"),
        ],
        Value::String(_) => vec![
            json!(""),
            json!(FORGED),
            json!(CONTROLS),
            json!("../../../../etc/passwd"),
            json!("--accept-new; rm -rf ~"),
            json!("honest"),
            json!("a".repeat(200_000)),
            json!("0".repeat(64)),
            json!(null),
            json!(7),
        ],
        Value::Array(_) => vec![json!([]), json!([null]), json!([FORGED]), json!({}), json!(null)],
        Value::Object(_) => vec![json!({}), json!([]), json!(null), json!(FORGED)],
    };
    others.into_iter().for_each(&mut set);
    match value {
        Value::Array(items) => {
            if !items.is_empty() {
                into.push((at.clone(), "repeat", json!(10_000)));
            }
            // Of long lists, which have items of one kind, the first two are enough.
            for (index, item) in items.iter().enumerate().take(2) {
                at.push(json!(index));
                collect(item, at, into);
                at.pop();
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                at.push(json!(key));
                into.push((at.clone(), "drop", Value::Null));
                collect(field, at, into);
                at.pop();
            }
            at.push(json!("forged"));
            into.push((at.clone(), "set", json!(FORGED)));
            at.pop();
        }
        _ => {}
    }
}

/// Leaves one change of each field of each kind of reply, whatever the command: each time the same, and such that all kinds
/// of changes are among them.
fn sample(mutations: &mut Vec<Mutation>) {
    let hash = |mutation: &Mutation| *blake3::hash(mutation.name().as_bytes()).as_bytes();
    mutations.sort_by_key(hash);
    let mut seen = BTreeSet::new();
    mutations.retain(|mutation| {
        // Of lists, any item stands for all.
        let at = mutation.at.iter().map(|key| key.as_str().unwrap_or("*").to_owned());
        seen.insert((mutation.verb.clone(), at.collect::<Vec<_>>()))
    });
}

#[test]
fn a_host_that_says_anything_harms_neither_the_other_host_nor_the_next_release() {
    let mut fleet = TamperedFleet::new();
    let mut mutations = Vec::new();
    for command in 0..COMMANDS.len() {
        mutations.extend(fleet.mutations(command));
    }
    let all = mutations.len();
    if !tries_all() {
        sample(&mut mutations);
    }
    let Outcomes { statuses, faults } =
        try_each(fleet, TamperedFleet::new, &mutations, TamperedFleet::try_one);
    counted(&format!(
        "{} of {all} changes of a host's replies: exit statuses {statuses:?}, {} failures",
        mutations.len(),
        faults.len()
    ));
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
