//! Which values a rendered text was made from, so that a plan can say why a file changes.
//!
//! Templates read values through objects that cannot be given a collector. So whoever renders opens one for its
//! thread, and every object that hands out a value records it there. Collectors nest, because an attribute is
//! evaluated when a template first asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

/// What was used -> 12 hex digits of the digest of its value.
pub(crate) type UsedValues = BTreeMap<String, String>;

/// Identifies a value more cheaply than its full name: by the addresses of its owner and of its own name. Both stay
/// where they are during an evaluation.
pub(crate) type UseKey = (usize, usize);

/// The key of the value that an owner has under a name.
pub(crate) fn key<T: ?Sized>(owner: &T, name: &'static str) -> UseKey {
    (std::ptr::from_ref(owner).cast::<()>().addr(), name.as_ptr().addr())
}

#[derive(Default)]
struct Collector {
    seen: HashSet<UseKey>,
    causes: UsedValues,
}

thread_local! {
    static OPEN: RefCell<Vec<Collector>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work`, and returns what it used.
pub(crate) fn collect<R>(work: impl FnOnce() -> R) -> (R, UsedValues) {
    OPEN.with_borrow_mut(|open| open.push(Collector::default()));
    let result = work();
    let collector = OPEN.with_borrow_mut(Vec::pop).unwrap_or_default();
    (result, collector.causes)
}

/// Whether a value is new to the innermost collector of this thread; from now on it is not.
pub(crate) fn is_new(key: UseKey) -> bool {
    OPEN.with_borrow_mut(|open| open.last_mut().is_some_and(|collector| collector.seen.insert(key)))
}

/// Records a value in the innermost collector of this thread, if there is one.
pub(crate) fn record(name: String, digest: String) {
    OPEN.with_borrow_mut(|open| {
        if let Some(collector) = open.last_mut() {
            collector.causes.entry(name).or_insert(digest);
        }
    });
}

/// Whether the innermost collector of this thread has recorded a value.
pub(crate) fn was_used(name: &str) -> bool {
    OPEN.with_borrow(|open| open.last().is_some_and(|collector| collector.causes.contains_key(name)))
}

/// Records everything that a value was itself made from.
pub(crate) fn record_all(inherited: &UsedValues) {
    for (name, digest) in inherited {
        record(name.clone(), digest.clone());
    }
}

/// 12 hex digits of BLAKE3.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut hex = blake3::hash(bytes).to_hex().to_string();
    hex.truncate(12);
    hex
}

/// The digest of a value of the template language.
pub(crate) fn digest_of(value: &minijinja::Value) -> String {
    match value.as_str() {
        Some(text) => digest(text.as_bytes()),
        None => digest(value.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_nest() {
        let note = |name: &str| record(name.to_owned(), digest(b""));
        let ((), outer) = collect(|| {
            note("outer");
            let ((), inner) = collect(|| note("inner"));
            assert_eq!(inner.keys().collect::<Vec<_>>(), ["inner"]);
            assert_eq!(["outer", "inner"].map(was_used), [true, false]);
        });
        assert_eq!(outer.keys().collect::<Vec<_>>(), ["outer"]);
        note("nobody listens");
        assert!(!was_used("nobody listens"));
    }

    #[test]
    fn a_value_is_new_once_for_each_collector() {
        let (first, second) = (1_u8, 2_u8);
        let news = || [key(&first, "x"), key(&second, "x"), key(&first, "x")].map(is_new);
        assert_eq!(collect(|| (news(), collect(news).0)).0, ([true, true, false], [true, true, false]));
        assert_eq!(news(), [false, false, false]);
    }
}
