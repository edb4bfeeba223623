//! Whole small projects, written to temporary folders and evaluated.
#![allow(clippy::unwrap_used, reason = "tests")]

mod it {
    mod advice;
    mod advice_decoys;
    mod advice_table;
    mod bad_components;
    mod bad_environments;
    pub(crate) mod common;
    mod corpus;
    mod dns;
    mod facts;
    mod files;
    mod merging;
    mod random;
    pub(crate) mod resources;
    mod rounds;
    mod semantics;
    mod simple;
    pub(crate) mod starlark;
    mod starlark_configure_mistakes;
    mod starlark_encoders;
    mod starlark_files;
    mod starlark_mistakes;
    mod steps;
    mod templates;
    mod types;
}
