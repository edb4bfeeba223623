//! A conversation with one agent: questions out, answers in.
//!
//! Each link has two threads that carry the frames. One writes, and sends a heartbeat when there has been
//! nothing to write for a while; the other reads. So an agent knows that its controller is alive whatever the
//! controller is waiting for, and a reply can arrive while a request is still being written. The agent sends
//! heartbeats too, so that a host that hangs with its connection open is noticed, whatever it was asked.
//!
//! Whoever asks sees two bounded queues and waits for them without blocking a thread: a command asks all its
//! hosts from one thread. Only copying objects also reads and writes files, so it has a thread for each host
//! ([`super::RemoteStore`]), which waits for the same futures.

use std::io::{BufReader, BufWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batou_system::queue::{Empty, Receiver, Sender, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::alarm::Alarm;
use super::error::{RemoteError, StartError};
use super::process::{LastWords, PipedProcess, ProcessHandle};
use super::thread;
use batou_agent::protocol::{
    FrameError, FrameLimits, HEARTBEAT, Question, Reply, Request, Terms, encode, read_limited_frame,
};

/// A reply with its raw bytes, or why there will be no more replies.
type Arrival = Result<(Reply, Vec<u8>), RemoteError>;

/// How many frames may wait in either direction; together with the size of a data frame this bounds a link's
/// memory.
const WAITING: usize = 4;
/// How long an agent that was told to end may take before its connection is cut.
const FAREWELL: Duration = Duration::from_secs(10);

/// A started agent: at the other end of a channel or of an `ssh`, or a child of this process.
#[derive(Debug)]
pub struct Link {
    handle: ProcessHandle,
    outgoing: Option<Sender<Waiting>>,
    /// Room for frames that wait to be written. The semaphore bounds the queue, which has no bound of its own:
    /// the writer has to wait for frames with a time limit, and no queue that can be filled without blocking a
    /// thread offers that.
    room: Arc<Semaphore>,
    incoming: mpsc::Receiver<Arrival>,
    /// What the answer to the last question may be like.
    terms: Terms,
    limits: SharedLimits,
    /// Whether the host failed to take in or answer something in time.
    late: bool,
    /// Whether the agent runs on this machine. It is then cut off in the middle of its work only if it has
    /// fallen silent.
    local: bool,
}

/// How large the next frame may be; read by the reading thread.
#[derive(Clone, Debug)]
struct SharedLimits(Arc<Mutex<FrameLimits>>);

impl SharedLimits {
    fn set(&self, limits: FrameLimits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn get(&self) -> FrameLimits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame that waits to be written, with the room it takes.
#[derive(Debug)]
struct Waiting {
    frame: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// When dropped, stops another thread's use of the link: nothing more is sent over it.
#[derive(Debug)]
pub(crate) struct Recall(Option<Arc<Semaphore>>);

impl Recall {
    /// The link has been given back, so there is nothing to stop.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        self.0.as_ref().inspect(|room| room.close());
    }
}

impl Link {
    /// Takes over a process whose agent has just started. The agent may be silent for as long as `patience`
    /// says.
    pub(super) fn new(process: PipedProcess, patience: Duration, local: bool) -> Result<Self, StartError> {
        let PipedProcess { to, from, handle } = process;
        let (outgoing, frames) = unbounded();
        let (arrivals, incoming) = mpsc::channel(WAITING);
        thread::spawn("writer", move || write(to, &frames))?;
        let alarm = Alarm::set(patience, handle.cut())?;
        let terms = Request::Heartbeat.terms();
        let limits = SharedLimits(Arc::new(Mutex::new(terms.limits)));
        let reader = FrameReader { from, alarm, limits: limits.clone(), last_words: handle.last_words() };
        thread::spawn("reader", move || reader.read(&arrivals))?;
        let room = Arc::new(Semaphore::new(WAITING));
        Ok(Link { handle, outgoing: Some(outgoing), room, incoming, terms, limits, late: false, local })
    }

    /// The conversation with an agent that is simulated and has greeted.
    #[cfg(test)]
    pub(crate) fn simulated(
        to: Box<dyn Write + Send>,
        from: Box<dyn Read + Send>,
        end: super::process::SimulatedEnd,
        patience: Duration,
    ) -> Result<Self, StartError> {
        Self::new(PipedProcess::simulated(to, from, end), patience, false)
    }

    /// Asks, and waits for the answer. If something is run, what it prints before the answer goes to `output`,
    /// together with whether it was printed as an error.
    pub async fn ask<A>(
        &mut self,
        question: &Question<A>,
        mut output: impl FnMut(bool, &[u8]),
    ) -> Result<A, RemoteError> {
        self.expect(question.terms());
        let asked = async {
            self.queue(question.encode()).await;
            loop {
                match accept(self.incoming.recv().await)? {
                    (Reply::Output { error }, bytes) if question.prints() => output(error, &bytes),
                    (reply, raw) => return question.read(reply, raw).map_err(RemoteError::from),
                }
            }
        };
        let answer = match question.terms().patience {
            Some(patience) => timeout(patience, asked).await.ok(),
            None => Some(asked.await),
        };
        answer.unwrap_or_else(|| Err(self.give_up()))
    }

    /// Queues a part of an exchange that is more than a question and its answer. Waits, but not forever, while
    /// the other end takes nothing in. Returns `false` if the connection has ended, and the next receive tells
    /// why: the agent may have sent an error before it ended.
    pub(super) async fn send(&mut self, request: &Request, raw: &[u8]) -> bool {
        self.expect(request.terms());
        let frame = encode(request, raw);
        let queued = match self.terms.patience {
            Some(patience) => timeout(patience, self.queue(frame)).await,
            None => Ok(self.queue(frame).await),
        };
        self.late |= queued.is_err();
        queued.unwrap_or(false)
    }

    fn expect(&mut self, terms: Terms) {
        self.terms = terms;
        self.limits.set(terms.limits);
    }

    /// Stops asking a host that is alive but does not answer.
    fn give_up(&mut self) -> RemoteError {
        self.late = true;
        self.finish();
        let Terms { verb, patience, .. } = self.terms;
        RemoteError::Late { verb, limit: patience.unwrap_or_default() }
    }

    async fn queue(&mut self, frame: Vec<u8>) -> bool {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            self.finish();
            return false;
        };
        let waiting = Waiting { frame, _room: room };
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.send(waiting).is_ok())
    }

    /// Waits for the next reply; an error of the agent becomes a [`RemoteError`].
    pub(super) async fn receive(&mut self) -> Result<(Reply, Vec<u8>), RemoteError> {
        let arrival = match self.terms.patience {
            _ if self.late => return Err(self.give_up()),
            Some(patience) => timeout(patience, self.incoming.recv()).await,
            None => Ok(self.incoming.recv().await),
        };
        match arrival {
            Ok(arrival) => accept(arrival),
            Err(_) => Err(self.give_up()),
        }
    }

    /// Waits for the end of the connection, while nothing is asked.
    pub(crate) async fn lost(&mut self) -> RemoteError {
        match accept(self.incoming.recv().await) {
            // Nothing was asked, so no reply can be an answer.
            Ok(_) => RemoteError::Protocol,
            Err(error) => error,
        }
    }

    /// Fails if the agent has already sent a reply: an error in the middle of a stream.
    pub(super) fn interrupted(&mut self) -> Result<(), RemoteError> {
        match self.incoming.try_recv() {
            Ok(arrival) => accept(Some(arrival)).map(drop),
            Err(mpsc::error::TryRecvError::Empty) => Ok(()),
            Err(mpsc::error::TryRecvError::Disconnected) => accept(None).map(drop),
        }
    }

    /// A guard that stops another thread's use of the link, unless it is forgotten.
    pub(crate) fn recall(&self) -> Recall {
        Recall(Some(Arc::clone(&self.room)))
    }

    /// Tells the agent that the conversation has ended; dropping the link waits for the agent.
    pub fn finish(&mut self) {
        self.outgoing = None;
        self.incoming.close();
    }

    /// Ends the conversation at once, for an agent that is not in the middle of anything.
    pub fn abandon(self) {
        if !self.local {
            self.handle.cut().now();
        }
    }
}

impl Drop for Link {
    /// Ends the conversation, and waits until the agent has finished what it was doing. A connection that does
    /// not end by itself is cut.
    fn drop(&mut self) {
        self.finish();
        let limit = (!self.local || self.late).then_some(FAREWELL);
        // An agent on this machine that does not end in time is left to finish its work.
        if self.handle.exit(limit).is_none() && !self.local {
            self.handle.cut().now();
            self.handle.exit(None);
        }
    }
}

fn accept(arrival: Option<Arrival>) -> Result<(Reply, Vec<u8>), RemoteError> {
    match arrival {
        Some(Ok((Reply::Error(error), _))) => Err(RemoteError::Agent(error)),
        Some(arrival) => arrival,
        // Why it ended has already been reported.
        None => Err(RemoteError::Lost { noise: String::new(), source: FrameError::Ended { clean: true } }),
    }
}

/// Writes frames as they come, and a heartbeat if none has come for a while.
fn write(to: Box<dyn Write + Send>, frames: &Receiver<Waiting>) {
    let mut to = BufWriter::new(to);
    let heartbeat = encode(&Request::Heartbeat, &[]);
    loop {
        let written = match frames.recv_timeout(Duration::from_secs(HEARTBEAT)) {
            Ok(Waiting { frame, _room: room }) => {
                // Once a frame is being written, the next may take its room in the queue.
                drop(room);
                to.write_all(&frame)
            }
            Err(Empty::Yet) => to.write_all(&heartbeat),
            Err(Empty::ForEver) => return,
        };
        if written.and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// The reading thread.
struct FrameReader {
    from: BufReader<Box<dyn Read + Send>>,
    alarm: Alarm,
    limits: SharedLimits,
    last_words: LastWords,
}

impl FrameReader {
    /// Reads frames until the connection ends; each is a sign of life.
    fn read(mut self, arrivals: &mpsc::Sender<Arrival>) {
        loop {
            let arrival = read_limited_frame(&mut self.from, || self.limits.get());
            if !matches!(arrival, Ok((Reply::Heartbeat, _))) {
                let ended = arrival.is_err();
                // The receiver may take its time, and that is not the agent's silence.
                self.alarm.hold();
                let arrival = arrival.map_err(|source| self.lost(source));
                if !thread::deliver(arrivals, arrival) || ended {
                    return;
                }
            }
            self.alarm.put_off();
        }
    }

    /// The end of the connection. This thread waits for the last words, because here nothing else is held up.
    fn lost(&self, source: FrameError) -> RemoteError {
        if matches!(source, FrameError::Malformed(_) | FrameError::TooLarge { .. }) {
            return RemoteError::Garbled(source);
        }
        let source = if self.alarm.rang().yes() { FrameError::Silent } else { source };
        RemoteError::Lost { noise: self.last_words.text(), source }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use batou_agent::protocol::question;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A shell script in place of an agent.
    fn link(script: &str) -> Link {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Link::new(PipedProcess::child("sh", command).unwrap(), PATIENCE, false).unwrap()
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    fn done(link: &mut Link) -> Result<(), RemoteError> {
        wait(link.ask(&question::unlock(), |_, _| {}))
    }

    /// `printf` of a frame.
    fn printf(reply: &Reply) -> String {
        let octal = |byte: &u8| format!("\\{byte:03o}");
        format!("printf '{}'", encode(reply, &[]).iter().map(octal).collect::<String>())
    }

    #[test]
    fn a_host_that_hangs_is_lost_and_one_that_works_is_not() {
        let start = Instant::now();
        let error = done(&mut link("exec sleep 100")).unwrap_err();
        assert!(matches!(error, RemoteError::Lost { source: FrameError::Silent, .. }), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(20));

        let (alive, answer) = (printf(&Reply::Heartbeat), printf(&Reply::Done));
        let script =
            format!("for i in 1 2 3 4 5 6 7 8; do sleep 0.1; {alive}; done; {answer}; exec sleep 100");
        done(&mut link(&script)).unwrap();
    }

    #[test]
    fn a_host_that_lives_and_does_not_answer_is_given_up() {
        let alive = printf(&Reply::Heartbeat);
        let question = question::unlock().within(Duration::from_millis(300));
        let script = format!("while sleep 0.1; do {alive}; done");
        let error = wait(link(&script).ask(&question, |_, _| {})).unwrap_err();
        assert!(matches!(error, RemoteError::Late { verb: "unlock", .. }), "{error:?}");
        let first = format!(
            "{}; {alive}; {alive}; {}; exec cat >&2",
            printf(&Reply::Heartbeat),
            printf(&Reply::Done)
        );
        wait(link(&first).ask(&question, |_, _| {})).unwrap();
    }

    #[test]
    fn what_is_larger_than_what_was_asked_for_is_not_read() {
        let error = done(&mut link("printf '\\001\\000\\000\\000'; exec cat >&2")).unwrap_err();
        assert!(
            matches!(error, RemoteError::Garbled(FrameError::TooLarge { announced: 0x100_0000, .. })),
            "{error:?}"
        );
    }

    #[test]
    fn a_controller_that_takes_its_time_is_no_silence() {
        let done = printf(&Reply::Done);
        let mut link = link(&format!("{done}; {done}; {done}; {done}; {done}; {done}; {done}; exec cat >&2"));
        std::thread::sleep(2 * PATIENCE);
        for _ in 0..7 {
            assert!(matches!(wait(link.receive()).unwrap().0, Reply::Done));
        }
    }

    #[test]
    fn an_answer_of_another_kind_is_an_error_and_output_none() {
        let (output, exit) = (printf(&Reply::Output { error: false }), printf(&Reply::Exited { status: 3 }));
        let script = format!("{output}; {output}; {exit}; {output}; exec cat >&2");
        let (mut link, mut heard) = (link(&script), 0);
        let exec = question::exec(Vec::new());
        assert_eq!(wait(link.ask(&exec, |_, _| heard += 1)).unwrap(), 3);
        assert_eq!(heard, 2);
        let error = done(&mut link).unwrap_err();
        assert!(matches!(error, RemoteError::Protocol), "{error:?}");
    }

    #[test]
    fn a_link_that_is_recalled_ends_whoever_sends_over_it() {
        // It takes nothing in, so the frames fill the pipe and then the queue.
        let mut link = link("exec sleep 100");
        let recall = link.recall();
        let sender = std::thread::spawn(move || {
            wait(async {
                let piece = vec![0; 1 << 16];
                while link.send(&Request::Data, &piece).await {}
                (link.receive().await, link.abandon()).0
            })
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(recall);
        assert!(matches!(sender.join().unwrap(), Err(RemoteError::Lost { .. })));
    }
}
