//! What breaks, lies or is misused, on purpose: batou must come through it, or say what to do.

mod controller_store;
mod full_disk;
mod target;
