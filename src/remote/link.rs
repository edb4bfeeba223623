//! A conversation with one agent: requests out, replies in.
//!
//! Two threads a link carry the frames: one writes, and sends a heartbeat when there has been nothing to write for a
//! while; one reads. So an agent knows that its controller lives whatever the controller is waiting for, and a reply
//! can arrive while a request is still being written. The async side sees two channels.

use std::io::{BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::RemoteError;
use crate::protocol::{FrameError, HEARTBEAT, Reply, Request, encode, read_frame};

type Incoming = Result<(Reply, Vec<u8>), FrameError>;

/// How many frames may wait in either direction; with the size of a data frame this bounds a link's memory.
const WAITING: usize = 4;
/// How much of what the other side printed on standard error is kept, in bytes.
const NOISE: usize = 4096;
/// How long the end of what an ended child printed is waited for: somebody else may hold its standard error open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long an agent that was told to end may take before its connection is cut.
const FAREWELL: Duration = Duration::from_secs(10);

/// A started agent at the other end of a child process: `ssh`, or the agent itself.
#[derive(Debug)]
pub struct Link {
    child: Child,
    outgoing: Option<SyncSender<Vec<u8>>>,
    incoming: mpsc::Receiver<Incoming>,
    noise: Noise,
    local: bool,
}

/// The end of what a child printed on standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct Noise(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    heard: Mutex<Heard>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

impl Noise {
    /// Collects from a reader in the background.
    pub(super) fn collect(mut from: impl Read + Send + 'static) -> Self {
        let noise = Noise::default();
        let shared = Arc::clone(&noise.0);
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                let Ok(mut heard) = shared.heard.lock() else { return };
                heard.bytes.extend_from_slice(&piece[..count]);
                let excess = heard.bytes.len().saturating_sub(NOISE);
                heard.bytes.drain(..excess);
            }
            if let Ok(mut heard) = shared.heard.lock() {
                heard.ended = true;
                shared.ended.notify_all();
            }
        });
        noise
    }

    /// The text, without surrounding space. It is asked for when the child is at its end: what it said last may still
    /// have to be read.
    pub(super) fn text(&self) -> String {
        let Ok(heard) = self.0.heard.lock() else { return String::new() };
        let heard = self.0.ended.wait_timeout_while(heard, LAST_WORDS, |heard| !heard.ended);
        heard.map(|(heard, _)| String::from_utf8_lossy(&heard.bytes).trim().to_owned()).unwrap_or_default()
    }
}

impl Link {
    /// Takes over a child whose agent has just started. A `local` one is never killed at its work.
    pub(super) fn new(
        child: Child,
        to: ChildStdin,
        from: BufReader<ChildStdout>,
        noise: Noise,
        local: bool,
    ) -> Self {
        let (outgoing, frames) = sync_channel(WAITING);
        let (replies, incoming) = mpsc::channel(WAITING);
        std::thread::spawn(move || write(to, &frames));
        std::thread::spawn(move || read(from, &replies));
        Link { child, outgoing: Some(outgoing), incoming, noise, local }
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
            Some(Err(source)) => Err(RemoteError::Lost { noise: self.noise.text(), source }),
            None => {
                Err(RemoteError::Lost { noise: self.noise.text(), source: FrameError::Ended { clean: true } })
            }
        }
    }

    /// Tells the agent that the conversation has ended; dropping the link waits for it.
    pub fn finish(&mut self) {
        self.outgoing = None;
        self.incoming.close();
    }

    /// Ends the conversation at once, for an agent that has nothing in hand.
    pub fn abandon(mut self) {
        if !self.local {
            let _ = self.child.kill();
        }
    }
}

impl Drop for Link {
    /// Ends the conversation, and waits until the agent has finished what it was at; a connection that does not end by
    /// itself is cut.
    fn drop(&mut self) {
        self.finish();
        let started = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if started.elapsed() > FAREWELL && !self.local {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Writes frames as they come, and a heartbeat when none has come for a while.
fn write(to: ChildStdin, frames: &Receiver<Vec<u8>>) {
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

/// Reads frames until the connection ends.
fn read(mut from: BufReader<ChildStdout>, replies: &mpsc::Sender<Incoming>) {
    loop {
        let incoming = read_frame(&mut from);
        let ended = incoming.is_err();
        if replies.blocking_send(incoming).is_err() || ended {
            return;
        }
    }
}
