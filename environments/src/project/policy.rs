//! `[environment]`: how hosts are reached, and how this environment is released.

use serde::{Deserialize, Serialize};

use crate::file::{Data, Table, TableReader};
use crate::project::host::{normalise, normalise_domain};
use crate::template::address::Need;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::name::{is_host, is_project_or_environment, is_user};
use crate::text::source::{At, Text};

/// The keys that can be set only for all hosts of an environment.
pub(crate) const FOR_ALL_HOSTS: &[&str] =
    &["target_directory", "connect_method", "host_domain", "branch", "protected", "keep", "jobs", "timeout"];

/// How hosts are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectMethod {
    /// Over OpenSSH.
    Ssh,
    /// All "hosts" are this machine.
    Local,
}

/// `[environment]`, after `inherits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The environment's name.
    pub name: String,
    /// How hosts are reached.
    pub connect_method: ConnectMethod,
    /// The user that components are deployed as, unless a host says otherwise.
    pub service_user: Option<String>,
    /// Overrides the detection of whether sudo is needed.
    pub require_sudo: Option<bool>,
    /// Appended to host names without a dot.
    pub host_domain: Option<String>,
    /// The hosts' platform, unless one says otherwise.
    pub platform: Option<String>,
    /// The only git branch that may be released from.
    pub branch: Option<String>,
    /// Whether a release asks for the environment's name first.
    pub protected: bool,
    /// How many committed releases a host keeps.
    pub keep: u32,
    /// How many hosts are worked on at a time.
    pub jobs: u32,
    /// Seconds that connecting may take.
    pub timeout: u32,
    /// Where batou keeps everything on a host, as written (`~` and relative paths included).
    pub target_directory: Option<String>,
}

impl Policy {
    /// The environment's name for a host, however it is written: in upper or lower case, with or without a trailing
    /// dot, short or with the environment's domain.
    pub fn host_name(&self, written: &str) -> String {
        normalise(written, self.host_domain.as_deref())
    }
}

/// `[environment]` with what only the evaluation needs.
#[derive(Debug)]
pub(crate) struct CheckedPolicy {
    pub(crate) policy: Policy,
    pub(crate) require_v4: Need,
    pub(crate) require_v6: Need,
    pub(crate) target_directory: Option<Text>,
}

/// What to do about a template where none is evaluated.
pub(crate) const AS_IT_IS: &str =
    "write the value itself; templates are evaluated in [components.NAME] and in component.toml";

const SAME_FOR_ALL: &str = "write one path for all hosts, such as /srv/NAME, or `~/NAME` for one below the home of each \
                            host's service user";

/// Checks the table `[environment]`.
pub(crate) fn check(name: &str, table: &Table, at: &At, problems: &mut Problems) -> CheckedPolicy {
    let mut reader = TableReader::new(table, at, "[environment]", problems);
    reader.node("inherits");
    let connect_method = connect_method(&mut reader);
    let target_directory = reader.plain_text("target_directory", SAME_FOR_ALL);
    let policy = Policy {
        name: name.to_owned(),
        connect_method,
        service_user: user(&mut reader),
        require_sudo: reader.boolean("require_sudo"),
        host_domain: domain(&mut reader),
        platform: reader.plain_text("platform", AS_IT_IS).map(|text| text.value),
        branch: reader.plain_text("branch", AS_IT_IS).map(|text| text.value),
        protected: reader.boolean("protected").unwrap_or(false),
        keep: reader.number("keep", 1, 100_000).unwrap_or(10),
        jobs: reader.number("jobs", 1, 10_000).unwrap_or(20),
        timeout: reader.number("timeout", 1, 86_400).unwrap_or(10),
        target_directory: target_directory.as_ref().map(|text| text.value.clone()),
    };
    let require_v4 = need(&mut reader, "require_v4").unwrap_or(Need::Yes);
    let require_v6 = need(&mut reader, "require_v6").unwrap_or(Need::No);
    reader.later(&["service_manager"]);
    reader.finish();
    CheckedPolicy { policy, require_v4, require_v6, target_directory }
}

fn connect_method(reader: &mut TableReader<'_, '_>) -> ConnectMethod {
    match reader.plain_text("connect_method", AS_IT_IS) {
        Some(text) if text.value == "local" => ConnectMethod::Local,
        Some(text) if text.value != "ssh" => {
            let message = format!("`connect_method` must be \"ssh\" or \"local\", not \"{}\"", text.value);
            reader.problems.push(Diagnostic::error(message).at(&text.at));
            ConnectMethod::Ssh
        }
        _ => ConnectMethod::Ssh,
    }
}

/// A `service_user`, of an environment or a host.
pub(crate) fn user(reader: &mut TableReader<'_, '_>) -> Option<String> {
    let text = reader.plain_text("service_user", AS_IT_IS)?;
    if is_user(&text.value) {
        return Some(text.value);
    }
    let message = format!("`{}` is not a user's name", text.value);
    let help = "use letters, digits, `.`, `_` and `-`, and no leading dash";
    reader.problems.push(Diagnostic::error(message).at(&text.at).help(help));
    None
}

fn domain(reader: &mut TableReader<'_, '_>) -> Option<String> {
    let text = reader.plain_text("host_domain", AS_IT_IS)?;
    let domain = normalise_domain(&text.value);
    if is_host(&domain) {
        return Some(domain);
    }
    let message = format!("`{}` is not a domain", text.value);
    reader.problems.push(Diagnostic::error(message).at(&text.at));
    None
}

fn need(reader: &mut TableReader<'_, '_>, key: &'static str) -> Option<Need> {
    let node = reader.node(key)?;
    match &node.data {
        Data::Boolean(true) => Some(Need::Yes),
        Data::Boolean(false) => Some(Need::No),
        Data::String(text) if text == "optional" => Some(Need::Optional),
        other => reader.wrong(key, "true, false or \"optional\"", other, &node.at),
    }
}

/// `inherits`: the environment that this one is laid over.
pub(crate) fn inherits(table: &Table, problems: &mut Problems) -> Option<Text> {
    let member = table.get("environment")?;
    let Data::Table(environment) = &member.node.data else { return None };
    let node = &environment.get("inherits")?.node;
    match &node.data {
        Data::String(name) if is_project_or_environment(name) => {
            Some(Text { value: name.clone(), at: node.at.clone(), literal: true })
        }
        Data::String(name) => {
            problems.push(Diagnostic::error(format!("`{name}` is not an environment's name")).at(&node.at));
            None
        }
        other => {
            let message = format!("`inherits` must be a string, not {}", other.kind());
            problems.push(Diagnostic::error(message).at(&node.at));
            None
        }
    }
}
