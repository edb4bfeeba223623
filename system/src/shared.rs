//! A value that threads share, and wait for changes of.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock;

/// A value that one thread at a time changes, and others wait for.
#[derive(Debug, Default)]
pub struct Shared<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Shared<T> {
    /// Shares this value.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Looks at the value. Nothing must be waited for meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value, and wakes everybody who waits for that.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        #[cfg(feature = "simulation")]
        crate::simulation::wake_at(self.place());
        result
    }

    /// Takes something from the value if it is there, and wakes everybody who waits for changes only then.
    pub fn take<R>(&self, take: impl FnOnce(&mut T) -> Option<R>) -> Option<R> {
        let taken = take(&mut self.lock())?;
        self.changed.notify_all();
        #[cfg(feature = "simulation")]
        crate::simulation::wake_at(self.place());
        Some(taken)
    }

    /// Waits until `take` takes something from the value, which may change it. `None` if that is not so at the deadline.
    pub fn wait<R>(&self, deadline: Option<Instant>, mut take: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(taken) = take(&mut value) {
                drop(value);
                self.changed.notify_all();
                #[cfg(feature = "simulation")]
                crate::simulation::wake_at(self.place());
                return Some(taken);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            #[cfg(feature = "simulation")]
            if crate::simulation::is_on() {
                drop(value);
                if !crate::simulation::park_at(deadline, self.place()) {
                    return None;
                }
                value = self.lock();
                continue;
            }
            value = match left {
                None => self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Where it is, which tells it from others.
    #[cfg(feature = "simulation")]
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The value. No change of it is left half-done by a panic.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
