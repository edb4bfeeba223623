//! Frames on their way to the controller.
//!
//! A thread of its own writes them, so that an agent whose controller has stopped reading can still notice that, and
//! take an unconfirmed release back. What waits is bounded: whoever sends more waits for room.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many bytes may wait before a sender does.
const WAITING: usize = 1 << 20;

/// The controller does not take frames any more.
#[derive(Debug)]
pub(super) struct Gone;

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
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending half of a connection.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Outbox {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        Self { shared, writer: Some(std::thread::spawn(move || write_all(&theirs, output))) }
    }

    /// Queues a frame; waits for room, with `patience` at most that long.
    pub(super) fn send(&self, frame: Vec<u8>, patience: Option<Duration>) -> Result<(), Gone> {
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

    /// Waits until all is written, or cannot be. A writer that somebody has waited for in vain is left alone.
    pub(super) fn finish(mut self) {
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

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_all(shared: &Shared, mut output: impl Write) {
    loop {
        let empty = |queue: &mut Queue| queue.frames.is_empty() && !queue.finished;
        let waited = shared.changed.wait_while(shared.queue(), empty);
        let Some(frame) = waited.unwrap_or_else(PoisonError::into_inner).frames.pop_front() else { return };
        let written = output.write_all(&frame).and_then(|()| output.flush());
        let mut queue = shared.queue();
        queue.bytes -= frame.len();
        queue.failed |= written.is_err();
        let failed = queue.failed;
        drop(queue);
        shared.changed.notify_all();
        if failed {
            return;
        }
    }
}
