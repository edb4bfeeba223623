//! What is being evaluated, told while it is: whoever watches an evaluation can say of what it died.

/// Hears what the calling thread begins to evaluate (`web01/app (components/app/component.star)`), and `None` when
/// that is done.
pub type Notes<'a> = &'a (dyn Fn(Option<&str>) + Sync);

/// Does some work, and tells what it is about.
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
