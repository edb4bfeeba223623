//! Bars for work that takes longer than half a second, on a terminal only.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use batou_store::{Monitor, Phase};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_millis(500);
/// How often a bar is redrawn even if nothing has been done, to show that batou is alive.
const TICK: Duration = Duration::from_millis(200);

/// One bar, which shows one phase of work after another. Shared by all threads; dropping it removes it.
pub struct Progress {
    bars: Option<MultiProgress>,
    current: Mutex<Option<Bar>>,
}

struct Bar {
    widget: ProgressBar,
    in_bytes: bool,
    /// The thread that shows the bar. It is separate because work may be one long piece that counts nothing
    /// until its end.
    shower: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((ends, shower)) = self.shower.take() {
            drop(ends);
            // Once the thread has ended, nothing of the bar is left on the terminal. If it panicked, that is no
            // reason for us to.
            let _ = shower.join();
        }
    }
}

impl Progress {
    /// A bar among others; invisible if there are none.
    pub(super) fn new(bars: Option<MultiProgress>) -> Self {
        Self { bars, current: Mutex::new(None) }
    }

    /// One that never shows anything.
    #[cfg(test)]
    pub fn silent() -> Self {
        Self::new(None)
    }

    /// Whether anybody may see it.
    pub fn is_visible(&self) -> bool {
        self.bars.is_some()
    }

    /// Begins a phase of this many objects and bytes (0: unknown, or not counted in bytes), in place of the
    /// previous one.
    pub fn start(&self, what: &str, objects: u64, bytes: u64) {
        let Some(bars) = &self.bars else { return };
        let length = if bytes > 0 { bytes } else { objects };
        let widget = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        widget.set_style(style(bytes > 0, length));
        widget.set_message(what.to_owned());
        let (ends, ended) = mpsc::channel();
        let (bars, shown) = (bars.clone(), widget.clone());
        let shower = std::thread::Builder::new().spawn(move || show_later(&bars, shown, &ended));
        // If the thread cannot be started, there is no bar.
        let shower = shower.ok().map(|shower| (ends, shower));
        self.replace(Some(Bar { widget, in_bytes: bytes > 0, shower }));
    }

    /// Counts work done.
    pub fn add(&self, objects: u64, bytes: u64) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = current.as_ref() {
            bar.widget.inc(if bar.in_bytes { bytes } else { objects });
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.replace(None);
    }

    fn replace(&self, next: Option<Bar>) {
        let before = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, next)
        };
        drop(before);
    }
}

/// Shows a bar once its phase has taken long, and removes it at the end.
fn show_later(bars: &MultiProgress, widget: ProgressBar, ended: &Receiver<()>) {
    if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let shown = bars.add(widget);
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        shown.tick();
    }
    shown.finish_and_clear();
    bars.remove(&shown);
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

/// A line that has only words.
pub(super) fn words() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").expect("the template is ours");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style)
}

fn style(in_bytes: bool, length: u64) -> ProgressStyle {
    let template = match (length, in_bytes) {
        (0, _) => "{msg} {spinner} {human_pos} {elapsed}",
        (_, true) => "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        (_, false) => "{msg} [{bar:30}] {human_pos}/{human_len} {elapsed}",
    };
    ProgressStyle::with_template(template).expect("the template is ours").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::Arc;
    use std::time::Instant;

    use indicatif::TermLike;

    use super::*;

    /// A terminal whose text is kept.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        /// Waits until it shows each of these; nextest ends a test that waits in vain.
        fn comes_to_show(&self, parts: &[&str]) {
            while !parts.iter().all(|part| self.text().contains(part)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn progress() -> (Screen, Progress) {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::new(Some(MultiProgress::with_draw_target(target)));
        (screen, progress)
    }

    #[test]
    fn a_bar_is_shown_after_a_while_and_goes_with_its_phase() {
        let (screen, progress) = progress();
        for (objects, bytes, shown) in [(10, 4096, "2.00 KiB/4.00 KiB"), (10, 0, "2/10"), (0, 0, "2")] {
            let started = Instant::now();
            progress.start("hashing", objects, bytes);
            progress.add(2, 2048);
            let text = screen.text();
            assert!(text.is_empty() || started.elapsed() >= PATIENCE, "not yet: {text}");
            screen.comes_to_show(&["hashing", shown]);
            progress.end();
            assert_eq!(screen.text().trim(), "");
        }
    }

    #[test]
    fn work_that_counts_nothing_until_its_end_is_shown_too() {
        let (screen, progress) = progress();
        progress.start("activation", 1, 0);
        screen.comes_to_show(&["activation", "0/1"]);
    }
}
