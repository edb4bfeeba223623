//! System calls of an agent that fail: every one that changes something, with the errors that it may have, on the way to a
//! release and while a host goes back from one that failed. And agents that are killed at these calls on the way back.
//!
//! Kills on the way to a release are in `crash/kill.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
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

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// It fails with this error.
    Error(&'static str),
    /// The agent is killed before it.
    Kill,
}

/// A call at which something happens.
#[derive(Debug)]
struct Fault {
    name: String,
    nth: usize,
    blow: Blow,
}

impl Fault {
    fn strace(&self) -> Strace {
        let strace = Strace::of(CALLS).of_the_main_thread();
        match self.blow {
            Blow::Error(error) => strace.failing_at_call(error, &self.name, self.nth),
            Blow::Kill => strace.killing_at_call(&self.name, self.nth),
        }
    }
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
    strike_everywhere(Scenario::Switch, false);
}

#[test]
fn a_way_back_whose_calls_fail_ends_at_the_release_before_or_says_what_is_unknown() {
    strike_everywhere(Scenario::Failing, false);
}

#[test]
fn a_way_back_whose_agent_is_killed_ends_at_the_release_before() {
    strike_everywhere(Scenario::Failing, true);
}

/// The calls that need room, other than those of the store.
const GROWING: [&str; 10] = [
    "open",
    "openat",
    "write",
    "rename",
    "renameat2",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "fallocate",
];

/// The filesystem has room, of which its user gets none any more. What a rollback writes comes out of the reserve.
#[test]
fn a_quota_that_is_used_up_is_no_end_of_a_rollback() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("rollbacks without a quota", lacking);
    }
    let lane = Lane::new(Scenario::Rollback);
    let strace = Strace::of(CALLS).of_the_main_thread();
    lane.traced(&strace, false).success();
    let after = lane.in_force();
    let target = lane.target();
    let aside = ["store", "state", "lock", "reserve"].map(|name| target.join(name));
    let is_record = |path: &str| {
        let path = Path::new(path);
        path.starts_with(&target) && !aside.iter().any(|aside| path.starts_with(aside))
    };
    let (mut counts, mut tried) = (BTreeMap::<String, usize>::new(), Vec::new());
    for call in strace.calls() {
        let nth = counts.entry(call.name.clone()).or_default();
        *nth += 1;
        let of_record = (0..call.args.len()).any(|index| call.path(index).is_some_and(is_record));
        if !GROWING.contains(&call.name.as_str()) || !call.succeeded() || !changes(&call) || !of_record {
            continue;
        }
        lane.reset();
        let fault = Fault { name: call.name.clone(), nth: *nth, blow: Blow::Error("EDQUOT") };
        let output = lane.traced(&fault.strace(), false);
        assert!(output.status == Some(0) && lane.in_force() == after, "{call:?}\n{output:?}");
        tried.push(call.name);
    }
    counted(&format!("{} calls of a rollback without a quota, all made again: {tried:?}", tried.len()));
    assert!(tried.len() >= 6, "a rollback writes an intent, a pointer, a line and more");
}

fn strike_everywhere(scenario: Scenario, kills: bool) {
    if let Some(lacking) = Strace::lacking() {
        return left_out("releases whose system calls fail", lacking);
    }
    let lanes: Vec<_> = (0..LANES).map(|_| Lane::new(scenario)).collect();
    let (before, after) = ends(&lanes[0]);
    let mut faults = faults(&lanes[0]);
    if kills {
        faults.dedup_by_key(|fault| (fault.name.clone(), fault.nth));
        for fault in &mut faults {
            fault.blow = Blow::Kill;
        }
    }
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
    let what = if kills { "kills at calls" } else { "calls failed" };
    counted(&format!("{scenario:?}: {} {what}: {calls:?}; exit statuses {statuses:?}", faults.len()));
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
            faults.extend(errors.iter().map(|&error| Fault {
                name: call.name.clone(),
                nth: *nth,
                blow: Blow::Error(error),
            }));
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
    let output = lane.traced(&fault.strace(), false);
    let context = format!("{fault:?}\n{output:?}");
    let found = lane.in_force();
    let expected: &[&InForce] = match (lane.scenario(), output.status) {
        (Scenario::Failing | Scenario::Switch, Some(1)) => &[before],
        (Scenario::Failing, Some(3)) if fault.blow != Blow::Kill => &[before, after],
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
