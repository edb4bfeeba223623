//! What breaks, lies or is misused, on purpose: batou must come through it, or say what to do.
//!
//! Each test prints how much it tried. With `BATOU_TEST_ATTACK=all` (`make attack`) those that try a sample try all.

mod at_once;
mod between;
mod controller_store;
mod errors;
mod full_disk;
mod local_user;
mod lost;
mod manifests;
mod tampering;
mod target;

/// Whether all is to be tried, and not only the sample that every run of the tests affords.
fn tries_all() -> bool {
    std::env::var_os("BATOU_TEST_ATTACK").is_some_and(|value| value == "all")
}
