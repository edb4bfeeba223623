//! Facts of hosts: what batou.toml asks of them, what they answered, and what templates see of it.
//!
//! `batou facts` gathers them into `environments/<environment>/facts.lock`, which is a part of the project. An
//! evaluation reads that file and asks nobody. What hosts answered is data: no text in it is taken for a template.

mod attach;
mod known;
mod lock;
mod source;
mod value;
mod writer;

pub use known::HostFacts;
pub use lock::FactsLock;

pub(crate) use attach::attach;
pub(crate) use source::check;
