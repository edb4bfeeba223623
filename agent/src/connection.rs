//! The connection to the controller, as the main thread sees it.
//!
//! A thread reads frames into a short queue, which bounds memory, and notices the end of the connection even while a
//! command is running. `wake` becomes readable with each frame, so that a thread which polls other files can wait for
//! frames too.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use batou_system::queue::{Empty, Receiver, Sender, bounded};
use batou_system::{clock, thread};
use rustix::event::{EventfdFlags, eventfd};

use crate::outbox::{Gone, Outbox, refuse};
use crate::protocol::{FrameError, HEARTBEAT, Reply, Request, encode, read_frame};

/// How many frames are read ahead.
const AHEAD: usize = 2;
/// How many requests may arrive while a command runs.
const EARLY: usize = 8;

type RequestFrame = (Request, Vec<u8>);

/// What the controller does next.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub(crate) enum Next {
    /// It asks for something, with the raw part of its frame.
    Frame(Request, Vec<u8>),
    /// It sent something that is not a request; nothing after it can be read.
    Broken(FrameError),
    /// It is gone.
    Ended,
    /// It has been silent for too long.
    Silent,
}

/// Why a running command is to be cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Disturbance {
    /// The controller is gone.
    #[error("the connection to the controller ended")]
    Ended,
    /// It has been silent for too long.
    #[error("the controller fell silent")]
    Silent,
    /// It wants the host to go back.
    #[error("the host goes back")]
    GoBack,
}

/// Wakes a thread that polls.
#[derive(Clone)]
pub(crate) struct Wake(Arc<OwnedFd>);

