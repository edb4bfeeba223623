//! How the model is run: some seeds with every test run, more with `make model`.

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::history::{Upshot, run};
use super::invariants::Broken;
use super::plan::{Mishap, Place, Plan, Shape};

/// How many seeds each of the tests takes.
const SEEDS: u64 = 2500;

/// What came of many histories.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    faults: usize,
    statuses: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, upshot: &Upshot) {
        self.seeds += 1;
        self.steps += upshot.steps;
        self.faults += upshot.faults;
        for status in &upshot.statuses {
            let status = status.map_or("killed".to_owned(), |status| status.to_string());
            *self.statuses.entry(status).or_default() += 1;
        }
    }

    fn tell(&self, began: Instant) {
        let time = began.elapsed().as_secs_f64();
        let Self { seeds, steps, faults, statuses } = self;
        let told = format!(
            "{seeds} seeds, {steps} steps, {faults} faults, commands ended {statuses:?}; {time:.1} s\n"
        );
        std::io::stderr().write_all(told.as_bytes()).expect("somebody reads it");
    }
}

/// Runs seeds from this one on, as long as there is still to be another.
fn seeds(from: u64, more: impl FnMut(u64) -> bool) {
    plans(from, more, Plan::of);
}

fn plans(from: u64, mut more: impl FnMut(u64) -> bool, plan_of: fn(u64) -> Plan) {
    let (began, mut sum) = (Instant::now(), Sum::default());
    for seed in (from..).take_while(|seed| more(seed - from)) {
        let plan = plan_of(seed);
        if std::env::var_os("BATOU_MODEL_VERBOSE").is_some() {
            let _ = writeln!(std::io::stderr(), "seed {seed}");
        }
        let upshot = catch_unwind(AssertUnwindSafe(|| run(&plan, false))).unwrap_or_else(|panic| {
            // What comes of it afterwards, in a world that ended in the middle of a call, cannot be trusted.
            let _ = writeln!(std::io::stderr(), "seed {seed} panics\n{plan:#?}\n{}", replay(&plan));
            resume_unwind(panic)
        });
        if std::env::var_os("BATOU_MODEL_VERBOSE").is_some() {
            let errors = upshot.trace.lines().filter_map(|line| line.split_once("\"error\",\"message\":"));
            for (_, message) in errors {
                let _ = writeln!(std::io::stderr(), "  {}", message.chars().take(160).collect::<String>());
            }
        }
        sum.add(&upshot);
        if let Some(broken) = &upshot.broken {
            fail(&plan, broken);
        }
    }
    sum.tell(began);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Shrinks a plan that breaks an invariant, and shows what happens.
fn fail(plan: &Plan, broken: &Broken) -> ! {
    let (seed, small) = (plan.seed, shrunk(plan));
    let upshot = run(&small, true);
    let still = upshot.broken.map_or_else(String::new, |broken| broken.to_string());
    let trace = shown(&upshot.trace);
    panic!(
        "seed {seed} breaks an invariant: {broken}\n{small:#?}\nin which: {still}\n{trace}\n{}",
        replay(plan)
    )
}

fn replay(plan: &Plan) -> String {
    let flag = if plan.is_plain { "BATOU_MODEL_PLAIN=1 " } else { "" };
    format!(
        "replay it with\n  {flag}BATOU_MODEL_SEED={} cargo nextest run -p batou --lib model::tests::one_seed --run-ignored \
         only\nand with BATOU_MODEL_VERBOSE=1 for each call",
        plan.seed
    )
}

/// A trace, without the calls that only look unless everything is wanted.
fn shown(trace: &str) -> String {
    const LOOKS: [&str; 10] =
        ["stat", "lstat", "fstat", "read", "readdir", "readlink", "open", "flock", "receive", "send"];
    if std::env::var_os("BATOU_MODEL_VERBOSE").is_some() {
        return trace.to_owned();
    }
    // A line is a time, a process, and what it does, followed by a colon and what came of it if that was not the usual.
    let only_looks = |line: &&str| {
        let does = line.get(38..).unwrap_or_default();
        does.split(' ').next().is_some_and(|name| LOOKS.contains(&name)) && !does.contains(": ")
    };
    let lines: Vec<_> = trace.lines().filter(|line| !only_looks(line)).collect();
    lines.join("\n")
}

/// The smallest plan that still breaks one: without a fault, a command or a host that it does not need.
fn shrunk(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    loop {
        let mut smaller = Vec::new();
        for place in 0..plan.faults.len() {
            let mut without = plan.clone();
            without.faults.remove(place);
            smaller.push(without);
        }
        for place in 0..plan.commands.len() {
            let mut without = plan.clone();
            without.commands.remove(place);
            without.calm = without.calm.min(place);
            smaller.push(without);
        }
        let shape = plan.shape;
        let shapes = [
            Shape { stays: false, ..shape },
            Shape { bare: false, ..shape },
            Shape { round: false, ..shape },
            Shape { stuck: false, ..shape },
            Shape { slow: false, ..shape },
        ];
        let others = shapes.into_iter().filter(|other| *other != shape);
        smaller.extend(others.map(|shape| Plan { shape, ..plan.clone() }));
        if plan.hosts > 1 {
            let mut without = plan.clone();
            without.hosts -= 1;
            let stays = |fault: &Mishap| fault.place != Place::Host(plan.hosts - 1);
            without.faults.retain(stays);
            smaller.push(without);
        }
        match smaller.into_iter().find(|plan| !plan.commands.is_empty() && run(plan, false).broken.is_some())
        {
            Some(found) => plan = found,
            None => return plan,
        }
    }
}

#[test]
fn seeds_of_the_first_quarter() {
    seeds(0, |count| count < SEEDS);
}

#[test]
fn seeds_of_the_second_quarter() {
    seeds(1_000_000, |count| count < SEEDS);
}

#[test]
fn seeds_of_the_third_quarter() {
    seeds(2_000_000, |count| count < SEEDS);
}

#[test]
fn seeds_of_the_last_quarter() {
    seeds(3_000_000, |count| count < SEEDS);
}

/// `make model`: seeds that nobody has seen yet.
#[test]
#[ignore = "runs for BATOU_MODEL_SECONDS"]
fn seeds_for_a_while() {
    let time = Duration::from_secs(number("BATOU_MODEL_SECONDS").unwrap_or(60));
    let clock = || UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs() * 1_000_000;
    let began = Instant::now();
    seeds(number("BATOU_MODEL_SEED").unwrap_or_else(clock), |_| began.elapsed() < time);
}

/// Histories in which something was wrong once.
#[test]
fn seeds_that_have_shown_something() {
    // What they have shown, they show of plain plans: the releases of others have changed since.
    for seed in
        [1071, 3_001_831, 5_001_822, 9_000_683, 50_003_231, 90_000_209, 90_000_369, 1_795_894_071_000_605]
    {
        plans(seed, |count| count == 0, Plan::plain);
    }
    // A line whose sync had failed was there again after a power cut, on a host that had begun to go back.
    seeds(200_042_919, |count| count == 0);
    // A host that could not be locked any more was said to have gone back, while its agent had just begun to switch.
    seeds(1_000_489, |count| count == 0);
    // An intent could be neither synced nor removed, and the host was said to have gone back.
    seeds(3_002_032, |count| count == 0);
    // A host whose agent stood still, and whose lock was removed and taken by another, was said to be overtaken; then its agent
    // went on and committed.
    seeds(1_795_907_800_003_065, |count| count == 0);
    // An old notice had all time until the next step left out, and with it what was to happen meanwhile.
    seeds(1_795_919_000_019_685, |count| count == 0);
}

#[test]
fn a_seed_gives_one_history() {
    for seed in 0..20 {
        let plan = Plan::of(seed);
        let (one, other) = (run(&plan, true), run(&plan, true));
        assert!(one.steps > 100, "something happens");
        assert_eq!((one.trace, one.statuses), (other.trace, other.statuses));
    }
}

#[test]
#[ignore = "replays the seed that BATOU_MODEL_SEED names"]
fn one_seed() {
    let plan_of = if std::env::var_os("BATOU_MODEL_PLAIN").is_some() { Plan::plain } else { Plan::of };
    let plan = plan_of(number("BATOU_MODEL_SEED").unwrap_or(0));
    let upshot = run(&plan, true);
    if let Some(broken) = &upshot.broken {
        fail(&plan, broken);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{plan:#?}\n{}\nall invariants hold", shown(&upshot.trace)).expect("somebody reads it");
}
