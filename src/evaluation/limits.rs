//! How much memory and time a child may take.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::error::CommandError;

const MIB: u64 = 1024 * 1024;
/// Far more than any project has needed, far less than machines have.
const MEMORY: u64 = 1024;
/// The last safeguard, since the interpreter counts its steps itself.
const SECONDS: u64 = 120;
/// The stack of a thread that evaluates. Most of it is address space rather than memory, but it counts.
const STACK: u64 = 256 * MIB;
/// More threads would gain little, and their stacks would make the limit too loose.
const THREADS: usize = 8;

/// How much memory and time a child may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// In MiB, beyond what the program has when it starts.
    pub(super) memory: u64,
    /// In seconds of processor time.
    pub(super) seconds: u64,
    /// How many threads evaluate.
    pub(super) threads: usize,
}

impl Limits {
    /// The default limits, or those from `BATOU_EVALUATION_MEMORY` (MiB) and `BATOU_EVALUATION_SECONDS`.
    pub(super) fn from_environment() -> Result<Self, CommandError> {
        Ok(Limits {
            memory: number("BATOU_EVALUATION_MEMORY", MEMORY)?,
            seconds: number("BATOU_EVALUATION_SECONDS", SECONDS)?,
            threads: rayon::current_num_threads().min(THREADS),
        })
    }

    /// Limits this process.
    ///
    /// `RLIMIT_DATA` counts writable memory (since Linux 4.7). `RLIMIT_AS` would also count the 64 MiB that the
    /// allocator reserves for each thread and mostly never uses; on a machine with many processors that alone
    /// would exceed the limit.
    pub(super) fn apply(&self) -> io::Result<()> {
        // Two stacks more than the pool has threads: for one that loads or configures, and one that is about to
        // end.
        let stacks = STACK.saturating_mul(self.threads as u64 + 2);
        let memory = data()?.saturating_add(stacks).saturating_add(self.memory.saturating_mul(MIB));
        limit(Resource::Data, memory, memory)?;
        limit(Resource::Cpu, self.seconds, self.seconds.saturating_add(5))?;
        limit(Resource::Core, 0, 0)
    }

    /// The processor time that this session allows, in seconds, if that is less than our own limit.
    pub(super) fn seconds_from_outside(&self) -> Option<u64> {
        getrlimit(Resource::Cpu).maximum.filter(|limit| *limit <= self.seconds)
    }

    /// The memory limit as messages give it.
    pub(super) fn memory_text(&self) -> String {
        match self.memory {
            mebibytes if mebibytes % 1024 == 0 => format!("{} GiB", mebibytes / 1024),
            mebibytes => format!("{mebibytes} MiB"),
        }
    }
}

/// Sets a limit, but never above what is already allowed.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
    Ok(setrlimit(resource, limit)?)
}

/// How many bytes of this process count towards `RLIMIT_DATA`.
fn data() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_ascii_whitespace().nth(5).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm is not as it is documented"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn number(name: &str, usual: u64) -> Result<u64, CommandError> {
    let Some(value) = std::env::var_os(name) else { return Ok(usual) };
    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| {
        let unit = if name.ends_with("MEMORY") { "MiB" } else { "seconds" };
        CommandError::usage(format!("{name} must be a number of {unit}, not `{}`", value.display()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_is_said_in_gibibytes_where_it_is_even() {
        let text = |memory| Limits { memory, seconds: 1, threads: 1 }.memory_text();
        assert_eq!(
            (text(1024), text(3072), text(64), text(1500)),
            ("1 GiB".into(), "3 GiB".into(), "64 MiB".into(), "1500 MiB".into())
        );
    }

    #[test]
    fn this_process_has_data() {
        assert!(data().unwrap() > 64 * 1024);
    }
}
