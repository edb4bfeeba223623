//! The components of a project, where an environment places them, and who gets what from whom.

pub(crate) mod catalog;
pub(crate) mod component;
pub(crate) mod connect;
pub(crate) mod graph;
pub(crate) mod place;
