//! The request loop.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;

use crate::command::{self, Attention, Termination};
use crate::connection::{Connection, Disturbance, Next};
use crate::error::Error;
use crate::goback::{self, go_back};
use crate::journal::Journal;
use crate::outbox::refuse;
use crate::protocol::{AgentError, MAGIC, Outcome, Reply, Request, SILENCE};
use crate::session::{Locked, Session};
use crate::state::ManifestFiles;
use crate::{collect, commit, facts, ownership, retire, state, switch, transfer, verify};

/// Serves one controller until it is gone. Returns the exit status: 0, or 1 if the host had to go back or the
/// connection broke.
///
/// If a release is under way when the connection ends, the host goes back at once. A controller that holds the lock and has been silent for [`SILENCE`] seconds counts as gone.
pub fn serve(input: impl Read + Send + 'static, mut output: impl Write + Send + 'static) -> i32 {
    // A controller that does not see this greeting concludes that the agent's program is damaged.
    let greeting = [MAGIC, b"ready\n"].concat();
    if output.write_all(&greeting).and_then(|()| output.flush()).is_err() {
        return 1;
    }
    if let Err(error) =
        batou_system::limits::outlive_large_files().and_then(|()| batou_system::thread::start())
    {
        // Nobody is left to tell where that fails, too.
        let _ = refuse(&mut output, &error);
        return 1;
    }
    serve_within(input, output, || Duration::from_secs(SILENCE))
}

/// [`serve`], with another limit on the controller's silence, which is asked for each time that it counts.
pub(crate) fn serve_within(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    silence: impl Fn() -> Duration + Send + 'static,
) -> i32 {
    // The files that units create must not depend on the login's umask.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let Ok(connection) = Connection::start(input, output, silence) else { return 1 };
    let mut session = Session::new(connection);
    let ending = converse(&mut session);
    let taken_back = abandon(&mut session, &ending);
    // The lock is released before the wait for the last replies to be written, so that a controller which does not
    // read them keeps nobody else waiting.
    session.locked = None;
    session.connection.finish(!matches!(ending, Next::Silent));
    i32::from(taken_back || !matches!(ending, Next::Ended))
}

/// Answers requests until the controller is gone; returns how that showed.
fn converse(session: &mut Session) -> Next {
    loop {
        let (request, raw) = match session.connection.next() {
            Next::Frame(request, raw) => (request, raw),
            Next::Broken(error) => {
                let refused = Error::Protocol(error.to_string());
                // Whether or not this arrives, the connection is of no further use.
                let _ = session.connection.reply(&Reply::Error(refused.into()), &[]);
                return Next::Broken(error);
            }
            ending => return ending,
        };
        let answer = answer(session, request, &raw).unwrap_or_else(|error| {
            Some(refusal(match &session.about {
                Some(about) => ownership::explain(error, &about.target, &about.user),
                None => error,
            }))
        });
        if let Some((reply, raw)) = answer
            && session.connection.reply(&reply, &raw).is_err()
        {
            return Next::Ended;
        }
    }
}

/// A reply, and the raw part of its frame.
type ReplyFrame = (Reply, Vec<u8>);

fn refusal(error: Error) -> ReplyFrame {
    (Reply::Error(AgentError::from(error)), Vec::new())
}

fn answer(session: &mut Session, request: Request, raw: &[u8]) -> Result<Option<ReplyFrame>, Error> {
    if session.skipping && matches!(request, Request::Data | Request::DataEnd | Request::Heartbeat) {
        session.skipping = !matches!(request, Request::DataEnd);
        return Ok(None);
    }
    session.skipping = false;
    let reply = match request {
        Request::Heartbeat => return Ok(None),
        Request::Hello(hello) => state::hello(session, hello),
        Request::Lock { holder } => state::lock(session, &holder),
        Request::Unlock => unlock(session),
        Request::Missing { objects } => transfer::missing(session, objects),
        Request::Put => transfer::put(session),
        Request::Data | Request::DataEnd => {
            Err(Error::Protocol("data arrived without a request to store it".into()))
        }
        Request::Get { objects } => transfer::get(session, &objects),
        Request::Manifest { manifest } => return manifest_answer(session, manifest.as_ref()).map(Some),
        Request::Switch(order) => switch::switch(session, &order, raw),
        Request::Activate { component, recheck } => switch::activate(session, &component, recheck),
        Request::Prepare => commit::prepare(session),
        Request::Commit { keep } => commit::commit(session, keep),
        Request::GoBack { reason } => goback::answer(session, &reason),
        Request::CommitUnchanged { record, keep } => commit::commit_unchanged(session, &record, keep),
        Request::Journal { output } => return journal_answer(session, output).map(Some),
        Request::Verify => verify::verify(session),
        Request::Collect { keep } => collect::answer(session, keep),
        Request::Retire { purge } => retire::retire(session, purge),
        Request::Exec { command } => exec(session, &command),
        Request::Facts { facts } => facts::answer(session, &facts),
    };
    reply.map(|reply| Some((reply, Vec::new())))
}

