//! The agent at the other end of two pipes, driven frame by frame.
#![allow(clippy::unwrap_used)]

mod damage;
mod drift;
mod facts;
mod failure;
mod holder;
mod host;
mod order;
mod records;
mod release;
mod steps;
mod tampering;
mod tidying;
