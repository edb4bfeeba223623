//! The agent: what runs on a host, as its service user, at the other end of a connection.
//!
//! It is plain synchronous code. One thread reads frames, one writes them, and only the main thread changes anything
//! on the host, always in the same order. So whatever interrupts it, the disk is in one of the states from which the
//! next agent knows how to continue.
//!
//! The order of a switch is that of the modules: `state` tells what is there, `transfer` brings objects, `switch`
//! writes the intent and moves `current`, `unit` converges the components, and the line that `journal` then gets is
//! the commit. Until that line is there, `goback` brings everything back: on the controller's order, because the
//! connection ended or fell silent, or because the next agent finds an intent without such a line.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "the tests look at real files"))]

mod activated;
mod collect;
mod command;
mod commit;
mod connection;
mod drift;
mod error;
mod facts;
mod faults;
mod goback;
mod intent;
mod journal;
mod mend;
pub mod objects;
mod outbox;
mod ownership;
mod pointer;
pub mod protocol;
mod release;
mod reserve;
mod retire;
mod running;
mod serve;
mod session;
pub mod shell;
mod state;
mod switch;
mod target;
pub mod time;
mod transfer;
mod turn;
mod unit;
mod user;
mod verify;

#[cfg(test)]
mod tests;

pub use serve::serve;
