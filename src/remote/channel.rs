//! A process on a host at the other end of a channel of its connection, opened by the `openssh` crate.
//!
//! The crate hands the master a socket and a pipe of ours as the process's standard input, output and error. So
//! the threads here read and write them like those of a child, with no code of ours in between. The crate's
//! runtime only waits for the exit status.
//!
//! Input and output are one socket, because a socket can be shut down from any thread: this wakes whoever waits
//! on it, even if the master itself has been stopped. Closing what the crate holds makes the master close the
//! channel, which tells the host that nobody is there any more. If the controller is killed, the kernel does
//! both.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use openssh::{Error, Session, Stdio};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::alarm::until;
use super::cut::{Cut, Exit};
use super::master::{Master, answers};
use super::noise::Noise;

/// One channel. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Channel {
    master: Arc<Master>,
    stream: Arc<UnixStream>,
    waiting: AbortHandle,
    // This lock is never contended. It is here because threads share what holds a channel.
    exits: Mutex<Receiver<Exit>>,
    exit: Option<Exit>,
    /// How many bytes the master had printed when the channel was opened.
    mark: u64,
}

/// A channel with the ends of its process's standard input, output and error.
pub(super) struct OpenChannel {
    pub(super) channel: Channel,
    pub(super) to: Box<dyn Write + Send>,
    pub(super) from: Box<dyn Read + Send>,
    pub(super) noise: Noise,
}

/// Why a channel could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The connection is gone.
    Gone,
    /// The host allows no further channel, or this machine has no room for one.
    Refused,
    /// The host did not answer in time.
    Late,
}

impl Channel {
    /// Starts a command on the master's host.
    pub(super) fn open(
        master: &Arc<Master>,
        runtime: &Handle,
        command: &str,
        deadline: Instant,
    ) -> Result<OpenChannel, Refusal> {
        let pair = || io::Result::Ok((UnixStream::pair()?, io::pipe()?));
        let ((ours, theirs), (errors, their_errors)) = pair().map_err(|_| Refusal::Refused)?;
        let input = theirs.try_clone().map_err(|_| Refusal::Refused)?;
        let mark = master.said();
        let mut remote = Arc::clone(master.session()).arc_raw_command(command);
        remote.stdin(Stdio::from(OwnedFd::from(input)));
        remote.stdout(Stdio::from(OwnedFd::from(theirs)));
        remote.stderr(Stdio::from(OwnedFd::from(their_errors)));
        let spawn = async {
            match remote.spawn().await {
                Ok(child) => Ok(child),
                Err(_) if answers(master.session()).await => Err(Refusal::Refused),
                Err(_) => Err(Refusal::Gone),
            }
        };
        let spawned = runtime.block_on(async { timeout(until(deadline), spawn).await });
        // It holds the master's ends of the socket and the pipe. Until it is dropped, they would never be seen
        // to close.
        drop(remote);
        let child = spawned.unwrap_or(Err(Refusal::Late))?;
        let (tell, exits) = sync_channel(1);
        let session = Arc::clone(master.session());
        let waiting = runtime.spawn(async move {
            // Nobody may be waiting for it any more.
            let _ = tell.send(exit(child.wait().await, &session).await);
        });
        let noise = Noise::collect(errors).map_err(|_| Refusal::Refused)?;
        let stream = Arc::new(ours);
        let (to, from) = (Sending(Arc::clone(&stream)), Receiving(Arc::clone(&stream)));
        let (waiting, exits) = (waiting.abort_handle(), Mutex::new(exits));
        let channel = Channel { master: Arc::clone(master), stream, waiting, exits, exit: None, mark };
        Ok(OpenChannel { channel, to: Box::new(to), from: Box::new(from), noise })
    }

    /// Cuts the channel off. A host that had to be cut off is not trusted to answer, so its connection is not
    /// used again.
    pub(super) fn cut(&self) -> Cut {
        let (stream, waiting) = (Arc::clone(&self.stream), self.waiting.clone());
        let master = Arc::downgrade(&self.master);
        Cut::new(move || {
            if let Some(master) = master.upgrade() {
                master.doubt();
            }
            // The only possible failure is that it is already shut down.
            let _ = stream.shutdown(Shutdown::Both);
            waiting.abort();
        })
    }

    /// How the process ended; `None` if there is a limit and it does not end within it.
    pub(super) fn exit(&mut self, within: Option<Duration>) -> Option<Exit> {
        if self.exit.is_none() {
            let exits = self.exits.get_mut().unwrap_or_else(PoisonError::into_inner);
            let heard = match within {
                Some(within) => exits.recv_timeout(within),
                None => exits.recv().map_err(RecvTimeoutError::from),
            };
            self.exit = match heard {
                Ok(exit) => Some(exit),
                Err(RecvTimeoutError::Disconnected) => Some(Exit::Disconnected),
                Err(RecvTimeoutError::Timeout) => None,
            };
        }
        self.exit
    }

    /// What ssh says about the connection from the opening of the channel on.
    pub(super) fn words(&self) -> Words {
        Words { master: Arc::downgrade(&self.master), mark: self.mark }
    }
}

/// What ssh has said about a connection since some moment. Does not keep the connection open.
#[derive(Debug)]
pub(super) struct Words {
    master: Weak<Master>,
    mark: u64,
}

impl Words {
    /// The text; empty once the connection is gone.
    pub(super) fn text(&self) -> String {
        self.master.upgrade().map_or_else(String::new, |master| master.words_since(self.mark))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}

/// Translates how the crate says that a process ended. The crate turns status 127 into an error of its own.
/// Another of its errors stands both for a killed process and for a lost connection; a master that still
/// answers tells them apart.
async fn exit(ended: Result<std::process::ExitStatus, Error>, session: &Session) -> Exit {
    match ended {
        Ok(status) => status.code().map_or(Exit::Killed, Exit::Status),
        Err(Error::Remote(_)) => Exit::Status(127),
        Err(_) if answers(session).await => Exit::Killed,
        Err(_) => Exit::Disconnected,
    }
}

/// The half of a channel that is written to. Dropping it ends the process's input.
struct Sending(Arc<UnixStream>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // The only possible failure is that it is already shut down.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

/// The half that is read from.
struct Receiving(Arc<UnixStream>);

impl Read for Receiving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}
