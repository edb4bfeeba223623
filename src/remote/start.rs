//! Starting an agent: one constant command line, whatever the host, the user and the project are called.
//!
//! The command ([`COMMAND`]) is a script for any POSIX shell, quoted so that any login shell hands it on unharmed: one line,
//! without apostrophes and exclamation marks within. All that differs from host to host is read by the script from its
//! standard input, as lines:
//!
//! | line | meaning |
//! |---|---|
//! | action | `agent`, or `prepare`: make a folder that belongs to the service user |
//! | user | the service user, or `-` for the login user |
//! | word | the wanted agent's digest, or the folder to prepare |
//!
//! It answers with the magic and a word: `ready` (frames from now on), `want MACHINE` (the agent is not there: answer
//! with name, size and checksum), `send` (the bytes, please), or what went wrong.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::binary::{Binaries, Binary};
use super::link::{Link, Noise};
use super::ssh::SshConfig;
use super::{RemoteError, StartError};
use crate::protocol::MAGIC;

/// What is run on every host.
const COMMAND: &str = include_str!("start.sh");
/// How much a login shell may print before the agent, in bytes.
const MAX_PREAMBLE: usize = 64 << 10;

/// The way to one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host's name, for messages.
    pub host: String,
    /// Where ssh connects; none for the controller itself.
    pub address: Option<String>,
    /// The service user, where it is not whoever logs in.
    pub user: Option<String>,
    /// Where the deployment is.
    pub target_directory: PathBuf,
}

/// What all connections of a command share.
#[derive(Debug)]
pub struct Dialer {
    /// The generated configuration, where there are hosts to be reached by SSH.
    pub ssh: Option<SshConfig>,
    /// Agents to be copied.
    pub binaries: Binaries,
    /// How long a host may take until its agent runs, beside the agent's upload.
    pub patience: Duration,
}

impl Dialer {
    /// Starts the host's agent, copying it there where it is missing. Blocks.
    pub fn dial(&self, route: &Route) -> Result<Link, RemoteError> {
        if route.address.is_none() && route.user.is_none() {
            return self.spawn();
        }
        let mut start = self.start(route)?;
        // Read while the connection is made.
        let own = self.binaries.own().map_err(StartError::from)?;
        start.say(&["agent", route.user.as_deref().unwrap_or("-"), &own.digest.to_string()])?;
        match start.hear()?.as_str() {
            "ready" => {}
            word => start.install(word, &self.binaries, own)?,
        }
        Ok(start.into_link(route.address.is_none()))
    }

    /// Makes the target directory for the service user, through sudo where it must be. Blocks.
    pub fn prepare(&self, route: &Route) -> Result<(), RemoteError> {
        let directory = route.target_directory.to_str().ok_or(StartError::Preparation(String::new()))?;
        let mut start = self.start(route)?;
        start.say(&["prepare", route.user.as_deref().unwrap_or("-"), directory])?;
        match start.hear()?.as_str() {
            "prepared" => Ok(()),
            "no-user" => Err(start.no_user().into()),
            _ => {
                let _ = start.child.wait();
                Err(StartError::Preparation(start.noise.text()).into())
            }
        }
    }

    /// The agent as a child, with nothing between.
    fn spawn(&self) -> Result<Link, RemoteError> {
        let mut command = Command::new(self.binaries.own_path());
        command.arg("agent");
        let (child, to, from, noise) = piped(command)?;
        Ok(Link::new(child, to, from, noise, true))
    }

    fn start(&self, route: &Route) -> Result<Start, RemoteError> {
        let command = if let (Some(address), Some(ssh)) = (&route.address, &self.ssh) {
            ssh.command(address, COMMAND.trim_end())
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", COMMAND.trim_end()]);
            shell
        };
        let (child, to, from, noise) = piped(command)?;
        let alarm = Alarm::set(&child, self.patience);
        Ok(Start { child, to, from, noise, user: route.user.clone(), alarm })
    }
}

type Pipes = (Child, ChildStdin, BufReader<ChildStdout>, Noise);

/// Starts a child in a process group of its own: an interrupt at the terminal is the controller's to handle.
fn piped(mut command: Command) -> Result<Pipes, RemoteError> {
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(StartError::Spawn)?;
    let to = child.stdin.take().expect("stdin is piped");
    let from = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let noise = Noise::collect(child.stderr.take().expect("stderr is piped"));
    Ok((child, to, from, noise))
}

