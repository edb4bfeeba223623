//! Starting an agent: one constant command line, whatever the host, the user and the project are called.
//!
//! The command ([`COMMAND`]) is a script for any POSIX shell, quoted so that any login shell passes it on
//! unchanged: one line, without apostrophes or exclamation marks inside. Everything that differs from host to
//! host is read by the script from its standard input, as lines:
//!
//! | line | meaning |
//! |---|---|
//! | greeting | always the same: if another line comes first, the login shell has read what was not meant for it |
//! | action | `agent`, or `prepare`: make a folder that belongs to the service user |
//! | user | the service user, or `-` for the login user |
//! | word | the wanted agent's digest, `anew` to have the agent sent whatever is there, or the folder to prepare |
//!
//! The script says `here` when it begins, and answers with the magic and a word: `eaten` (the greeting was not
//! the first line), `found` (the agent is there, and is being started), `want MACHINE` or `want MACHINE gzip`
//! (it is not there; `gzip` means that the host can unpack what arrives), `send` (send the bytes now), `stored`
//! (it is there now, and is being started), or what went wrong. `want` is answered with five lines: the agent's
//! digest, its size, its checksum, how many bytes are sent, and `gzip` or `plain`. The agent itself says
//! `ready`; only frames follow. An agent that is found but does not say so is damaged, and is sent again.
//!
//! The agent is put into the first folder that belongs to the user, that nobody else can write to, and in which
//! a small script could be written, made executable and run: a home may be mounted `noexec`. What was wrong
//! with the other folders is printed, and reported if the agent does not start. A program is taken for the
//! agent only if it lies in such a folder.
//!
//! Nothing is sent after the agent's bytes until they have been answered: busybox's `head -c` reads too far,
//! and what it reads is lost. What arrived is checked by its size, and by `cksum` if the host has it. If not,
//! gzip's own checksum has to do, or SSH's for an agent that was sent unpacked.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use super::alarm::{Alarm, Rang, until};
use super::binary::Binaries;
use super::cut::Exit;
use super::error::{RemoteError, StartError};
use super::link::Link;
use super::process::PipedProcess;
use batou_agent::protocol::{FrameError, MAGIC, SILENCE};

/// The first line that the script reads.
const GREETING: &str = "batou";
/// The word with which the script begins.
const HERE: &str = "here";
/// The command that is run on every host.
pub(super) const COMMAND: &str = include_str!("start.sh").trim_ascii_end();
/// How many bytes a login shell may print before the agent starts.
const MAX_PREAMBLE: usize = 64 << 10;
/// How long a host may take to store a received agent, even on a slow disk.
const STORING: Duration = Duration::from_mins(5);
/// How many bytes of what the login shell printed are reported if no agent starts.
const SKIPPED: usize = 1 << 10;
/// How long a process that has closed its output may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// A process whose agent has not started yet.
#[derive(Debug)]
pub(super) struct Start {
    process: PipedProcess,
    user: Option<String>,
    /// When the agent must run.
    deadline: Instant,
    /// How long the login shell may take until the script runs.
    login: Duration,
    /// Set until everything that takes a bounded time is done.
    alarm: Option<Alarm>,
    late: Rang,
    /// The end of what was printed before the first word.
    skipped: Vec<u8>,
    /// Whether the script has said anything beyond that it begins.
    answered: bool,
    /// Whether the agent was sent gzipped.
    packed: bool,
}

/// How the agent is to be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Whether to ignore an agent that is already there.
    pub(super) anew: bool,
    /// Whether the agent may be sent gzipped.
    pub(super) packed: bool,
}

impl Start {
    /// A process that was started for this user, and must be ready at the deadline. Over an existing
    /// connection, the login shell has only `login` until it runs the command.
    pub(super) fn new(
        process: PipedProcess,
        user: Option<String>,
        deadline: Instant,
        login: Duration,
    ) -> Result<Self, StartError> {
        let alarm = Alarm::set(until(deadline), process.handle.cut())?;
        let late = alarm.rang();
        let (alarm, skipped) = (Some(alarm), Vec::new());
        Ok(Start { process, user, deadline, login, alarm, late, skipped, answered: false, packed: false })
    }

    fn set_alarm(&mut self, patience: Duration) -> Result<(), StartError> {
        self.alarm = None;
        let alarm = Alarm::set(patience, self.process.handle.cut())?;
        self.late = alarm.rang();
        self.alarm = Some(alarm);
        Ok(())
    }

    /// Asks the script to start the agent that is there, or the one that is sent.
    pub(super) fn agent(&mut self, binaries: &Binaries, how: Delivery) -> Result<(), RemoteError> {
        let digest = binaries.own().map_err(StartError::from)?.digest().to_string();
        let wanted = if how.anew { "anew" } else { &digest };
        self.ask("agent", wanted)?;
        match self.hear()?.as_str() {
            "found" => Ok(()),
            word => self.install(word, binaries, how.packed),
        }
    }

    /// Asks for a folder that belongs to the user.
    pub(super) fn make_target(&mut self, directory: &str) -> Result<(), RemoteError> {
        self.ask("prepare", directory)?;
        match self.hear()?.as_str() {
            "prepared" => Ok(()),
            "no-user" => Err(self.no_user().into()),
            _ => Err(StartError::Preparation(self.last_words()).into()),
        }
    }

    fn ask(&mut self, action: &str, word: &str) -> Result<(), RemoteError> {
        let user = self.user.clone();
        self.say(&[GREETING, action, user.as_deref().unwrap_or("-"), word])?;
        self.hear_that_it_runs()
    }

