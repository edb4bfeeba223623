//! A history: a plan that is carried out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use batou_system::simulation::{World, enter};

use super::command::{Expected, Issued, issue};
use super::invariants::{self, Broken};
use super::judge::Court;
use super::network::{self, Machines};
use super::plan::{CommandKind, Plan};
use super::releases::{Blueprint, FleetRelease, build};
use super::words;
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

/// A history that takes place.
struct Stage<'s> {
    world: &'s Rc<World>,
    plan: &'s Plan,
    machines: Machines,
    releases: BTreeMap<usize, FleetRelease>,
    court: Rc<Court>,
    issued: RefCell<Vec<Issued>>,
    /// What hosts had in force when the last command was started.
    seen: RefCell<Expected>,
    broken: RefCell<Option<Broken>>,
}

async fn carry_out(plan: &Plan, world: &Rc<World>) -> Upshot {
    let machines = Machines::new(world, plan.hosts);
    let releases = releases(plan, world, &machines);
    world.set_programs(Rc::new(super::programs::program));
    let court = Court::new(world, &machines, &plan.faults);
    world.judged_by(court.judge());
    let (issued, seen, broken) = (RefCell::default(), RefCell::default(), RefCell::default());
    let stage = Stage { world, plan, machines, releases, court, issued, seen, broken };
    let broken = match stage.commands().await {
        Ok(()) => stage.settle().await.err(),
        Err(broken) => Some(broken),
    };
    let issued = stage.issued.take();
    let ordered = issued.iter().take(plan.commands.len());
    Upshot {
        steps: world.steps(),
        faults: stage.court.happened(),
        statuses: ordered.map(|issued| issued.said.status()).collect(),
        trace: told(world, &issued),
        broken,
    }
}

impl Stage<'_> {
    /// Carries out the commands of the plan, and waits until all have ended.
    async fn commands(&self) -> Result<(), Broken> {
        let Self { world, plan, .. } = self;
        for (number, order) in plan.commands.iter().enumerate() {
            match order.after {
                Some(time) if number > 0 => self.wait(time).await,
                _ => self.until(|| !self.is_busy()).await,
            }
            if number == plan.calm {
                self.court.begin(world);
            }
            self.issue(order.what);
        }
        self.until(|| !self.is_busy()).await;
        self.broken.take().map_or(Ok(()), Err)?;
        let issued = self.issued.borrow();
        if let Some(issued) = issued.iter().find(|issued| world.is_alive(issued.process)) {
            return Err(Broken::new(format!("{:?} (#{}) never ends", issued.what, issued.process.0)));
        }
        invariants::of_words(world, &self.machines, &issued)?;
        invariants::of_the_undisturbed(&issued, plan)?;
        let foreseen = plan.faults.iter().all(|fault| fault.kind.is_foreseen());
        if foreseen { invariants::of_the_foreseen(&issued) } else { Ok(()) }
    }

    /// All faults end. Whoever is left goes back or ends; then an undisturbed command must succeed without help.
    async fn settle(&self) -> Result<(), Broken> {
        let Self { world, plan, machines, releases, .. } = self;
        self.court.adjourn();
        network::heal();
        for machine in machines.hosts.iter().chain([&machines.desk]) {
            world.machine(*machine).ahead.set(0);
            world.machine(*machine).disk.borrow_mut().set_fault(None);
        }
        self.wait(QUIET).await;
        let count = self.issued.borrow().len();
        invariants::of_the_left(world, machines, &self.issued.borrow())?;
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
            self.issue(what);
            self.until(|| !self.is_busy()).await;
            self.broken.take().map_or(Ok(()), Err)?;
            let issued = self.issued.borrow();
            let command = issued.last().expect("one was started");
            invariants::of_success(world, machines, command, &releases[&number])?;
            if before == Some(what) {
                invariants::of_rest(command)?;
            }
            before = Some(what);
        }
        invariants::of_runs(world, machines, plan)?;
        invariants::of_journals(world, machines, &self.issued.borrow())?;
        invariants::of_words(world, machines, &self.issued.borrow()[..count])
    }

    fn issue(&self, what: CommandKind) {
        let now = words::in_force(self.world, &self.machines);
        let before = self.seen.replace(now.clone());
        let expected = match what {
            CommandKind::Planned(release) => Some(if release % 2 == 0 { before } else { now }),
            _ => None,
        };
        let command = issue(self.world, &self.machines, (what, expected), &self.releases);
        let busy = self.is_busy();
        let mut issued = self.issued.borrow_mut();
        for other in issued.iter().filter(|other| self.world.is_alive(other.process)) {
            other.alone.set(false);
        }
        command.alone.set(!busy);
        issued.push(command);
    }

    fn is_busy(&self) -> bool {
        self.issued.borrow().iter().any(|issued| self.world.is_alive(issued.process))
    }

    /// Has due faults happen, and judges what a command said that has just ended.
    fn attend(&self) {
        self.court.attend(self.world);
        let issued = self.issued.borrow();
        let Some(last) = issued.last() else { return };
        // Words of one that others were at work beside are judged when all have ended.
        if last.said.status().is_none() || last.judged.replace(true) {
            return;
        }
        let mut others = issued.iter().rev().skip(1);
        if others.any(|other| self.world.is_alive(other.process)) {
            return;
        }
        let ended = words::Ended {
            world: self.world,
            machines: &self.machines,
            plan: self.plan,
            releases: &self.releases,
            is_disturbed: self.court.happened() > 0,
        };
        *self.broken.borrow_mut() = ended.judge(&issued).err();
    }

    /// Has everything go on until then, or until an invariant is broken.
    async fn until(&self, mut done: impl FnMut() -> bool) {
        let is_over = || {
            self.attend();
            self.broken.borrow().is_some() || done()
        };
        self.world.run(is_over).await;
    }

    async fn wait(&self, time: Duration) {
        let until = self.world.elapsed() + time;
        let _ = tokio::time::timeout(time, self.until(|| self.world.elapsed() >= until)).await;
        let left = until.saturating_sub(self.world.elapsed());
        tokio::time::sleep(left).await;
    }
}

/// All releases of a plan, and two good ones more.
fn releases(plan: &Plan, world: &Rc<World>, machines: &Machines) -> BTreeMap<usize, FleetRelease> {
    let good = plan.releases + 1;
    let blueprint =
        |number| Blueprint { seed: plan.seed, number, hosts: plan.hosts, shape: plan.shape, good };
    let build = |number| Ok((number, build(blueprint(number))?));
    let all: Result<_, batou_store::Error> =
        world.look(machines.desk, || (1..=good + 1).map(build).collect());
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
