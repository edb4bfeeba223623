//! Running a command: in a process group of its own, with its output watched and bounded.
//!
//! The main thread polls the command's output, its end and the connection at once. A command that takes too long, or
//! whose controller is gone, is killed with its whole process group. Once a command has ended, nobody waits for the
//! end of its output: a process that it left in the background may keep that open for ever.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use batou_system::{clock, thread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::connection::{Connection, Disturbance, Wake};
use crate::protocol::Reply;
use crate::user::User;

/// How many bytes of output are kept: the last ones.
pub(crate) const OUTPUT: usize = 16 << 10;
/// The most that is still read of a command's output once it has ended, in bytes of each stream.
const REST: usize = 1 << 20;
/// Where commands are looked for, whatever the agent's own environment says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a running command has to do with the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Its output is passed on, and it is killed when the controller is gone.
    Live,
    /// It is killed when the controller is gone.
    Quiet,
    /// It runs to its end: the host is going back.
    Deaf,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Termination {
    /// By itself: the exit status, or 128 and the signal's number.
    Status(i32),
    /// It was killed when its time was over.
    TimedOut,
    /// It was killed because of what the controller did.
    Disturbed(Disturbance),
}

/// A command that has ended.
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) ending: Termination,
    /// The end of what it printed, at most [`OUTPUT`] bytes.
    pub(crate) output: String,
}

/// A command that was run for what it prints.
pub(crate) struct CapturedOutput {
    /// How it ended.
    pub(crate) ending: Termination,
    /// All of its standard output; `None` if that was more than allowed, for which it was killed.
    pub(crate) output: Option<Vec<u8>>,
    /// The end of its standard error, at most [`OUTPUT`] bytes.
    pub(crate) errors: String,
}

/// A command that is to run in `directory`, with a small environment that does not depend on the agent's.
pub(crate) fn prepare(program: &Path, directory: &Path, user: &User) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear();
    command.env("PATH", PATH).env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    command.env("SHELL", "/bin/sh").env("LANG", "C.UTF-8");
    command
}

/// Runs a command to its end; `started` is called with its process group.
pub(crate) fn run(
    command: &mut Command,
    timeout: Option<Duration>,
    connection: &mut Connection,
    attention: Attention,
    started: impl FnOnce(i32),
) -> io::Result<Finished> {
    #[cfg(feature = "simulation")]
    if let Some(program) = batou_system::simulation::start_program(command) {
        started(program.number());
        let ending = simulated(&program, timeout, connection, attention);
        return Ok(Finished { ending, output: String::new() });
    }
    let mut running = RunningCommand::start(command, connection.wake())?;
    started(running.group().as_raw_nonzero().get());
    let ending = running.finish(timeout, connection, attention)?;
    Ok(Finished { ending, output: running.tail.text() })
}

/// Runs a command to its end and captures its standard output, of which at most `limit` bytes are allowed. The
/// command is killed when the controller is gone.
pub(crate) fn capture(
    command: &mut Command,
    timeout: Duration,
    connection: &mut Connection,
    limit: usize,
) -> io::Result<CapturedOutput> {
    let mut running = RunningCommand::start(command, connection.wake())?;
    running.kept = Some(CaptureBuffer { bytes: Vec::new(), limit });
    let ending = running.finish(Some(timeout), connection, Attention::Quiet)?;
    let output = running.kept.filter(|kept| !kept.is_over()).map(|kept| kept.bytes);
    Ok(CapturedOutput { ending, output, errors: running.tail.text() })
}