fn unlock(session: &mut Session) -> Result<Reply, Error> {
    if session.locked.is_some() {
        session.idle()?;
    }
    session.locked = None;
    session.connection.watch(false);
    Ok(Reply::Done)
}

fn manifest_answer(session: &Session, wanted: Option<&batou_store::Digest>) -> Result<ReplyFrame, Error> {
    let Some(ManifestFiles { mut bytes, causes }) = state::manifest(session.about()?, wanted)? else {
        return Ok((Reply::Manifest { manifest_size: 0 }, Vec::new()));
    };
    let most = crate::protocol::MAX_RAW as usize;
    let manifest_size = u32::try_from(bytes.len()).ok().filter(|size| *size as usize <= most);
    let manifest_size = manifest_size
        .ok_or_else(|| Error::Protocol("the manifest is larger than a message may be".into()))?;
    // Causes only explain: it is better to leave them out than to exceed the limit of a message.
    if bytes.len() + causes.len() <= most {
        bytes.extend(causes);
    }
    Ok((Reply::Manifest { manifest_size }, bytes))
}

fn journal_answer(session: &Session, output: bool) -> Result<ReplyFrame, Error> {
    let mut lines = Vec::new();
    for entry in Journal::of(&session.about()?.target).recent(output)? {
        lines.extend(serde_json::to_vec(&entry).expect("a journal's line is plain data"));
        lines.push(b'\n');
    }
    Ok((Reply::Journal, lines))
}

/// Runs a command for a person, in the target directory.
fn exec(session: &mut Session, command: &[String]) -> Result<Reply, Error> {
    if session.is_underway() {
        return Err(Error::Protocol("a release is under way".into()));
    }
    let about = session.about()?;
    let (program, arguments) =
        command.split_first().ok_or_else(|| Error::Protocol("there is no command to run".into()))?;
    let mut prepared = command::prepare(Path::new(program), about.target.directory(), &about.user);
    prepared.args(arguments);
    let finished = command::run(&mut prepared, None, &mut session.connection, Attention::Live, |_| ())
        .map_err(|source| Error::Command { command: program.clone(), source })?;
    match finished.ending {
        Termination::Status(status) => Ok(Reply::Exited { status }),
        Termination::Disturbed(disturbance) => {
            Err(Error::Disturbed(format!("{program} was ended: {disturbance}")))
        }
        Termination::TimedOut => Err(Error::Disturbed(format!("{program} took too long"))),
    }
}

/// Goes back from a release whose controller is gone; returns whether there was one.
fn abandon(session: &mut Session, ending: &Next) -> bool {
    let (Some(about), Some(locked)) = (&session.about, &mut session.locked) else { return false };
    if locked.underway.is_none() || locked.check_lock(about).is_err() {
        return locked.underway.is_some();
    }
    let Locked { underway, lock, .. } = locked;
    let Some(underway) = underway else { return false };
    let reason = if matches!(ending, Next::Silent) { Disturbance::Silent } else { Disturbance::Ended };
    session.connection.watch(false);
    // If this fails, the intent stays, and whoever takes the lock next tries again. There is nobody left to tell.
    let (place, reason) = ((about, &*lock), reason.to_string());
    let _ = go_back(place, underway, &mut session.connection, Outcome::WentBack, &reason);
    true
}
