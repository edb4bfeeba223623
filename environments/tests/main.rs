//! Whole small projects, written to temporary folders and evaluated.
#![allow(clippy::unwrap_used, reason = "tests")]

mod it {
    pub(crate) mod common;
    mod simple;
}
