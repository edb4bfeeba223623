//! Facts about the host: gathered when a controller asks, and kept nowhere.

mod builtin;
mod files;
mod pattern;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use batou_release::{FactSource, FactSources, FactValue};
use serde_json::Value;

use crate::command::{self, Termination};
use crate::error::Error;
use crate::protocol::{Fact, Reply};
use crate::session::Session;
use crate::user::User;

/// The most bytes that a command may print.
const PRINTED: usize = 512 << 10;
/// The most bytes that all facts together may have in a reply.
const ROOM: usize = 8 << 20;
/// The most bytes of a sentence that says why there is no fact.
const SENTENCE: usize = 2 << 10;

/// Answers every question, if only with the reason why there is no answer.
pub(crate) fn answer(session: &mut Session, sources: &FactSources) -> Result<Reply, Error> {
    if session.is_underway() {
        return Err(Error::Protocol("a release is under way".into()));
    }
    let user = session.about()?.user.clone();
    let mut room = ROOM;
    let mut facts = BTreeMap::new();
    for (name, source) in sources {
        let fact = gather(session, source, &user)?.and_then(|value| bounded(value, &mut room));
        facts.insert(name.clone(), fact.map_or_else(|reason| Fact::Unknown(shortened(reason)), Fact::Known));
    }
    Ok(Reply::Facts { facts })
}

/// A fact, or why there is none. Only the end of the connection is an error of the whole request.
fn gather(session: &mut Session, source: &FactSource, user: &User) -> Result<Result<Value, String>, Error> {
    match source {
        FactSource::Builtin(builtin) => Ok(builtin::value(*builtin)),
        FactSource::Files { pattern } => Ok(files::matching(pattern).map(Value::from)),
        FactSource::Command { command, json, timeout } => {
            let timeout = Duration::from_secs(u64::from(*timeout));
            let printed = printed(session, command, timeout, user)?;
            Ok(printed.and_then(|bytes| understood(bytes, *json)))
        }
    }
}

/// All that a command prints.
fn printed(
    session: &mut Session,
    command: &str,
    timeout: Duration,
    user: &User,
) -> Result<Result<Vec<u8>, String>, Error> {
    // In `/`, because the target directory need not exist yet.
    let mut prepared = command::prepare(Path::new("/bin/sh"), Path::new("/"), user);
    prepared.arg("-c").arg(command);
    let captured = match command::capture(&mut prepared, timeout, &mut session.connection, PRINTED) {
        Ok(captured) => captured,
        Err(error) => return Ok(Err(format!("its command cannot be run: {error}"))),
    };
    let said = captured.errors.trim();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match (captured.ending, captured.output) {
        (Termination::Disturbed(disturbance), _) => {
            Err(Error::Disturbed(format!("a fact's command was ended: {disturbance}")))
        }
        (_, None) => Ok(Err(format!("its command printed more than {} KiB", PRINTED >> 10))),
        (Termination::TimedOut, _) => {
            Ok(Err(format!("its command took more than {} s{said}", timeout.as_secs())))
        }
        (Termination::Status(0), Some(output)) => Ok(Ok(output)),
        (Termination::Status(status), _) => Ok(Err(format!("its command failed with status {status}{said}"))),
    }
}

fn understood(bytes: Vec<u8>, json: bool) -> Result<Value, String> {
    let text = String::from_utf8(bytes).map_err(|_| "what its command printed is not UTF-8".to_owned())?;
    if !json {
        return Ok(Value::from(text.trim()));
    }
    serde_json::from_str(&text).map_err(|error| format!("what its command printed is not JSON: {error}"))
}

/// Checks a value as the controller will, so that one fact out of bounds does not cost the others.
fn bounded(value: Value, room: &mut usize) -> Result<Value, String> {
    let value = FactValue::from_json(value)?;
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    let size = value.to_string().len();
    *room = room
        .checked_sub(size)
        .ok_or_else(|| format!("all facts together have more than {} MiB", ROOM >> 20))?;
    Ok(value)
}

fn shortened(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(SENTENCE));
    reason
}
