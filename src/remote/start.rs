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
//! | word | the wanted agent's digest, `anew` for one that is to be sent whatever is there, or the folder to prepare |
//!
//! It answers with the magic and a word: `found` (the agent is there, and is started), `want MACHINE` or `want MACHINE gzip`
//! (it is not there, and what arrives can be unpacked or not), `send` (the bytes, please), `stored` (it is there now, and is
//! started), or what went wrong. `want` is answered with five lines: the agent's digest, its size, its checksum, how many
//! bytes are sent, and `gzip` or `plain`. The agent itself says `ready`: frames from then on. One that is found and does not
//! say so is damaged, and is sent anew.
//!
//! Nothing is sent behind the agent's bytes before the answer to them: busybox's `head -c` reads on, and what it reads is
//! lost. What arrived is checked by its size, and by `cksum` where the host has that; where it has not, gzip's own checksum is
//! enough, and for a plain agent, SSH's.

use batou_release::HostName;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::alarm::{Alarm, Rang};
use super::binary::Binaries;
use super::link::{Link, Noise};
use super::ssh::SshConfig;
use super::{RemoteError, StartError};
use batou_agent::protocol::{MAGIC, SILENCE};

/// What is run on every host.
const COMMAND: &str = include_str!("start.sh");
/// How much a login shell may print before the agent, in bytes.
const MAX_PREAMBLE: usize = 64 << 10;
/// How long a host may take to store an agent that it has received, on whatever disk it has.
const STORING: Duration = Duration::from_mins(5);
/// How much of that is told where there is no agent afterwards, in bytes.
const SKIPPED: usize = 1 << 10;

/// The way to one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host's name, for messages.
    pub host: HostName,
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
    /// Starts the host's agent, copying it there where it is missing or damaged. Blocks.
    pub fn dial(&self, route: &Route) -> Result<Link, RemoteError> {
        if route.address.is_none() && route.user.is_none() {
            return self.spawn();
        }
        match self.reach(route, false) {
            Err(RemoteError::Start(StartError::Ended { .. })) => self.reach(route, true),
            other => other,
        }
    }

    /// Starts the agent that is there, or the one that is sent; with `anew` what is there is not used.
    fn reach(&self, route: &Route, anew: bool) -> Result<Link, RemoteError> {
        let mut start = self.start(route)?;
        // Read while the connection is made.
        let digest = self.binaries.own().map_err(StartError::from)?.digest().to_string();
        let wanted = if anew { "anew" } else { &digest };
        start.say(&["agent", route.user.as_deref().unwrap_or("-"), wanted])?;
        match start.hear()?.as_str() {
            "found" => {}
            word => start.install(word, &self.binaries)?,
        }
        start.into_link(route.address.is_none())
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
        self.begin(command, None)?.into_link(true)
    }

    fn start(&self, route: &Route) -> Result<Start, RemoteError> {
        let command = if let (Some(address), Some(ssh)) = (&route.address, &self.ssh) {
            ssh.command(address, COMMAND.trim_end())
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", COMMAND.trim_end()]);
            shell
        };
        self.begin(command, route.user.clone())
    }

    /// Starts a child in a process group of its own: an interrupt at the terminal is the controller's to handle.
    fn begin(&self, mut command: Command, user: Option<String>) -> Result<Start, RemoteError> {
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(StartError::Spawn)?;
        let to = child.stdin.take().expect("stdin is piped");
        let from = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let noise = Noise::collect(child.stderr.take().expect("stderr is piped"));
        let alarm = Alarm::set(&child, self.patience);
        let late = alarm.rang();
        let alarm = Some(alarm);
        Ok(Start { child, to, from, noise, user, alarm, late, skipped: Vec::new(), answered: false })
    }
}

/// A child whose agent has not started yet.
struct Start {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    noise: Noise,
    user: Option<String>,
    /// Until all that takes a bounded time is done.
    alarm: Option<Alarm>,
    late: Rang,
    /// The end of what was printed before the first word.
    skipped: Vec<u8>,
    /// Whether there was a word.
    answered: bool,
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
                self.answered = true;
                return Ok(String::from_utf8_lossy(word).trim_end().to_owned());
            }
            self.skipped.extend(line);
            let excess = self.skipped.len().saturating_sub(SKIPPED);
            self.skipped.drain(..excess);
        }
    }

    /// Sends the agent that the host's kind needs.
    fn install(&mut self, word: &str, binaries: &Binaries) -> Result<(), RemoteError> {
        let Some(("want", host)) = word.split_once(' ') else { return Err(self.refused(word)) };
        let (machine, gzip) = match host.split_once(' ') {
            Some((machine, programs)) => (machine, programs.split(' ').any(|program| program == "gzip")),
            None => (host, false),
        };
        let binary = binaries.find(machine).map_err(StartError::from)?;
        let upload = binary.upload(gzip).map_err(StartError::from)?;
        let numbers = [upload.size, upload.sum as usize, upload.bytes.len()].map(|number| number.to_string());
        let [size, sum, count] = &numbers;
        let form = if upload.packed { "gzip" } else { "plain" };
        self.say(&[&binary.digest().to_string(), size, sum, count, form])?;
        let mut answer = self.hear()?;
        if answer == "send" {
            self.alarm = None;
            self.pour(upload.bytes)?;
            // It is checked and synced there, and then named.
            let alarm = Alarm::set(&self.child, STORING);
            self.late = alarm.rang();
            self.alarm = Some(alarm);
            answer = self.hear()?;
        }
        if answer == "found" || answer == "stored" { Ok(()) } else { Err(self.refused(&answer)) }
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
        if self.late.yes() {
            return StartError::Patience.into();
        }
        let status = self.child.wait().ok().and_then(|status| status.code());
        let noise = self.noise.text();
        let sudo = noise.lines().any(|line| line.starts_with("sudo:"));
        match status {
            // Also 255: so ssh tells of a program that was killed by a signal.
            _ if self.answered => StartError::Ended { status, noise }.into(),
            Some(255) => StartError::Connection(noise).into(),
            _ if sudo => StartError::Sudo { user: self.user.clone().unwrap_or_default(), noise }.into(),
            _ => {
                let said = String::from_utf8_lossy(&self.skipped).into_owned() + "\n" + &noise;
                StartError::Shell { status, said }.into()
            }
        }
    }

    /// The conversation with the agent, once that says that it is there.
    fn into_link(mut self, local: bool) -> Result<Link, RemoteError> {
        match self.hear()?.as_str() {
            "ready" => {}
            word => return Err(StartError::Unexpected(word.to_owned()).into()),
        }
        self.alarm = None;
        // One on this machine is never killed at its work.
        let patience = (!local).then(|| Duration::from_secs(SILENCE));
        Ok(Link::new(self.child, self.to, self.from, self.noise, patience))
    }
}
