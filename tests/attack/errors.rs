//! System calls of an agent that fail: every one that changes something, with the errors that it may have, on the way to a
//! release and while a host goes back from one that failed.
//!
//! Kills at the same calls are in `crash/kill.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::tries_all;
use crate::common::{Strace, counted, left_out};
use crate::crash::kill::{CALLS, changes, is_whole};
use crate::crash::lane::{InForce, Lane, Scenario};

/// How many failures are tried at a time.
const LANES: usize = 2;
/// Which part of the points is tried where not all are.
const SAMPLE: usize = 2;

/// What calls that change something fail with. The first error is the one that a sample tries.
const ERRORS: &[(&str, &[&str])] = &[
    ("open", &["ENOSPC", "EIO", "EMFILE"]),
    ("openat", &["ENOSPC", "EIO", "EMFILE"]),
    ("write", &["ENOSPC", "EIO", "EDQUOT"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("renameat2", &["EIO", "ENOSPC"]),
    ("link", &["EIO", "EMLINK", "ENOSPC"]),
    ("linkat", &["EIO", "EMLINK", "ENOSPC"]),
    ("symlink", &["ENOSPC", "EIO"]),
    ("symlinkat", &["ENOSPC", "EIO"]),
    ("unlink", &["EIO", "EROFS"]),
    ("unlinkat", &["EIO", "EROFS"]),
    ("mkdir", &["ENOSPC", "EIO"]),
    ("mkdirat", &["ENOSPC", "EIO"]),
    ("rmdir", &["EIO"]),
    ("chmod", &["EPERM", "EIO"]),
    ("fchmod", &["EPERM", "EIO"]),
    ("fchmodat", &["EPERM", "EIO"]),
    ("ftruncate", &["EIO"]),
    ("fallocate", &["ENOSPC", "EIO"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("syncfs", &["EIO"]),
    ("flock", &["ENOLCK"]),
    ("utimensat", &["EPERM"]),
    ("clone", &["EAGAIN"]),
    ("clone3", &["EAGAIN"]),
];
/// What only reads, tried where all is.
const READS: &[(&str, &[&str])] = &[
    ("read", &["EIO"]),
    ("statx", &["EIO"]),
    ("readlink", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("lseek", &["EIO"]),
];

/// A call that fails, and with what.
#[derive(Debug)]
struct Fault {
    name: String,
    nth: usize,
    error: &'static str,
}

/// What the attempts came to.
#[derive(Default)]
struct Tally {
    /// By exit status.
    statuses: BTreeMap<Option<i32>, usize>,
    /// By call.
    calls: BTreeMap<String, usize>,
    failures: Vec<String>,
}

#[test]
fn a_release_whose_calls_fail_is_in_force_or_not_as_its_exit_status_says() {
    fail_everywhere(Scenario::Switch);
}

#[test]
fn a_way_back_whose_calls_fail_ends_at_the_release_before_or_says_what_is_unknown() {
    fail_everywhere(Scenario::Failing);
}

fn fail_everywhere(scenario: Scenario) {
    if let Some(lacking) = Strace::lacking() {
        return left_out("releases whose system calls fail", lacking);
    }
    let lanes: Vec<_> = (0..LANES).map(|_| Lane::new(scenario)).collect();
    let (before, after) = ends(&lanes[0]);
    let faults = faults(&lanes[0]);
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for lane in &lanes {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = try_one(lane, fault, (&before, &after));
                    let mut tally = tally.lock().unwrap();
                    *tally.calls.entry(fault.name.clone()).or_default() += 1;
                    match tried {
                        Ok(status) => *tally.statuses.entry(status).or_default() += 1,
                        Err(text) => tally.failures.push(text),
                    }
                }
            });
        }
    });
    let Tally { statuses, calls, failures } = tally.into_inner().unwrap();
    counted(&format!("{scenario:?}: {} calls failed: {calls:?}; exit statuses {statuses:?}", faults.len()));
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), faults.len(), failures.join("\n\n"));
    assert!(faults.len() >= 20, "a release makes more changes than that");
}

/// What is in force before the release, and once it has been made, or made good.
fn ends(lane: &Lane) -> (InForce, InForce) {
    let before = lane.in_force();
    lane.mend();
    lane.sandbox.batou(&["switch", "dev"]).success();
    let after = lane.in_force();
    assert_ne!(before, after);
    (before, after)
}

/// All calls that are to fail, learned from a release in which none does.
fn faults(lane: &Lane) -> Vec<Fault> {
    prepare(lane);
    let reads: String = READS.iter().map(|(name, _)| format!(",{name}")).collect();
    let traced = if tries_all() { format!("{CALLS}{reads}") } else { CALLS.to_owned() };
    let strace = Strace::of(&traced).of_the_main_thread();
    lane.traced(&strace, false);
    let kinds: BTreeMap<_, _> = ERRORS.iter().chain(READS).copied().collect();
    let read_only: BTreeSet<_> = READS.iter().map(|(name, _)| *name).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for call in strace.calls() {
        let nth = counts.entry(call.name.clone()).or_default();
        *nth += 1;
        let counts = read_only.contains(call.name.as_str()) || changes(&call);
        let errors = kinds.get(call.name.as_str()).copied().unwrap_or_default();
        if call.succeeded() && counts {
            let errors = if tries_all() { errors } else { &errors[..errors.len().min(1)] };
            faults.extend(errors.iter().map(|&error| Fault { name: call.name.clone(), nth: *nth, error }));
        }
    }
    if !tries_all() {
        // Of each kind of call the first, and some of the others.
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        faults.retain(|fault| {
            let count = seen.entry(fault.name.clone()).or_default();
            *count += 1;
            *count % SAMPLE == 1
        });
    }
    faults
}

/// Puts the host and the project back to where the release is about to begin.
fn prepare(lane: &Lane) {
    lane.reset();
    if lane.scenario() == Scenario::Failing {
        lane.fail();
    }
}

/// Lets a call of the release fail: the exit status, or what is wrong.
fn try_one(lane: &Lane, fault: &Fault, (before, after): (&InForce, &InForce)) -> Result<Option<i32>, String> {
    prepare(lane);
    let strace = Strace::of(CALLS).of_the_main_thread().failing_at_call(fault.error, &fault.name, fault.nth);
    let output = lane.traced(&strace, false);
    let context = format!("{fault:?}\n{output:?}");
    let found = lane.in_force();
    let expected: &[&InForce] = match (lane.scenario(), output.status) {
        (Scenario::Failing | Scenario::Switch, Some(1)) => &[before],
        (Scenario::Failing, Some(3)) => &[before, after],
        (Scenario::Switch, Some(0)) => &[after],
        _ => return Err(format!("no such exit status is right: {context}")),
    };
    if !expected.contains(&&found) {
        return Err(format!("the exit status says otherwise than {found:?}: {context}"));
    }
    if output.stderr.contains("panicked") {
        return Err(context);
    }
    lane.mend();
    // What follows fails a test at once: it has a context of its own.
    is_whole(&lane.sandbox.batou(&["verify", "dev", "--json"]), &context);
    let next = lane.sandbox.batou(&["switch", "dev"]);
    if next.status != Some(0) || lane.in_force() != *after {
        return Err(format!("the next switch does not mend it: {next:?}\n{context}"));
    }
    lane.is_tidy(&context);
    Ok(output.status)
}
