//! What is said about hosts that failed, and what to do about it.

use batou_agent::protocol::{AgentError, ErrorKind};

use super::Deployment;
use crate::error::CommandError;
use crate::fleet::Failures;
use crate::remote::RemoteError;
use crate::ui::{one_line, plural};

/// An error with one line for each failed host. If this machine failed, no host is named: the hosts may not
/// even have been called.
pub fn failed(what: &str, failures: &Failures) -> CommandError {
    if let Err(own) = refuse_own(failures) {
        return own;
    }
    let lines: Vec<_> = failures.iter().map(|(host, error)| format!("  {host}: {}", chain(error))).collect();
    let count = plural(failures.len(), "host");
    CommandError::failed(format!("{count} {what}:\n{}", lines.join("\n")))
}

/// Fails if it was this machine that failed, and says how.
pub fn refuse_own(failures: &Failures) -> Result<(), CommandError> {
    let own = failures.values().find(|error| error.is_own());
    own.map_or(Ok(()), |own| Err(CommandError::failed(chain(own))))
}

/// How hosts of which the disk is full get room, if any of these errors says that one is.
fn room<'e>(environment: &str, errors: impl IntoIterator<Item = &'e RemoteError>) -> Option<String> {
    let is_full =
        |error: &RemoteError| matches!(error, RemoteError::Agent(AgentError { kind: ErrorKind::Full, .. }));
    errors.into_iter().any(is_full).then(|| {
        format!(
            "make room on that disk, or have `batou gc {environment}` do so, for which no byte has to be free: it removes the \
             releases that are older than `keep` says, and with a lower `keep` more of them"
        )
    })
}

/// What to do about hosts that cannot be reached.
pub fn advice(unreachable: &Failures) -> Vec<String> {
    let names: Vec<_> = unreachable.keys().map(|host| format!("--skip {host}")).collect();
    let mut hints = vec![format!("leave them out with {}, or with --skip-unreachable", names.join(" "))];
    if has_new_key(unreachable) {
        hints.insert(0, "accept the keys of new hosts with --accept-new, once".to_owned());
    }
    hints
}

/// Whether a host shows a new key. Not if any host shows a key other than the known one: such a key must never
/// be accepted as new.
pub(super) fn has_new_key(unreachable: &Failures) -> bool {
    unreachable.values().any(|error| error.to_string().contains(" host key is known for "))
}

pub(super) fn not_reached(
    unreachable: &Failures,
    unchanged: &str,
    hints: impl IntoIterator<Item = String>,
) -> CommandError {
    let error = failed(&format!("cannot be reached; {unchanged}"), unreachable);
    hints.into_iter().fold(error, CommandError::hint)
}

impl Deployment<'_> {
    /// See [`failed`]; with what to do about full disks.
    pub fn failed(&self, what: &str, failures: &Failures) -> CommandError {
        self.with_room(failed(what, failures), failures)
    }

    /// Adds what to do about full disks, if one of them is.
    pub(super) fn with_room<S>(&self, error: CommandError, failures: &Failures<S>) -> CommandError {
        room(&self.policy.name, failures.values()).into_iter().fold(error, CommandError::hint)
    }
}

/// An error with its sources, on one line and safe to print.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{}: {cause_text}", text.trim_end_matches('.'));
        }
        source = cause.source();
    }
    one_line(&text)
}