impl Wake {
    fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes it readable.
    pub(crate) fn call(&self) {
        // It fails only when the counter is full, and then it is readable already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next call.
    pub(crate) fn reset(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The connection to the controller.
pub(crate) struct Connection {
    frames: Receiver<Result<RequestFrame, FrameError>>,
    early: VecDeque<RequestFrame>,
    broken: Option<FrameError>,
    ended: bool,
    silent: bool,
    heard: Instant,
    silence: Box<dyn Fn() -> Duration + Send>,
    watched: bool,
    wake: Wake,
    outbox: Outbox,
}

impl Connection {
    /// Starts the threads that read and write. `silence` is how long a watched controller may say nothing.
    pub(crate) fn start(
        input: impl Read + Send + 'static,
        mut output: impl Write + Send + 'static,
        silence: impl Fn() -> Duration + Send + 'static,
    ) -> io::Result<Self> {
        let wake = Wake::new()?;
        let (sender, frames) = bounded(AHEAD);
        let theirs = wake.clone();
        let read = move || read_all(input, &sender, &theirs);
        if let Err(error) = thread::spawn("reader", read) {
            // Nobody is left to tell where that fails, too.
            let _ = refuse(&mut output, &error);
            return Err(error);
        }
        Ok(Self {
            frames,
            early: VecDeque::new(),
            broken: None,
            ended: false,
            silent: false,
            heard: clock::now(),
            silence: Box::new(silence),
            watched: false,
            wake,
            outbox: Outbox::start(output, Duration::from_secs(HEARTBEAT))?,
        })
    }

    /// Sets whether the controller must show from now on that it is alive.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.watched = watched;
        self.heard = clock::now();
    }

    /// Tells that a frame has arrived; others may use it to wake the thread too.
    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// How long the controller may stay silent from now on, if it is watched.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.watched.then(|| (self.silence)().saturating_sub(clock::now().duration_since(self.heard)))
    }

    /// Waits for the controller. The time that the agent itself took before does not count as silence.
    pub(crate) fn next(&mut self) -> Next {
        if let Some((request, raw)) = self.early.pop_front() {
            return Next::Frame(request, raw);
        }
        if let Some(error) = self.broken.take() {
            return Next::Broken(error);
        }
        if self.ended {
            return Next::Ended;
        }
        if self.silent {
            return Next::Silent;
        }
        self.heard = clock::now();
        let received =
            if self.watched { self.frames.recv_timeout((self.silence)()) } else { self.frames.recv() };
        match received {
            Ok(Ok((request, raw))) => Next::Frame(request, raw),
            Ok(Err(FrameError::Ended { .. } | FrameError::Io(_))) | Err(Empty::ForEver) => {
                self.ended = true;
                Next::Ended
            }
            Ok(Err(error)) => {
                self.ended = true;
                Next::Broken(error)
            }
            Err(Empty::Yet) => {
                self.silent = true;
                Next::Silent
            }
        }
    }

    /// Puts back a request that came out of order, so that it is the next one.
    pub(crate) fn put_back(&mut self, request: Request, raw: Vec<u8>) {
        self.early.push_front((request, raw));
    }

    /// Whether a running command is to be cut short, and why. It does not wait.
    pub(crate) fn disturbance(&mut self) -> Option<Disturbance> {
        while !self.ended {
            match self.frames.try_recv() {
                Ok(Ok((Request::Heartbeat, _))) => self.heard = clock::now(),
                Ok(Ok(frame)) => {
                    self.heard = clock::now();
                    self.early.push_back(frame);
                    // A controller never sends this many requests without waiting for an answer: it counts as gone.
                    self.ended = self.early.len() > EARLY;
                }
                Ok(Err(error)) => {
                    self.broken = Some(error)
                        .filter(|error| !matches!(error, FrameError::Ended { .. } | FrameError::Io(_)));
                    self.ended = true;
                }
                Err(Empty::ForEver) => self.ended = true,
                Err(Empty::Yet) => break,
            }
        }
        if self.early.iter().any(|(request, _)| matches!(request, Request::GoBack { .. })) {
            return Some(Disturbance::GoBack);
        }
        self.silent = self.watched && clock::now().duration_since(self.heard) >= (self.silence)();
        match (self.ended, self.silent) {
            (true, _) => Some(Disturbance::Ended),
            (_, true) => Some(Disturbance::Silent),
            _ => None,
        }
    }

    /// Sends a reply with the raw part of its frame.
    pub(crate) fn reply(&mut self, reply: &Reply, raw: &[u8]) -> Result<(), Gone> {
        let patience = self.watched.then(|| (self.silence)());
        self.outbox.send(encode(reply, raw), patience).inspect_err(|_| self.ended = true)
    }

    /// Ends the connection; with `flush`, once all replies are written.
    pub(crate) fn finish(self, flush: bool) {
        if flush {
            self.outbox.finish();
        }
    }
}

fn read_all(input: impl Read, frames: &Sender<Result<RequestFrame, FrameError>>, wake: &Wake) {
    let mut input = BufReader::with_capacity(64 << 10, input);
    loop {
        let frame = read_frame(&mut input);
        let ended = frame.is_err();
        if frames.send(frame).is_err() {
            return;
        }
        wake.call();
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::protocol::write_frame;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_heartbeat_is_heard_while_a_command_runs() {
        let (input, mut controller) = io::pipe().unwrap();
        let mut connection = Connection::start(input, io::sink(), || HOUR).unwrap();
        connection.watch(true);
        let watched = Instant::now();
        while Instant::now() == watched {}
        let began = Instant::now();
        for _ in 0..2 * EARLY {
            write_frame(&mut controller, &Request::Heartbeat, &[]).unwrap();
            assert_eq!(connection.disturbance(), None);
        }
        drop(controller);
        while connection.disturbance() != Some(Disturbance::Ended) {}
        assert!(connection.heard >= began, "what was heard before it ended");
        assert!(connection.early.is_empty(), "nothing of it is a request");
    }

    #[test]
    fn only_a_watched_controller_falls_silent() {
        let (input, _controller) = io::pipe().unwrap();
        let mut connection = Connection::start(input, io::sink(), || Duration::ZERO).unwrap();
        assert_eq!((connection.patience(), connection.disturbance()), (None, None));
        connection.watch(true);
        assert_eq!(connection.patience(), Some(Duration::ZERO));
        assert_eq!(connection.disturbance(), Some(Disturbance::Silent));
        assert!(matches!(connection.next(), Next::Silent));
    }
}
