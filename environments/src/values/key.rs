//! The identity of a value in an evaluation.

/// A value, by the instance that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueKey {
    Attribute(usize, String),
    Provide(usize, usize),
    Resource(usize, usize),
}
