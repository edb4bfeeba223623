//! The values that are being computed, each asked for by the one before. One that is asked for again closes a cycle.

use std::cell::RefCell;

use super::LazyValues;
use super::key::ValueKey;
use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;

/// How deep values may refer to values; deeper than this is taken for a mistake.
const DEEPEST: usize = 60;

thread_local! {
    /// What this thread is computing. A value that another thread has begun is computed twice rather than waited for.
    static RUNNING: RefCell<Vec<ValueKey>> = const { RefCell::new(Vec::new()) };
}

impl LazyValues {
    /// Computes a value, unless it is already being computed, and so depends on itself, or lies too deep: that is
    /// reported.
    pub(super) fn guarded<R>(&self, key: ValueKey, compute: impl FnOnce() -> Option<R>) -> Option<R> {
        let running = RUNNING.with_borrow(|running| {
            let first = running.iter().position(|other| *other == key);
            first.map(|first| running[first..].to_vec()).ok_or(running.len())
        });
        match running {
            Ok(cycle) => {
                self.report_cycle(cycle);
                return None;
            }
            Err(depth) if depth >= DEEPEST => {
                let (index, at) = self.place(&key);
                let message = format!("values refer to each other more than {DEEPEST} levels deep");
                self.report(Diagnostic::error(message).at(&at), index);
                return None;
            }
            Err(_) => {}
        }
        RUNNING.with_borrow_mut(|running| running.push(key));
        let computed = compute();
        RUNNING.with_borrow_mut(Vec::pop);
        computed
    }

    fn report_cycle(&self, mut cycle: Vec<ValueKey>) {
        let least = cycle.iter().enumerate().min_by_key(|(_, key)| *key).map_or(0, |(at, _)| at);
        cycle.rotate_left(least);
        let Some(first) = cycle.first().cloned() else { return };
        let alone = cycle.iter().all(|key| self.place(key).0 == self.place(&first).0);
        let names: Vec<String> = cycle.iter().chain([&first]).map(|key| self.described(key, alone)).collect();
        let message = format!("values depend on each other in a cycle: {}", names.join(" -> "));
        let (index, at) = self.place(&first);
        self.report(Diagnostic::error(message).at(&at).help("one of them must not refer to the next"), index);
    }

    fn place(&self, key: &ValueKey) -> (usize, At) {
        match key {
            ValueKey::Attribute(index, name) => {
                let declaration = &self.instance(*index).component.interface.attributes[name];
                (*index, declaration.at.clone())
            }
            ValueKey::Provide(index, provide) => {
                (*index, self.instance(*index).component.declarations.provides[*provide].key.at.clone())
            }
            ValueKey::Resource(index, require) => {
                (*index, self.instance(*index).component.declarations.requires[*require].key.at.clone())
            }
        }
    }

    fn described(&self, key: &ValueKey, alone: bool) -> String {
        let of =
            |index: &usize| if alone { String::new() } else { format!(" of {}", self.model.subject(*index)) };
        match key {
            ValueKey::Attribute(index, name) => format!("attribute `{name}`{}", of(index)),
            ValueKey::Provide(index, provide) => {
                let key = &self.instance(*index).component.declarations.provides[*provide].key.value;
                format!("provided `{key}`{}", of(index))
            }
            ValueKey::Resource(index, require) => {
                let key = &self.instance(*index).component.declarations.requires[*require].key.value;
                format!("required `{key}`{}", of(index))
            }
        }
    }
}
