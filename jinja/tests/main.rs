//! Templates beside Jinja2.
#![allow(clippy::unwrap_used, reason = "tests")]

mod it {
    mod bounds;
    mod common;
    mod conformity;
    mod different;
}