    /// Waits until the script runs.
    fn hear_that_it_runs(&mut self) -> Result<(), RemoteError> {
        let is_connected = !self.process.handle.is_child();
        if is_connected {
            self.set_alarm(self.login.min(until(self.deadline)))?;
        }
        match self.hear() {
            Ok(word) if word == HERE => Ok(self.set_alarm(until(self.deadline))?),
            Ok(word) => Err(self.refused(&word)),
            Err(_) if is_connected && self.late.yes() => {
                Err(StartError::Shy { limit: self.login, said: self.all_said() }.into())
            }
            Err(error) => Err(error),
        }
    }

    fn say(&mut self, lines: &[&str]) -> Result<(), RemoteError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.pour(text.as_bytes())
    }

    fn pour(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        let to = &mut self.process.to;
        if to.write_all(bytes).and_then(|()| to.flush()).is_ok() {
            return Ok(());
        }
        // The process has ended, and what it said before tells why.
        let mut word = self.hear()?;
        if word == HERE {
            word = self.hear()?;
        }
        Err(self.refused(&word))
    }

    /// The word after the next magic, skipping what a login shell prints before it.
    fn hear(&mut self) -> Result<String, RemoteError> {
        let magic = &MAGIC[1..];
        let mut seen = 0;
        loop {
            let mut line = Vec::new();
            let room = (MAX_PREAMBLE + 1).saturating_sub(seen) as u64;
            let read = std::io::Read::take(&mut self.process.from, room).read_until(b'\n', &mut line);
            seen += match read {
                Ok(0) if room == 0 => return Err(StartError::Preamble.into()),
                Ok(count @ 1..) => count,
                _ => return Err(self.ended()),
            };
            if let (Some(word), Some(b'\n')) = (line.strip_prefix(magic), line.last()) {
                let word = String::from_utf8_lossy(word).trim_end().to_owned();
                self.answered |= word != HERE;
                return Ok(word);
            }
            self.skipped.extend(line);
            let excess = self.skipped.len().saturating_sub(SKIPPED);
            self.skipped.drain(..excess);
        }
    }

    /// Sends the agent for the host's kind of machine.
    fn install(&mut self, word: &str, binaries: &Binaries, packed: bool) -> Result<(), RemoteError> {
        let Some(("want", host)) = word.split_once(' ') else { return Err(self.refused(word)) };
        let (machine, gzip) = match host.split_once(' ') {
            Some((machine, programs)) => (machine, programs.split(' ').any(|program| program == "gzip")),
            None => (host, false),
        };
        let binary = binaries.find(machine).map_err(StartError::from)?;
        let upload = binary.upload(gzip && packed).map_err(StartError::from)?;
        let numbers = [upload.size, upload.sum as usize, upload.bytes.len()].map(|number| number.to_string());
        let [size, sum, count] = &numbers;
        self.packed = upload.packed;
        let form = if upload.packed { "gzip" } else { "plain" };
        self.say(&[&binary.digest().to_string(), size, sum, count, form])?;
        let mut answer = self.hear()?;
        if answer == "send" {
            self.alarm = None;
            self.pour(upload.bytes)?;
            // The script checks and syncs the agent there, and only then gives it its name.
            self.set_alarm(STORING)?;
            answer = self.hear()?;
        }
        if answer == "found" || answer == "stored" { Ok(()) } else { Err(self.refused(&answer)) }
    }

    fn refused(&mut self, word: &str) -> RemoteError {
        let noise = self.last_words();
        match word {
            "eaten" => StartError::Eaten.into(),
            "no-user" => self.no_user().into(),
            "no-place" => StartError::NoPlace(noise).into(),
            "failed" => StartError::Upload { packed: self.packed, noise }.into(),
            _ => StartError::Unexpected(word.to_owned()).into(),
        }
    }

    fn no_user(&self) -> StartError {
        StartError::NoUser(self.user.clone().unwrap_or_default())
    }

    /// Everything said up to the end of the process, which has come or is about to.
    fn last_words(&mut self) -> String {
        self.process.handle.exit(Some(FAREWELL));
        self.process.handle.said()
    }

    /// Why the process ended before it said what was expected.
    fn ended(&mut self) -> RemoteError {
        if self.late.yes() {
            return StartError::Patience(self.all_said()).into();
        }
        let handle = &mut self.process.handle;
        let exit = handle.exit(Some(FAREWELL)).unwrap_or(Exit::Disconnected);
        let (status, noise) = (exit.status(), handle.said());
        let sudo = noise.lines().any(|line| line.starts_with("sudo:"));
        match exit {
            Exit::Disconnected if self.answered => {
                RemoteError::Lost { noise, source: FrameError::Ended { clean: true } }
            }
            Exit::Disconnected => StartError::connection(&noise).into(),
            // The agent had answered, so it is the agent that ended, whatever the status: for a program that was killed
            // by a signal, ssh reports 255, too.
            _ if self.answered => StartError::Ended { status, noise }.into(),
            // An ssh that we started ourselves ends with 255 if it could not connect. Through a master, 255 is a status of
            // the login shell like any other.
            Exit::Status(255) if handle.is_child() => StartError::connection(&noise).into(),
            _ if sudo => StartError::Sudo { user: self.user.clone().unwrap_or_default(), noise }.into(),
            _ => StartError::Shell { status, said: self.all_said() }.into(),
        }
    }

    /// What was printed instead of an answer.
    fn all_said(&self) -> String {
        String::from_utf8_lossy(&self.skipped).into_owned() + "\n" + &self.process.handle.said()
    }

    /// The conversation with the agent, once the agent says that it is there.
    pub(super) fn into_link(mut self, local: bool) -> Result<Link, RemoteError> {
        match self.hear()?.as_str() {
            "ready" => {}
            word => return Err(StartError::Unexpected(word.to_owned()).into()),
        }
        self.alarm = None;
        Ok(Link::new(self.process, Duration::from_secs(SILENCE), local)?)
    }
}
