//! A conversation with one agent: requests out, replies in.
//!
//! Two threads a link carry the frames: one writes, and sends a heartbeat when there has been nothing to write for a
//! while; one reads. So an agent knows that its controller lives whatever the controller is waiting for, and a reply
//! can arrive while a request is still being written. The agent sends heartbeats too: a host that hangs with its
//! connection open is noticed, whatever it was asked. The async side sees two channels.

use std::io::{BufReader, BufWriter, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use super::RemoteError;
use super::alarm::{Alarm, Rang};
use super::process::{Handle, Process};
use batou_agent::protocol::{FrameError, HEARTBEAT, Reply, Request, encode, read_frame};

type Incoming = Result<(Reply, Vec<u8>), FrameError>;

/// How many frames may wait in either direction; with the size of a data frame this bounds a link's memory.
const WAITING: usize = 4;
/// How long an agent that was told to end may take before its connection is cut.
const FAREWELL: Duration = Duration::from_secs(10);

/// A started agent: at the other end of a channel or of an `ssh`, or a child of this process.
#[derive(Debug)]
pub struct Link {
    handle: Handle,
    outgoing: Option<SyncSender<Vec<u8>>>,
    incoming: mpsc::Receiver<Incoming>,
    /// Set where a silent agent is cut off.
    silent: Option<Rang>,
}

impl Link {
    /// Takes over a process whose agent has just started, and may be silent for as long as `patience` says; without one
    /// it is never cut off at its work.
    pub(super) fn new(process: Process, patience: Option<Duration>) -> Self {
        let Process { to, from, handle } = process;
        let (outgoing, frames) = sync_channel(WAITING);
        let (replies, incoming) = mpsc::channel(WAITING);
        std::thread::spawn(move || write(to, &frames));
        let alarm = patience.map(|patience| Alarm::set(patience, handle.cut()));
        let silent = alarm.as_ref().map(Alarm::rang);
        std::thread::spawn(move || read(from, &replies, alarm.as_ref()));
        Link { handle, outgoing: Some(outgoing), incoming, silent }
    }

    /// Asks, and waits for the one answer.
    pub async fn ask(&mut self, request: &Request, raw: &[u8]) -> Result<(Reply, Vec<u8>), RemoteError> {
        self.send(request, raw);
        self.receive().await
    }

    /// As [`Link::ask`], from a thread that may block.
    pub fn ask_blocking(&mut self, request: &Request) -> Result<(Reply, Vec<u8>), RemoteError> {
        self.send(request, &[]);
        self.receive_blocking()
    }

    /// Queues a frame; blocks while the other end takes nothing in. Where the connection has ended it says so
    /// (`false`), and the next receive tells why: an agent may have sent an error before it went.
    pub fn send(&mut self, request: &Request, raw: &[u8]) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.send(encode(request, raw)).is_ok())
    }

    /// Waits for the next reply; an agent's error becomes ours.
    pub async fn receive(&mut self) -> Result<(Reply, Vec<u8>), RemoteError> {
        let incoming = self.incoming.recv().await;
        self.accept(incoming)
    }

    /// As [`Link::receive`], from a thread that may block.
    pub fn receive_blocking(&mut self) -> Result<(Reply, Vec<u8>), RemoteError> {
        let incoming = self.incoming.blocking_recv();
        self.accept(incoming)
    }

    /// The agent's word that has arrived already, if there is one: an error in the middle of a stream.
    pub fn interrupted(&mut self) -> Result<(), RemoteError> {
        match self.incoming.try_recv() {
            Ok(incoming) => self.accept(Some(incoming)).map(drop),
            Err(mpsc::error::TryRecvError::Empty) => Ok(()),
            Err(mpsc::error::TryRecvError::Disconnected) => self.accept(None).map(drop),
        }
    }

    fn accept(&self, incoming: Option<Incoming>) -> Result<(Reply, Vec<u8>), RemoteError> {
        match incoming {
            Some(Ok((Reply::Error(error), _))) => Err(RemoteError::Agent(error)),
            Some(Ok(reply)) => Ok(reply),
            Some(Err(source)) => Err(self.lost(source)),
            None => Err(self.lost(FrameError::Ended { clean: true })),
        }
    }

    fn lost(&self, source: FrameError) -> RemoteError {
        let source = if self.silent.as_ref().is_some_and(Rang::yes) { FrameError::Silent } else { source };
        RemoteError::Lost { noise: self.handle.said(), source }
    }

    fn is_local(&self) -> bool {
        self.silent.is_none()
    }

    /// Tells the agent that the conversation has ended; dropping the link waits for it.
    pub fn finish(&mut self) {
        self.outgoing = None;
        self.incoming.close();
    }

    /// Ends the conversation at once, for an agent that has nothing in hand.
    pub fn abandon(self) {
        if !self.is_local() {
            self.handle.cut().now();
        }
    }
}

