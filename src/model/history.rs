//! A history: a plan that is carried out.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use batou_system::simulation::{World, enter};

use super::command::{Issued, issue};
use super::invariants::{self, Broken};
use super::judge::Court;
use super::network::{self, Machines};
use super::plan::{CommandKind, Plan};
use super::releases::{FleetRelease, Mood, build, mood};
use crate::interrupt::simulated;

/// How long everything may take until it has ended, and until hosts that were left alone have gone back.
const QUIET: Duration = Duration::from_secs(200);

/// What came of a history.
#[derive(Debug, Default)]
pub(super) struct Upshot {
    pub(super) steps: u64,
    pub(super) faults: usize,
    pub(super) statuses: Vec<Option<u8>>,
    pub(super) broken: Option<Broken>,
    pub(super) trace: String,
}

/// Carries out a plan, on this thread alone.
pub(super) fn run(plan: &Plan, traced: bool) -> Upshot {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without threads");
    runtime.block_on(async {
        let world = World::new(plan.seed);
        let _entered = enter(&world);
        if traced {
            world.start_trace();
        }
        let upshot = carry_out(plan, &world).await;
        world.end();
        simulated::forget();
        upshot
    })
}

async fn carry_out(plan: &Plan, world: &Rc<World>) -> Upshot {
    let machines = Machines::new(world, plan.hosts);
    let releases = releases(plan, world, &machines);
    world.set_programs(Rc::new(super::programs::program));
    let court = Court::new(&machines, &plan.faults);
    world.judged_by(court.judge());
    let mut issued: Vec<Issued> = Vec::new();
    let mut broken = None;
    for (number, order) in plan.commands.iter().enumerate() {
        match (order.after, issued.last()) {
            (Some(time), Some(_)) => wait(world, time).await,
            (None, Some(last)) => {
                let process = last.process;
                world.run(|| !world.is_alive(process)).await;
            }
            (_, None) => {}
        }
        if number == plan.calm {
            court.begin();
        }
        issued.push(issue(world, &machines, order.what, &releases));
    }
    let running = |world: &World| issued.iter().any(|issued| world.is_alive(issued.process));
    world.run(|| !running(world)).await;
    if let Some(issued) = issued.iter().find(|issued| world.is_alive(issued.process)) {
        broken = Some(Broken::new(format!("{:?} (#{}) never ends", issued.what, issued.process.0)));
    }
    let foreseen = plan.faults.iter().all(|fault| fault.kind.is_foreseen());
    let of_words = || {
        invariants::of_words(world, &machines, &issued)?;
        if foreseen { invariants::of_the_foreseen(&issued) } else { Ok(()) }
    };
    let broken = match broken.map_or_else(of_words, Err) {
        Err(broken) => Some(broken),
        Ok(()) => settle(world, (&machines, &court), &releases, &issued, plan).await.err(),
    };
    Upshot {
        steps: world.steps(),
        faults: court.happened(),
        statuses: issued.iter().map(|issued| issued.said.status()).collect(),
        trace: told(world, &issued),
        broken,
    }
}

/// All faults end. Whoever is left goes back or ends; then an undisturbed command must succeed without help.
async fn settle(
    world: &Rc<World>,
    (machines, court): (&Machines, &Rc<Court>),
    releases: &BTreeMap<usize, FleetRelease>,
    issued: &[Issued],
    plan: &Plan,
) -> Result<(), Broken> {
    court.adjourn();
    network::heal();
    for machine in machines.hosts.iter().chain([&machines.desk]) {
        world.machine(*machine).ahead.set(0);
        world.machine(*machine).disk.borrow_mut().set_fault(None);
    }
    wait(world, QUIET).await;
    invariants::of_the_left(world, machines, issued)?;
    invariants::of_the_recovered(world, machines, plan)?;
    let last = *releases.keys().last().expect("there are releases");
    let mut finish = vec![(CommandKind::Switch(last), last), (CommandKind::Switch(last), last)];
    // It costs as much as all that was to be tried.
    if plan.seed.is_multiple_of(4) {
        finish = vec![
            (CommandKind::Switch(last - 1), last - 1),
            (CommandKind::Switch(last), last),
            (CommandKind::Rollback, last - 1),
        ];
    }
    let mut before = None;
    for (what, number) in finish {
        let command = issue(world, machines, what, releases);
        let process = command.process;
        world.run(|| !world.is_alive(process)).await;
        invariants::of_success(world, machines, &command, &releases[&number], number)?;
        if before == Some(what) {
            invariants::of_rest(&command)?;
        }
        before = Some(what);
    }
    invariants::of_journals(world, machines)?;
    invariants::of_words(world, machines, issued)
}

async fn wait(world: &Rc<World>, time: Duration) {
    let until = world.elapsed() + time;
    let _ = tokio::time::timeout(time, world.run(|| world.elapsed() >= until)).await;
    let left = until.saturating_sub(world.elapsed());
    tokio::time::sleep(left).await;
}

/// All releases of a plan, and two good ones more.
fn releases(plan: &Plan, world: &Rc<World>, machines: &Machines) -> BTreeMap<usize, FleetRelease> {
    let count = plan.releases;
    let mood = |number| if number > count { Mood::Good } else { mood(plan.seed, number) };
    let build = |number| Ok((number, build(number, plan.hosts, mood(number))?));
    let all: Result<_, batou_store::Error> =
        world.look(machines.desk, || (1..=count + 2).map(build).collect());
    all.expect("the disk is in order")
}

fn told(world: &World, issued: &[Issued]) -> String {
    let mut told = world.trace();
    for command in issued {
        let (what, status) = (command.what, command.said.status());
        told.push_str(&format!(
            "\n{what:?} (#{}) ended with {status:?}:\n{}",
            command.process.0,
            command.said.text()
        ));
    }
    told
}
