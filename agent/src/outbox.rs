//! Frames on their way to the controller.
//!
//! A thread of its own writes them, so that an agent whose controller has stopped reading notices that, and can go
//! back from a release that is not committed. The queue is bounded: a sender waits for room in it. While it is empty, the thread
//! sends a heartbeat now and then.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

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

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// The sending half of a connection.
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Outbox {
    /// Starts the thread that writes to `output`, and a heartbeat after each `pause` without a frame.
    pub(crate) fn start(output: impl Write + Send + 'static, pause: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        // Without a thread this one says so.
        let output = Arc::new(Mutex::new(output));
        let kept = Arc::clone(&output);
        let write = move || write_all(&theirs, &mut *lock(&output), pause);
        let writer = std::thread::Builder::new().name("writer".into()).spawn(write).inspect_err(|error| {
            // Nobody is left to tell where that fails, too.
            let _ = refuse(&mut *lock(&kept), error);
        })?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Queues a frame. Waits for room; if there is a `patience`, for no longer than that.
    pub(crate) fn send(&self, frame: Vec<u8>, patience: Option<Duration>) -> Result<(), Gone> {
        let has_no_room = |queue: &mut Queue| queue.bytes > WAITING && !queue.failed;
        let queue = self.shared.queue();
        let mut queue = match patience {
            None => {
                self.shared.changed.wait_while(queue, has_no_room).unwrap_or_else(PoisonError::into_inner)
            }
            Some(patience) => {
                let waited = self.shared.changed.wait_timeout_while(queue, patience, has_no_room);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if queue.failed || queue.bytes > WAITING {
            queue.failed = true;
            return Err(Gone);
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits until everything is written, or cannot be. A thread that a sender has waited for in vain is not waited
    /// for again.
    pub(crate) fn finish(mut self) {
        self.close();
        let failed = self.shared.queue().failed;
        if let Some(writer) = self.writer.take().filter(|_| !failed) {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }

    fn close(&self) {
        self.shared.queue().finished = true;
        self.shared.changed.notify_all();
    }
}

/// Tells a controller whose connection cannot be served for want of a thread.
pub(crate) fn refuse(output: &mut impl Write, error: &io::Error) -> io::Result<()> {
    let message = batou_store::no_thread("this host", error);
    let error = AgentError { kind: ErrorKind::Host, message, run: None };
    write_frame(output, &Reply::Error(error), &[])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_all(shared: &Shared, output: &mut impl Write, pause: Duration) {
    let heartbeat = encode(&Reply::Heartbeat, &[]);
    loop {
        let empty = |queue: &mut Queue| queue.frames.is_empty() && !queue.finished;
        let waited = shared.changed.wait_timeout_while(shared.queue(), pause, empty);
        let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let (frame, queued) = match queue.frames.pop_front() {
            Some(frame) => (frame, true),
            None if waited.timed_out() => (heartbeat.clone(), false),
            None => return,
        };
        drop(queue);
        let written = output.write_all(&frame).and_then(|()| output.flush());
        let mut queue = shared.queue();
        queue.bytes -= if queued { frame.len() } else { 0 };
        queue.failed |= written.is_err();
        let failed = queue.failed;
        drop(queue);
        shared.changed.notify_all();
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
