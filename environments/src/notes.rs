//! Notes on what each thread is evaluating, so that whoever watches an evaluation can say what it died of.

/// Called with what the calling thread begins to evaluate (`web01/app (components/app/component.star)`), and with
/// `None` when that is done.
pub type Notes<'a> = &'a (dyn Fn(Option<&str>) + Sync);

/// Does some work, and notes its subject before and its end after.
pub(crate) fn noted<T>(
    notes: Option<Notes<'_>>,
    subject: impl FnOnce() -> String,
    work: impl FnOnce() -> T,
) -> T {
    let Some(notes) = notes else { return work() };
    notes(Some(&subject()));
    let done = work();
    notes(None);
    done
}
