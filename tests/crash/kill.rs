//! One run for each system call of an agent that changes something, killed before that call is carried out.
//!
//! The agent's main thread makes all of them, as long as only a few components are new: that is checked. So the state
//! in which a kill leaves the host is known by the number of the call, however the other threads run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::lane::{InForce, Lane, Scenario};
use crate::common::{Call, Output, Strace, counted, left_out};

/// The calls that can change something. What is not known on this processor is left out by the question mark.
pub(crate) const CALLS: &str = "?open,?creat,openat,?openat2,write,writev,pwrite64,copy_file_range,sendfile,?rename,?renameat,\
                     renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?chmod,fchmod,\
                     fchmodat,?fchmodat2,?chown,fchown,fchownat,ftruncate,truncate,fallocate,fsync,fdatasync,syncfs,\
                     sync_file_range,flock,?utime,utimensat,clone,?clone3,?fork,?vfork";

/// How many points are tried at a time.
const LANES: usize = 2;

/// What becomes of the controller when the agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    /// It is killed too, so that nobody tidies up.
    Dies,
    /// It finds out what happened.
    Lives,
}

/// The `nth` call of that name in the agent's main thread, counted from 1.
#[derive(Debug)]
struct Point {
    name: String,
    nth: usize,
}

/// What is in force before the release and after it.
struct Releases {
    before: InForce,
    after: InForce,
}

/// The states of the host, with what the controller made of the kill, from which the way on has been proven.
type Proven = Mutex<HashSet<(blake3::Hash, Option<i32>)>>;

/// Kills the release's agent before each call that changes something; each time the host must be whole, and the
/// next switch succeed.
pub(super) fn kill_everywhere(scenario: Scenario, controller: Controller) {
    if let Some(lacking) = Strace::lacking() {
        return left_out("releases killed at each system call", lacking);
    }
    let lanes: Vec<_> = (0..LANES).map(|_| Lane::new(scenario)).collect();
    let (points, releases) = learn(&lanes[0]);
    others_change_nothing(&lanes[0]);
    let next = AtomicUsize::new(0);
    let proven = Proven::default();
    thread::scope(|scope| {
        for lane in &lanes {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    kill_at(lane, point, &releases, controller, &proven);
                }
            });
        }
    });
    let mut counts = BTreeMap::new();
    for point in &points {
        *counts.entry(point.name.as_str()).or_insert(0) += 1;
    }
    counted(&format!(
        "{scenario:?}, the controller {controller:?}: killed at {} points, which left {} different states: {counts:?}",
        points.len(),
        proven.lock().unwrap().len(),
    ));
    let least = if scenario == Scenario::Rollback { 30 } else { 100 };
    assert!(points.len() >= least, "a release makes more changes than that");
}

/// Runs the release once to its end, to learn which calls it makes.
fn learn(lane: &Lane) -> (Vec<Point>, Releases) {
    let before = lane.in_force();
    let strace = Strace::of(CALLS).of_the_main_thread();
    lane.traced(&strace, false).success();
    let after = lane.in_force();
    assert_ne!(before, after);
    let calls = strace.calls();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for call in &calls {
        let nth = counts.entry(call.name.clone()).or_default();
        *nth += 1;
        if call.succeeded() && changes(call) {
            points.push(Point { name: call.name.clone(), nth: *nth });
        }
    }
    (points, Releases { before, after })
}

/// Only the main thread changes anything in the target directory; the steps' own data are theirs.
fn others_change_nothing(lane: &Lane) {
    lane.reset();
    let strace = Strace::of(CALLS);
    lane.traced(&strace, false).success();
    let calls = strace.calls();
    let (target, main) = (lane.target(), calls[0].pid);
    let inside = |path: &str| {
        Path::new(path).starts_with(&target) && !Path::new(path).starts_with(target.join("state"))
    };
    let changed = |call: &&Call| {
        call.succeeded()
            && changes(call)
            && (0..call.args.len()).any(|index| call.path(index).is_some_and(inside))
    };
    let (ours, others): (Vec<_>, Vec<_>) = calls.iter().filter(changed).partition(|call| call.pid == main);
    assert!(!ours.is_empty() && others.is_empty(), "{others:?}");
}

/// Whether a call changes something that outlives the process, or starts another one.
pub(crate) fn changes(call: &Call) -> bool {
    let flags = |index: usize| call.args.get(index).map_or("", String::as_str);
    match call.name.as_str() {
        "open" => flags(1).contains("O_CREAT") || flags(1).contains("O_TRUNC"),
        "openat" | "openat2" => flags(2).contains("O_CREAT") || flags(2).contains("O_TRUNC"),
        // Not what goes into pipes and event counters.
        "write" | "writev" | "pwrite64" => call.path(0).is_some_and(|path| path.starts_with('/')),
        "clone" | "clone3" => !call.args.concat().contains("CLONE_THREAD"),
        _ => true,
    }
}

fn kill_at(lane: &Lane, point: &Point, releases: &Releases, controller: Controller, proven: &Proven) {
    lane.reset();
    let strace = Strace::of(CALLS).of_the_main_thread().killing_at_call(&point.name, point.nth);
    let output = lane.traced(&strace, controller == Controller::Dies);
    let calls = strace.calls();
    let killed = calls.last().unwrap();
    let context = format!("killed at call {} {} of it: {killed:?}\n{output:?}", point.nth, point.name);
    assert!(killed.name == point.name && killed.result.starts_with('?') && changes(killed), "{context}");

    let found = lane.in_force();
    assert!(found == releases.before || found == releases.after, "a mix is in force: {found:?}\n{context}");
    if controller == Controller::Lives {
        let expected = if output.status == Some(0) { &releases.after } else { &releases.before };
        assert!(found == *expected && matches!(output.status, Some(0 | 1)), "{found:?}\n{context}");
    }
    // What follows depends on nothing but what is on the host: once is enough.
    if !proven.lock().unwrap().insert((lane.state(), output.status)) {
        return;
    }
    if found.is_some() {
        is_whole(&lane.sandbox.batou(&["verify", "dev", "--json"]), &context);
    }
    let interrupted = lane.is_interrupted();
    let switched = lane.sandbox.batou(&["switch", "dev"]);
    let told = switched.stderr.contains("was interrupted");
    assert!(told == interrupted, "{switched:?}\n{context}");
    assert!(
        switched.status == Some(0) && switched.stdout.contains(" is in force"),
        "{switched:?}\n{context}"
    );
    assert!(lane.in_force().is_some_and(|files| files.contains_key("later/file")), "{context}");
    if controller == Controller::Dies {
        let again = lane.sandbox.batou(&["switch", "dev"]).success();
        assert!(again.stdout.contains("nothing to do"), "{again:?}\n{context}");
        lane.is_tidy(&context);
    }
}

/// Every file of what is in force is whole. A step may have been interrupted.
pub(crate) fn is_whole(verified: &Output, context: &str) {
    // That the release was interrupted may be told before.
    let lines = verified.json();
    let found = lines.iter().find(|line| line["type"] == "verified");
    let found = found.unwrap_or_else(|| panic!("{verified:?}\n{context}"));
    let problems = found["problems"].as_array().unwrap_or_else(|| panic!("{verified:?}\n{context}"));
    let damaged = problems.iter().any(|problem| !problem.as_str().unwrap().starts_with("step "));
    assert!(!damaged && found["files_checked"] == 4, "{verified:?}\n{context}");
}
