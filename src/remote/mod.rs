//! Agents on other machines, and on this one: how they are reached, started and spoken to.
//!
//! A [`HostConnection`] leads to the host at the end of a [`Route`]. Starting the host's agent over it gives a
//! [`Link`]; [`RemoteStore`] is the host's store behind a link.

mod alarm;
mod binary;
mod carried;
mod channel;
mod connection;
mod cut;
mod error;
mod link;
mod master;
mod masters;
mod noise;
mod process;
mod sockets;
mod ssh;
mod start;
mod store;
mod thread;

pub use binary::Binaries;
#[cfg(test)]
pub(crate) use connection::SimulatedWays;
pub use connection::{Dialer, HostConnection, Route};
pub use error::{RemoteError, StartError};
pub use link::Link;
pub use masters::Masters;
#[cfg(test)]
pub(crate) use process::SimulatedEnd;
pub use ssh::{SshConfig, SshOptions};
pub use store::RemoteStore;
pub use thread::{Working, blocking};