/// Watches a program that is simulated, as [`RunningCommand`] does a real one.
#[cfg(feature = "simulation")]
fn simulated(
    program: &batou_system::simulation::Program,
    timeout: Option<Duration>,
    connection: &mut Connection,
    attention: Attention,
) -> Termination {
    let deadline = timeout.and_then(|timeout| clock::now().checked_add(timeout));
    loop {
        if let Some(status) = program.status() {
            return Termination::Status(status);
        }
        let cut = if deadline.is_some_and(|deadline| clock::now() >= deadline) {
            Some(Termination::TimedOut)
        } else {
            let disturbance = if attention == Attention::Deaf { None } else { connection.disturbance() };
            disturbance.map(Termination::Disturbed)
        };
        if let Some(cut) = cut {
            program.kill();
            return cut;
        }
        let patience = connection.patience().filter(|_| attention != Attention::Deaf);
        let silent = patience.map(|patience| clock::now() + patience);
        if !program.wait(deadline.into_iter().chain(silent).min()) {
            return Termination::Status(1);
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

struct RunningCommand {
    child: Child,
    exited: Arc<AtomicBool>,
    streams: Vec<Stream>,
    tail: OutputTail,
    kept: Option<CaptureBuffer>,
}

struct Stream {
    file: File,
    error: bool,
}

impl RunningCommand {
    fn start(command: &mut Command, wake: &Wake) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let exited = Arc::new(AtomicBool::new(false));
        let mut streams = Vec::new();
        streams
            .extend(child.stdout.take().map(|out| Stream { file: OwnedFd::from(out).into(), error: false }));
        streams
            .extend(child.stderr.take().map(|out| Stream { file: OwnedFd::from(out).into(), error: true }));
        let mut running =
            Self { child, exited: Arc::clone(&exited), streams, tail: OutputTail::default(), kept: None };
        if let Err(error) = running.watch(exited, wake.clone()) {
            running.end(true)?;
            return Err(error);
        }
        Ok(running)
    }

    /// Watches the command until it has ended, or ends it.
    fn finish(
        &mut self,
        timeout: Option<Duration>,
        connection: &mut Connection,
        attention: Attention,
    ) -> io::Result<Termination> {
        let deadline = timeout.and_then(|timeout| clock::now().checked_add(timeout));
        let cut = self.attend(deadline, connection, attention);
        let ended = matches!(cut, Ok(None));
        let status = self.end(!ended)?;
        if ended {
            self.pass_on(REST, connection, attention)?;
        }
        Ok(cut?.unwrap_or_else(|| Termination::Status(code(status))))
    }

    /// Has a thread wait for the command to end. The thread does not reap it: until somebody does, the kernel gives
    /// the group's id to nobody else, so it is safe to kill the group.
    fn watch(&self, exited: Arc<AtomicBool>, wake: Wake) -> io::Result<()> {
        for stream in &self.streams {
            rustix::io::ioctl_fionbio(&stream.file, true)?;
        }
        let group = self.group();
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(group), options), Err(rustix::io::Errno::INTR)) {}
            exited.store(true, Ordering::Release);
            wake.call();
        };
        thread::spawn("waiter", wait).map(drop)
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Passes output on until the command ends (`None`) or is to be cut short.
    fn attend(
        &mut self,
        deadline: Option<Instant>,
        connection: &mut Connection,
        attention: Attention,
    ) -> io::Result<Option<Termination>> {
        while !self.exited.load(Ordering::Acquire) {
            if deadline.is_some_and(|deadline| clock::now() >= deadline) {
                return Ok(Some(Termination::TimedOut));
            }
            if attention != Attention::Deaf
                && let Some(disturbance) = connection.disturbance()
            {
                return Ok(Some(Termination::Disturbed(disturbance)));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            let patience = if attention == Attention::Deaf { None } else { connection.patience() };
            self.wait(left.into_iter().chain(patience).min(), connection.wake())?;
            self.pass_on(64 << 10, connection, attention)?;
            if self.kept.as_ref().is_some_and(CaptureBuffer::is_over) {
                self.kill();
            }
        }
        Ok(None)
    }

    /// Waits until there is output, a frame, or an end.
    fn wait(&self, at_most: Option<Duration>, wake: &Wake) -> io::Result<()> {
        let mut files: Vec<_> =
            self.streams.iter().map(|stream| PollFd::new(&stream.file, PollFlags::IN)).collect();
        files.push(PollFd::new(wake, PollFlags::IN));
        let timeout = at_most.and_then(|duration| Timespec::try_from(duration).ok());
        match poll(&mut files, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => drop(other?),
        }
        wake.reset();
        Ok(())
    }

    /// Takes what the command has printed, at most about `limit` bytes of each stream.
    fn pass_on(&mut self, limit: usize, connection: &mut Connection, attention: Attention) -> io::Result<()> {
        let mut buffer = vec![0; 16 << 10];
        let mut open = Vec::new();
        for mut stream in self.streams.drain(..) {
            let mut taken = 0;
            let ended = loop {
                match stream.file.read(&mut buffer) {
                    Ok(0) => break true,
                    Ok(count) => {
                        taken += count;
                        match &mut self.kept {
                            Some(kept) if !stream.error => kept.add(&buffer[..count]),
                            _ => self.tail.add(&buffer[..count]),
                        }
                        if attention == Attention::Live {
                            // If the controller is gone, `disturbance` will say so.
                            let _ =
                                connection.reply(&Reply::Output { error: stream.error }, &buffer[..count]);
                        }
                        if taken >= limit {
                            break false;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            };
            if !ended {
                open.push(stream);
            }
        }
        self.streams = open;
        Ok(())
    }

    /// Reaps the command; with `kill`, kills its group first.
    fn end(&mut self, kill: bool) -> io::Result<ExitStatus> {
        if kill {
            self.kill();
        }
        self.child.wait()
    }

    fn kill(&self) {
        // This can fail only because the group is gone already.
        let _ = kill_process_group(self.group(), Signal::KILL);
    }
}

/// The first bytes of an output, up to one more than the limit, which shows that there were more.
struct CaptureBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl CaptureBuffer {
    fn add(&mut self, bytes: &[u8]) {
        let room = (self.limit + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn is_over(&self) -> bool {
        self.bytes.len() > self.limit
    }
}

/// The last bytes of an output.
#[derive(Default)]
struct OutputTail(Vec<u8>);

impl OutputTail {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        if self.0.len() > 4 * OUTPUT {
            self.0.drain(..self.0.len() - OUTPUT);
        }
    }

    /// As text of at most [`OUTPUT`] bytes; what is not UTF-8 is replaced.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let start = text.len().saturating_sub(OUTPUT);
        let start = (start..=text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
        text[start..].to_owned()
    }
}
