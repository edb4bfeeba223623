//! Queues between threads: bounded, and ended by either side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::shared::Shared;

/// A queue's sending end. Dropping the last one ends the queue once it is empty.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<Contents<T>>>);

/// A queue's receiving end. Once it is dropped, nothing can be sent any more.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<Contents<T>>>);

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Nothing has come yet.
    Yet,
    /// Nothing will come any more.
    ForEver,
}

/// Nobody receives any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

#[derive(Debug)]
struct Contents<T> {
    items: VecDeque<T>,
    bound: usize,
    senders: usize,
    receives: bool,
}

/// A queue in which at most `bound` items wait.
pub fn bounded<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let contents = Contents { items: VecDeque::new(), bound, senders: 1, receives: true };
    let shared = Arc::new(Shared::new(contents));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// A queue without a bound.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

/// The queue between the two sides of a [`crate::thread::both`]. In a simulation one side is done before the other
/// begins, so there the queue has no bound.
pub fn between<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        return unbounded();
    }
    bounded(bound)
}

impl<T> Sender<T> {
    /// Sends an item; waits for room.
    pub fn send(&self, item: T) -> Result<(), Closed> {
        let mut item = Some(item);
        let sent = self.0.wait(None, |contents| {
            if !contents.receives {
                return Some(Err(Closed));
            }
            (contents.items.len() < contents.bound).then(|| {
                contents.items.extend(item.take());
                Ok(())
            })
        });
        sent.unwrap_or(Err(Closed))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.change(|contents| contents.senders += 1);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|contents| contents.senders -= 1);
    }
}

impl<T> Receiver<T> {
    /// The next item; waits for it.
    pub fn recv(&self) -> Result<T, Empty> {
        self.0.wait(None, Contents::take).unwrap_or(Err(Empty::ForEver))
    }

    /// The next item; waits for it, but not for longer than `patience`.
    pub fn recv_timeout(&self, patience: Duration) -> Result<T, Empty> {
        let Some(deadline) = clock::now().checked_add(patience) else { return self.recv() };
        let taken = self.0.wait(Some(deadline), Contents::take);
        taken.unwrap_or(Err(Empty::Yet))
    }

    /// The next item if it is there.
    pub fn try_recv(&self) -> Result<T, Empty> {
        let taken = self.0.take(Contents::take);
        taken.unwrap_or(Err(Empty::Yet))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.0.change(|contents| {
            contents.receives = false;
            std::mem::take(&mut contents.items)
        });
        // What is dropped may itself send.
        drop(left);
    }
}

impl<T> Contents<T> {
    fn take(&mut self) -> Option<Result<T, Empty>> {
        match self.items.pop_front() {
            Some(item) => Some(Ok(item)),
            None => (self.senders == 0).then_some(Err(Empty::ForEver)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn items_arrive_in_order_and_then_the_end() {
        let (sender, receiver) = bounded(2);
        let thread = std::thread::spawn(move || (0..100).try_for_each(|number| sender.send(number)));
        assert_eq!(
            (0..100).map(|_| receiver.recv().unwrap()).collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
        assert_eq!(receiver.recv(), Err(Empty::ForEver));
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_full_queue_whose_receiver_goes_lets_its_sender_go() {
        let (sender, receiver) = bounded(1);
        sender.send(1).unwrap();
        let thread = std::thread::spawn(move || sender.send(2));
        drop(receiver);
        assert_eq!(thread.join().unwrap(), Err(Closed));
    }

    #[test]
    fn who_waits_with_patience_is_told_that_nothing_came() {
        let (sender, receiver) = unbounded::<u8>();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(Empty::Yet));
        assert_eq!(receiver.try_recv(), Err(Empty::Yet));
        drop(sender);
        assert_eq!(receiver.recv_timeout(Duration::MAX), Err(Empty::ForEver));
        assert_eq!(receiver.try_recv(), Err(Empty::ForEver));
    }
}
