//! Frames on their way to the controller.
//!
//! A thread of its own writes them, so that an agent whose controller has stopped reading notices that, and can go
//! back from a release that is not committed. The queue is bounded: a sender waits for room in it. While it is empty, the thread
//! sends a heartbeat now and then.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batou_system::clock;
use batou_system::shared::Shared;
use batou_system::thread::{self, Thread};

use crate::protocol::{AgentError, ErrorKind, Reply, encode, write_frame};

/// How many bytes may be queued before a sender has to wait.
const WAITING: usize = 1 << 20;

/// The controller does not take frames any more.
#[derive(Debug)]
pub(crate) struct Gone;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    finished: bool,
    failed: bool,
}

/// The sending half of a connection.
pub(crate) struct Outbox {
    queue: Arc<Shared<Queue>>,
    writer: Option<Thread<()>>,
}

impl Outbox {
    /// Starts the thread that writes to `output`, and a heartbeat after each `pause` without a frame.
    pub(crate) fn start(output: impl Write + Send + 'static, pause: Duration) -> io::Result<Self> {
        let queue = Arc::new(Shared::new(Queue::default()));
        let theirs = Arc::clone(&queue);
        // Without a thread this one says so.
        let output = Arc::new(Mutex::new(Some(output)));
        let kept = Arc::clone(&output);
        let write = move || {
            if let Some(mut output) = take(&output) {
                write_all(&theirs, &mut output, pause);
            }
        };
        let writer = thread::spawn("writer", write).inspect_err(|error| {
            // Nobody is left to tell where that fails, too.
            let _ = take(&kept).map(|mut output| refuse(&mut output, error));
        })?;
        Ok(Self { queue, writer: Some(writer) })
    }

    /// Queues a frame. Waits for room; if there is a `patience`, for no longer than that.
    pub(crate) fn send(&self, frame: Vec<u8>, patience: Option<Duration>) -> Result<(), Gone> {
        let deadline = patience.and_then(|patience| clock::now().checked_add(patience));
        let mut frame = Some(frame);
        let queued = self.queue.wait(deadline, |queue| {
            if queue.failed {
                return Some(Err(Gone));
            }
            if queue.bytes > WAITING {
                return None;
            }
            queue.bytes += frame.as_ref().map_or(0, Vec::len);
            queue.frames.extend(frame.take());
            Some(Ok(()))
        });
        queued.unwrap_or_else(|| {
            self.queue.change(|queue| queue.failed = true);
            Err(Gone)
        })
    }

    /// Waits until everything is written, or cannot be. A thread that a sender has waited for in vain is not waited
    /// for again.
    pub(crate) fn finish(mut self) {
        self.close();
        let failed = self.queue.look(|queue| queue.failed);
        if let Some(writer) = self.writer.take().filter(|_| !failed) {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }

    fn close(&self) {
        self.queue.change(|queue| queue.finished = true);
    }
}

/// Tells a controller whose connection cannot be served for want of a thread.
pub(crate) fn refuse(output: &mut impl Write, error: &io::Error) -> io::Result<()> {
    let message = batou_system::limits::no_thread("this host", error);
    let error = AgentError { kind: ErrorKind::Host, message, run: None };
    write_frame(output, &Reply::Error(error), &[])
}

fn take<T>(shared: &Mutex<Option<T>>) -> Option<T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_all(queue: &Shared<Queue>, output: &mut impl Write, pause: Duration) {
    let heartbeat = encode(&Reply::Heartbeat, &[]);
    loop {
        let deadline = clock::now().checked_add(pause);
        let next = queue.wait(deadline, |queue| match queue.frames.pop_front() {
            Some(frame) => Some(Some(frame)),
            None => queue.finished.then_some(None),
        });
        let (frame, queued) = match &next {
            Some(Some(frame)) => (frame, frame.len()),
            Some(None) => return,
            None => (&heartbeat, 0),
        };
        let written = output.write_all(frame).and_then(|()| output.flush());
        let failed = queue.change(|queue| {
            queue.bytes -= queued;
            queue.failed |= written.is_err();
            queue.failed
        });
        if failed {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::protocol::read_frame;

    #[test]
    fn a_host_without_a_thread_left_says_so() {
        let mut said = Vec::new();
        refuse(&mut said, &io::ErrorKind::WouldBlock.into()).unwrap();
        let (Reply::Error(error), _) = read_frame(&mut &said[..]).unwrap() else { panic!() };
        assert_eq!(error.kind, ErrorKind::Host);
        assert!(error.message.starts_with("this host lets batou start no more threads"), "{error}");
    }

    #[test]
    fn who_has_nothing_to_say_says_that_he_lives() {
        let (from, to) = std::io::pipe().unwrap();
        let outbox = Outbox::start(to, Duration::from_millis(20)).unwrap();
        let mut from = BufReader::new(from);
        let next = |from: &mut BufReader<_>| read_frame::<Reply>(from).map(|(reply, _)| reply);
        for _ in 0..3 {
            assert!(matches!(next(&mut from), Ok(Reply::Heartbeat)));
        }
        outbox.send(encode(&Reply::Done, &[]), None).unwrap();
        outbox.finish();
        let mut others = std::iter::repeat_with(|| next(&mut from))
            .skip_while(|reply| matches!(reply, Ok(Reply::Heartbeat)));
        assert!(matches!(others.next(), Some(Ok(Reply::Done))));
    }
}
