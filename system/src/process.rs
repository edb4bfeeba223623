//! Processes by their numbers, as proc(5) shows them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process_group};

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Whether it has ended, and nobody has been told yet.
    pub dead: bool,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, in ticks since the boot.
    pub started: u64,
}

/// Which boot of the machine this is.
pub fn boot() -> Option<String> {
    #[cfg(feature = "simulation")]
    if let Some(boot) = crate::simulation::boot() {
        return Some(boot);
    }
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

/// A process by its number (proc(5), `/proc/pid/stat`); `None` if there is none.
pub fn stat(number: i32) -> Option<ProcessStat> {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        return crate::simulation::stat(number);
    }
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name is in parentheses, and may itself contain anything, including parentheses.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(ProcessStat {
        dead: matches!(*fields.first()?, "Z" | "X"),
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The numbers of all processes.
pub fn numbers() -> Vec<i32> {
    #[cfg(feature = "simulation")]
    if let Some(numbers) = crate::simulation::numbers() {
        return numbers;
    }
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Kills a process group, as far as this user may.
pub fn kill_group(group: i32) {
    #[cfg(feature = "simulation")]
    if crate::simulation::kill_group(group) {
        return;
    }
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
