//! Processes below a process, as /proc shows them: to pull a connection out from under a program.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process: its id and its program's name, at most 15 bytes of it.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) name: String,
}

/// All processes that `ancestor` and its children started, as far as their parents still live.
pub(crate) fn below(ancestor: Pid) -> Vec<Process> {
    let mut all: Vec<(Pid, Process)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .collect();
    let mut found = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        let (children, others) = all.into_iter().partition(|(of, _)| *of == parent);
        all = others;
        parents.extend(children.iter().map(|(_, child): &(Pid, Process)| child.pid));
        found.extend(children.into_iter().map(|(_, child)| child));
    }
    found
}

/// All processes that still run and have this text in their command lines.
pub(crate) fn with_argument(text: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let found = entries.filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    });
    found.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Sends a signal to a process, which may have ended meanwhile.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    // The only other error is "not permitted", and these are our own processes.
    let _ = kill_process(pid, signal);
}

/// `pid (name) state ppid …`, where the name may hold anything, parentheses included; with the parent first.
fn parse(stat: &str) -> Option<(Pid, Process)> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let parent = rest.split(' ').nth(1)?;
    let number = |text: &str| Pid::from_raw(text.parse().ok()?);
    Some((number(parent)?, Process { pid: number(pid)?, name: name.to_owned() }))
}
