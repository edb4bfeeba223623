//! Whole small projects, written to temporary folders and evaluated.
#![allow(clippy::unwrap_used, reason = "tests")]

mod it {
    mod bad_components;
    mod bad_environments;
    pub(crate) mod common;
    mod corpus;
    mod dns;
    mod files;
    mod jinja;
    mod merging;
    mod random;
    mod resources;
    mod rounds;
    mod simple;
    pub(crate) mod starlark;
    mod starlark_mistakes;
    mod templates;
    mod types;
}
