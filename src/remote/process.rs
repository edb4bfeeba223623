//! A started command, here or on a host, as this side holds it: what it reads and prints, how it ends, and what
//! cuts it off.

use std::fmt;
use std::io::{BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::{Channel, OpenChannel, Words};
use super::cut::{Cut, Exit, kill};
use super::error::StartError;
use super::noise::Noise;

/// A started command.
pub(super) struct PipedProcess {
    /// Its standard input; dropping this ends it.
    pub(super) to: Box<dyn Write + Send>,
    /// Its standard output.
    pub(super) from: BufReader<Box<dyn Read + Send>>,
    /// Everything else about it.
    pub(super) handle: ProcessHandle,
}

/// What is left of a process for code that neither writes to it nor reads from it.
#[derive(Debug)]
pub(super) struct ProcessHandle {
    carrier: ProcessEnd,
    noise: Noise,
}

#[derive(Debug)]
enum ProcessEnd {
    /// A child of this process: an agent here, or `ssh` with one command.
    Child(Child),
    /// A process on a host, at the other end of a channel.
    Channel(Channel),
    /// An agent on a host that is simulated.
    #[cfg(test)]
    Simulated(SimulatedEnd),
}

/// How an agent that is simulated is cut off, and whether it has ended, as far as that can be known here.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct SimulatedEnd {
    pub(crate) cut: std::sync::Arc<dyn Fn() + Send + Sync>,
    pub(crate) has_ended: std::sync::Arc<dyn Fn() -> bool + Send + Sync>,
}

#[cfg(test)]
impl fmt::Debug for SimulatedEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimulatedEnd")
    }
}

#[cfg(test)]
impl SimulatedEnd {
    fn exit(&self, within: Option<Duration>) -> Option<Exit> {
        let deadline = within.map(|within| batou_system::clock::now() + within);
        while !(self.has_ended)() {
            let late = deadline.is_some_and(|deadline| batou_system::clock::now() >= deadline);
            if late || !batou_system::simulation::wait(deadline) {
                return None;
            }
        }
        Some(Exit::Status(0))
    }
}

impl PipedProcess {
    /// Starts a child in its own process group, because the controller itself handles an interrupt at the
    /// terminal.
    pub(super) fn child(program: &'static str, mut command: Command) -> Result<Self, StartError> {
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| StartError::spawn(program, error))?;
        let to = Box::new(child.stdin.take().expect("stdin is piped"));
        let from: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("stdout is piped"));
        let noise = Noise::collect(child.stderr.take().expect("stderr is piped")).inspect_err(|_| {
            // The only possible failure is that it has already ended.
            let _ = child.kill().and_then(|()| child.wait());
        })?;
        let handle = ProcessHandle { carrier: ProcessEnd::Child(child), noise };
        Ok(PipedProcess { to, from: BufReader::new(from), handle })
    }

    /// An agent that is simulated.
    #[cfg(test)]
    pub(super) fn simulated(
        to: Box<dyn Write + Send>,
        from: Box<dyn Read + Send>,
        end: SimulatedEnd,
    ) -> Self {
        let handle = ProcessHandle { carrier: ProcessEnd::Simulated(end), noise: Noise::none() };
        PipedProcess { to, from: BufReader::new(from), handle }
    }

    /// The process at the other end of a channel.
    pub(super) fn channel(opened: OpenChannel) -> Self {
        let OpenChannel { channel, to, from, noise } = opened;
        let handle = ProcessHandle { carrier: ProcessEnd::Channel(channel), noise };
        PipedProcess { to, from: BufReader::new(from), handle }
    }
}

impl fmt::Debug for PipedProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PipedProcess").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl ProcessHandle {
    /// Cuts the process off: a child is killed; a channel is closed, whatever its master does.
    pub(super) fn cut(&self) -> Cut {
        match &self.carrier {
            ProcessEnd::Child(child) => kill(child),
            ProcessEnd::Channel(channel) => channel.cut(),
            #[cfg(test)]
            ProcessEnd::Simulated(end) => {
                let end = end.clone();
                Cut::new(move || (end.cut)())
            }
        }
    }

    /// How the process ended; `None` if there is a limit and it does not end within it.
    pub(super) fn exit(&mut self, within: Option<Duration>) -> Option<Exit> {
        match &mut self.carrier {
            ProcessEnd::Child(child) => wait(child, within),
            ProcessEnd::Channel(channel) => channel.exit(within),
            #[cfg(test)]
            ProcessEnd::Simulated(end) => end.exit(within),
        }
    }

    /// Whether it is a child. Its status 255 may then come from an ssh that lost its connection.
    pub(super) fn is_child(&self) -> bool {
        matches!(self.carrier, ProcessEnd::Child(_))
    }

    /// What the process printed on standard error, and what ssh said about the connection. Call it when both
    /// have ended.
    pub(super) fn said(&self) -> String {
        self.last_words().text()
    }

    /// The same, for another thread.
    pub(super) fn last_words(&self) -> LastWords {
        let connection = match &self.carrier {
            ProcessEnd::Child(_) => None,
            ProcessEnd::Channel(channel) => Some(channel.words()),
            #[cfg(test)]
            ProcessEnd::Simulated(_) => None,
        };
        LastWords { noise: self.noise.clone(), connection }
    }
}

/// What is said at the end of a process, and of its connection.
#[derive(Debug)]
pub(super) struct LastWords {
    noise: Noise,
    connection: Option<Words>,
}

impl LastWords {
    /// The text; waits until the process prints no more.
    pub(super) fn text(&self) -> String {
        let noise = self.noise.text();
        match &self.connection {
            None => noise,
            Some(words) => [noise, words.text()].join("\n").trim().to_owned(),
        }
    }
}

fn wait(child: &mut Child, within: Option<Duration>) -> Option<Exit> {
    let exit = |status: std::process::ExitStatus| status.code().map_or(Exit::Killed, Exit::Status);
    let Some(within) = within else {
        return Some(child.wait().map_or(Exit::Killed, exit));
    };
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(exit(status)),
            Ok(None) if started.elapsed() < within => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => return None,
            Err(_) => return Some(Exit::Killed),
        }
    }
}