impl Drop for Link {
    /// Ends the conversation, and waits until the agent has finished what it was at; a connection that does not end by
    /// itself is cut.
    fn drop(&mut self) {
        self.finish();
        let limit = (!self.is_local()).then_some(FAREWELL);
        if self.handle.exit(limit).is_none() {
            self.handle.cut().now();
            self.handle.exit(None);
        }
    }
}

/// Writes frames as they come, and a heartbeat when none has come for a while.
fn write(to: Box<dyn Write + Send>, frames: &Receiver<Vec<u8>>) {
    let mut to = BufWriter::new(to);
    let heartbeat = encode(&Request::Heartbeat, &[]);
    loop {
        let frame = match frames.recv_timeout(Duration::from_secs(HEARTBEAT)) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) => heartbeat.clone(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if to.write_all(&frame).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// Reads frames until the connection ends; each is a sign of life.
fn read(mut from: BufReader<Box<dyn Read + Send>>, replies: &mpsc::Sender<Incoming>, alarm: Option<&Alarm>) {
    loop {
        let incoming = read_frame(&mut from);
        if !matches!(incoming, Ok((Reply::Heartbeat, _))) {
            let ended = incoming.is_err();
            // Whoever takes it may take his time: that is no silence of the agent's.
            alarm.inspect(|alarm| alarm.hold());
            if replies.blocking_send(incoming).is_err() || ended {
                return;
            }
        }
        alarm.inspect(|alarm| alarm.put_off());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A shell script in place of an agent.
    fn link(script: &str) -> Link {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Link::new(Process::child(command).unwrap(), Some(PATIENCE))
    }

    /// `printf` of a frame.
    fn printf(reply: &Reply) -> String {
        let octal = |byte: &u8| format!("\\{byte:03o}");
        format!("printf '{}'", encode(reply, &[]).iter().map(octal).collect::<String>())
    }

    #[test]
    fn a_host_that_hangs_is_lost_and_one_that_works_is_not() {
        let start = Instant::now();
        let error = link("exec sleep 100").ask_blocking(&Request::Journal).unwrap_err();
        assert!(matches!(error, RemoteError::Lost { source: FrameError::Silent, .. }), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(20));

        let (alive, done) = (printf(&Reply::Heartbeat), printf(&Reply::Done));
        let script = format!("for i in 1 2 3 4 5 6 7 8; do sleep 0.1; {alive}; done; {done}; exec sleep 100");
        let reply = link(&script).ask_blocking(&Request::Journal).unwrap().0;
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    #[test]
    fn a_controller_that_takes_its_time_is_no_silence() {
        let done = printf(&Reply::Done);
        let mut link = link(&format!("{done}; {done}; {done}; {done}; {done}; {done}; {done}; exec cat >&2"));
        std::thread::sleep(2 * PATIENCE);
        for _ in 0..7 {
            assert!(matches!(link.receive_blocking().unwrap().0, Reply::Done));
        }
    }
}
