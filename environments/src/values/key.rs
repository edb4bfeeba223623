//! Which of all values one is.

/// A value, by the instance that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueKey {
    Attribute(usize, String),
    Provide(usize, usize),
    Resource(usize, usize),
}
