//! Bars for work that takes longer than half a second, on a terminal only.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use batou_store::{Monitor, Phase};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_millis(500);

/// One bar, which shows one phase of work after the other. Shared by all threads; dropping it removes it.
pub struct Progress {
    bars: Option<MultiProgress>,
    current: Mutex<Option<Bar>>,
}

struct Bar {
    widget: ProgressBar,
    since: Instant,
    shown: bool,
    in_bytes: bool,
}

impl Progress {
    /// A bar among others; invisible without them.
    pub(super) fn new(bars: Option<MultiProgress>) -> Self {
        Self { bars, current: Mutex::new(None) }
    }

    /// One that never shows anything.
    pub fn silent() -> Self {
        Self::new(None)
    }

    /// Begins a phase of so many objects and bytes (0: unknown, or not to be counted in bytes), in place of the
    /// one before.
    pub fn start(&self, what: &str, objects: u64, bytes: u64) {
        if self.bars.is_none() {
            return;
        }
        let length = if bytes > 0 { bytes } else { objects };
        let widget = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        widget.set_style(style(bytes > 0, length));
        widget.set_message(what.to_owned());
        let next = Bar { widget, since: Instant::now(), shown: false, in_bytes: bytes > 0 };
        self.replace(Some(next));
    }

    /// Counts work done.
    pub fn add(&self, objects: u64, bytes: u64) {
        let Some(bars) = &self.bars else { return };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bar) = current.as_mut() else { return };
        if !bar.shown && bar.since.elapsed() >= PATIENCE {
            bar.shown = true;
            bar.widget = bars.add(bar.widget.clone());
        }
        bar.widget.inc(if bar.in_bytes { bytes } else { objects });
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.replace(None);
    }

    fn replace(&self, next: Option<Bar>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *current, next) {
            before.widget.finish_and_clear();
            if let Some(bars) = &self.bars {
                bars.remove(&before.widget);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Monitor for Progress {
    fn begin(&self, what: Phase, objects: u64, bytes: u64) {
        let what = match what {
            Phase::Hashing => "hashing",
            Phase::Storing => "storing",
            Phase::Copying => "copying",
            Phase::Verifying => "verifying",
            Phase::Sweeping => "sweeping",
        };
        self.start(what, objects, bytes);
    }

    fn advance(&self, objects: u64, bytes: u64) {
        self.add(objects, bytes);
    }
}

fn style(in_bytes: bool, length: u64) -> ProgressStyle {
    let template = match (length, in_bytes) {
        (0, _) => "{msg} {spinner} {human_pos}",
        (_, true) => "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        (_, false) => "{msg} [{bar:30}] {human_pos}/{human_len} {eta}",
    };
    ProgressStyle::with_template(template).expect("the template is ours").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_shown_after_a_while_and_goes_with_its_phase() {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let progress = Progress::new(Some(bars));
        let shown = || {
            let current = progress.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.as_ref().map(|bar| (bar.shown, bar.widget.position()))
        };
        for (objects, bytes, position) in [(10, 100, 50), (10, 0, 5), (0, 0, 5)] {
            progress.start("hashing", objects, bytes);
            progress.add(2, 20);
            assert_eq!(shown().map(|(shown, _)| shown), Some(false));
            if let Some(bar) = progress.current.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                bar.since -= PATIENCE;
            }
            progress.add(3, 30);
            assert_eq!(shown(), Some((true, position)));
        }
        progress.end();
        assert_eq!(shown(), None);
    }
}