/// A child whose agent has not started yet.
struct Start {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    noise: Noise,
    user: Option<String>,
    alarm: Alarm,
}

impl Start {
    fn say(&mut self, lines: &[&str]) -> Result<(), RemoteError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.pour(text.as_bytes())
    }

    fn pour(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).map_err(|_| self.ended())
    }

    /// The word after the next magic; what a login shell prints before it is skipped.
    fn hear(&mut self) -> Result<String, RemoteError> {
        let magic = &MAGIC[1..];
        let mut seen = 0;
        loop {
            let mut line = Vec::new();
            let room = (MAX_PREAMBLE + 1).saturating_sub(seen) as u64;
            let read = std::io::Read::take(&mut self.from, room).read_until(b'\n', &mut line);
            seen += match read {
                Ok(0) if room == 0 => return Err(StartError::Preamble.into()),
                Ok(count @ 1..) => count,
                _ => return Err(self.ended()),
            };
            if let (Some(word), Some(b'\n')) = (line.strip_prefix(magic), line.last()) {
                return Ok(String::from_utf8_lossy(word).trim_end().to_owned());
            }
        }
    }

    /// Sends the agent that the host's kind needs.
    fn install(&mut self, word: &str, binaries: &Binaries, own: Binary) -> Result<(), RemoteError> {
        let Some(("want", machine)) = word.split_once(' ') else { return Err(self.refused(word)) };
        let found = binaries.find(machine).map_err(StartError::from)?;
        let binary = if found.path == own.path { own } else { found };
        let (bytes, sum) = binary.read().map_err(StartError::from)?;
        self.say(&[&binary.digest.to_string(), &bytes.len().to_string(), &sum.to_string()])?;
        let mut answer = self.hear()?;
        if answer == "send" {
            self.alarm.silence();
            self.pour(&bytes)?;
            answer = self.hear()?;
        }
        if answer == "ready" { Ok(()) } else { Err(self.refused(&answer)) }
    }

    fn refused(&mut self, word: &str) -> RemoteError {
        let _ = self.child.wait();
        let noise = self.noise.text();
        match word {
            "no-user" => self.no_user().into(),
            "no-place" => StartError::NoPlace(noise).into(),
            "failed" => StartError::Upload(noise).into(),
            _ => StartError::Unexpected(word.to_owned()).into(),
        }
    }

    fn no_user(&self) -> StartError {
        StartError::NoUser(self.user.clone().unwrap_or_default())
    }

    /// Why the child went before it said what was expected.
    fn ended(&mut self) -> RemoteError {
        if self.alarm.rang() {
            return StartError::Patience.into();
        }
        let status = self.child.wait().ok().and_then(|status| status.code());
        let noise = self.noise.text();
        let sudo = noise.lines().any(|line| line.starts_with("sudo:"));
        match status {
            Some(255) => StartError::Connection(noise).into(),
            _ if sudo => StartError::Sudo { user: self.user.clone().unwrap_or_default(), noise }.into(),
            _ => StartError::Ended { status, noise }.into(),
        }
    }

    fn into_link(self, local: bool) -> Link {
        self.alarm.silence();
        Link::new(self.child, self.to, self.from, self.noise, local)
    }
}

/// Ends a child that takes too long to start.
struct Alarm {
    silenced: Mutex<Option<Sender<()>>>,
    rang: Arc<AtomicBool>,
}

impl Alarm {
    fn set(child: &Child, patience: Duration) -> Self {
        let (silence, silenced) = channel::<()>();
        let rang = Arc::new(AtomicBool::new(false));
        let ringing = Arc::clone(&rang);
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        std::thread::spawn(move || {
            if silenced.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                ringing.store(true, Ordering::SeqCst);
                let _ = process.map(|process| pidfd_send_signal(process, Signal::KILL));
            }
        });
        Alarm { silenced: Mutex::new(Some(silence)), rang }
    }

    fn silence(&self) {
        if let Ok(mut silenced) = self.silenced.lock() {
            *silenced = None;
        }
    }

    fn rang(&self) -> bool {
        self.rang.load(Ordering::SeqCst)
    }
}
