//! Which values a rendered text was made from, so that a plan can say why a file changes.
//!
//! Templates read values through objects that cannot be handed a collector: whoever renders opens one for its thread,
//! and every object that gives a value away notes it there. Collectors nest, as an attribute is evaluated when
//! a template first asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What was used -> 12 hex digits of the digest of its value.
pub(crate) type Causes = BTreeMap<String, String>;

thread_local! {
    static OPEN: RefCell<Vec<Causes>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` and gives what it used.
pub(crate) fn collect<R>(work: impl FnOnce() -> R) -> (R, Causes) {
    OPEN.with_borrow_mut(|open| open.push(Causes::new()));
    let result = work();
    let causes = OPEN.with_borrow_mut(Vec::pop).unwrap_or_default();
    (result, causes)
}

/// Notes a value for the innermost collector of this thread, if there is one.
pub(crate) fn record(cause: impl FnOnce() -> (String, String)) {
    OPEN.with_borrow_mut(|open| {
        if let Some(causes) = open.last_mut() {
            let (name, digest) = cause();
            causes.entry(name).or_insert(digest);
        }
    });
}

/// Notes everything that a value was itself made from.
pub(crate) fn record_all(inherited: &Causes) {
    OPEN.with_borrow_mut(|open| {
        if let Some(causes) = open.last_mut() {
            for (name, digest) in inherited {
                if !causes.contains_key(name) {
                    causes.insert(name.clone(), digest.clone());
                }
            }
        }
    });
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
        let note = |name: &str| record(|| (name.to_owned(), digest(b"")));
        let ((), outer) = collect(|| {
            note("outer");
            let ((), inner) = collect(|| note("inner"));
            assert_eq!(inner.keys().collect::<Vec<_>>(), ["inner"]);
        });
        assert_eq!(outer.keys().collect::<Vec<_>>(), ["outer"]);
        note("nobody listens");
    }
}
