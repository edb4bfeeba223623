//! What a seed chooses: hosts, commands, faults.

use std::time::Duration;

/// A history before it happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Whether it is as [`Plan::plain`] makes it.
    pub(super) is_plain: bool,
    pub(super) hosts: usize,
    /// How many releases are wanted in it.
    pub(super) releases: usize,
    pub(super) commands: Vec<Order>,
    /// How many commands come before the faults.
    pub(super) calm: usize,
    pub(super) faults: Vec<Mishap>,
    pub(super) shape: Shape,
}

/// How the releases of a history differ from those that have everything new, with a step, on each host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is chosen apart from the others
pub(super) struct Shape {
    /// A release leaves some hosts as the one before has them.
    pub(super) stays: bool,
    /// The last host runs no step, nor does a host that is alone.
    pub(super) bare: bool,
    /// What is on the last hosts comes before something on the first, through components without a step.
    pub(super) round: bool,
    /// Some steps cannot be reverted: their `revert` fails.
    pub(super) stuck: bool,
    /// What steps do takes its time.
    pub(super) slow: bool,
}

/// What most of a history is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Any,
    /// Several deployers at once, and a lock that keeps nobody out any more.
    Crowd,
    /// A disk that fills.
    Room,
}

/// A command, and when it is started.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) what: CommandKind,
    /// After the one before it was started; `None`: once that has ended.
    pub(super) after: Option<Duration>,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandKind {
    /// Releases this release.
    Switch(usize),
    /// Releases this release, and looks at everything.
    Recheck(usize),
    /// Releases this release as a plan has it that was made when the command before began.
    Planned(usize),
    /// Releases this release on all hosts but this one.
    Skip(usize, usize),
    /// Goes back one release.
    Rollback,
    /// Restores the release with this number.
    Restore(u64),
    /// Releases this release as another project.
    Foreign(usize),
    /// Releases this release in another version of the protocol.
    Future(usize),
}

impl CommandKind {
    /// Whether it is to change what it says of all hosts.
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::Switch(_) | Self::Recheck(_) | Self::Planned(_))
    }
}

/// A machine of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The controllers' machine.
    Desk,
    /// The host with this number.
    Host(usize),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mishap {
    pub(super) place: Place,
    pub(super) moment: Moment,
    pub(super) kind: MishapKind,
}

/// When something goes wrong. All counting begins with the first command that may be disturbed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// After so many steps of that machine's processes; `true`: of those that change something.
    Step(u64, bool),
    /// After this time, whatever is done then or waited for.
    Time(Duration),
    /// So long after any machine came to a point for the time with this number.
    Point(Point, u64, Duration),
    /// So many steps of the machine after it, or a command, came to a point for the time with this number.
    Since(Point, u64, u64),
}

/// Points to which commands and agents come, as the marks of the simulation name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A host has written that it switches.
    Switches,
    /// A program of a step has started.
    Runs,
    /// A host has answered that it can commit.
    Prepared,
    /// A command begins to tell hosts to commit.
    Tells,
    /// A host is about to write that it has committed.
    Commits,
    /// A host goes back.
    GoesBack,
}

impl Point {
    /// Whether a mark is about this point.
    pub(super) fn is_in(self, mark: &str) -> bool {
        let begins = match self {
            Self::Switches => "switches ",
            Self::Runs => "runs ",
            Self::Prepared => "prepared ",
            Self::Tells => "tells ",
            Self::Commits => "commits ",
            Self::GoesBack => "goes back ",
        };
        mark.starts_with(begins)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum MishapKind {
    /// The process that takes the step is killed.
    Kill,
    /// The process that takes the step stands still for so long.
    Stop(u64),
    /// The machine loses its power. A host is back after so many seconds.
    Crash(u64),
    /// The call fails with this error.
    Fail(i32),
    /// The next sync of a file or folder fails, and may have written nothing or all, or lose what it was to write. So many
    /// steps later the machine loses its power, unless that is 0.
    Unsynced(u64),
    /// The disk is full for so many seconds.
    Full(u64),
    /// All changes fail for so many seconds, as on a disk that broke.
    Broken(u64),
    /// The host's connections end after so many bytes.
    Cut(u64),
    /// Nothing gets through to the host or from it for so many seconds, and nobody is told.
    Silence(u64),
    /// The machine's clock is set by so many seconds.
    Clock(i64),
    /// Somebody removes the host's lock file.
    Unlock,
    /// The controller that takes the step is interrupted, and again so many steps later, unless that is 0.
    Interrupt(u64),
}

impl MishapKind {
    /// Whether it befalls a process.
    pub(super) fn is_of_a_process(self) -> bool {
        matches!(self, Self::Kill | Self::Stop(_) | Self::Interrupt(_))
    }

    /// Whether a host can live with it: what it said that it can do, it can.
    pub(super) fn is_foreseen(self) -> bool {
        matches!(self, Self::Full(_) | Self::Clock(_))
    }
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut plan = Self { is_plain: false, ..Self::plain(seed) };
        // With numbers of its own, so that a plain plan stays what it is.
        let mut random = fastrand::Rng::with_seed(seed.rotate_left(17) ^ 0x6261_746f_7521);
        plan.shape = Shape {
            stays: plan.hosts > 1 && random.u8(..3) == 0,
            bare: random.u8(..4) == 0,
            round: plan.hosts > 1 && random.u8(..4) == 0,
            stuck: random.u8(..4) == 0,
            slow: false,
        };
        let (hosts, mut before) = (plan.hosts, None);
        for (number, order) in plan.commands.iter_mut().enumerate() {
            let other = random.u8(..24);
            order.what = match (order.what, other) {
                (CommandKind::Switch(release), 0) => CommandKind::Recheck(before.unwrap_or(release)),
                (CommandKind::Switch(release), 1..3) => CommandKind::Planned(release),
                (CommandKind::Switch(release), 3) if hosts > 1 => {
                    CommandKind::Skip(release, random.usize(..hosts))
                }
                (CommandKind::Switch(_), 4..10) if plan.shape.stuck && number > 0 => CommandKind::Rollback,
                (CommandKind::Rollback, 0..8) => CommandKind::Restore(1 + random.u64(..=number as u64)),
                (what, _) => what,
            };
            before = if let CommandKind::Switch(release) = order.what { Some(release) } else { None };
        }
        for fault in &mut plan.faults {
            if random.u8(..3) == 0 {
                fault.moment = Moment::of(&mut random);
            }
            if matches!(fault.kind, MishapKind::Fail(_) | MishapKind::Crash(_)) && random.bool() {
                fault.kind = MishapKind::Unsynced([0, 1, 3, 10, 30, 100][random.usize(..6)]);
            }
        }
        match random.u8(..10) {
            0 => {
                plan.shape.slow = true;
                plan.faults = vec![Mishap::at_point(&mut random, hosts, &[Point::Runs], 9000)];
            }
            1 => {
                let points = [Point::Prepared, Point::Tells, Point::Commits, Point::Commits, Point::GoesBack];
                plan.shape.bare |= random.bool();
                plan.faults = vec![Mishap::at_point(&mut random, hosts, &points, 12)];
            }
            _ => {}
        }
        plan
    }

    /// The plan of a seed in which all releases are alike, and what goes wrong does so after counted steps.
    pub(super) fn plain(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let theme = match random.u8(..8) {
            0 => Theme::Crowd,
            1 => Theme::Room,
            _ => Theme::Any,
        };
        let hosts = 1 + random.usize(..3);
        let count = 1 + random.usize(..4) + usize::from(theme == Theme::Crowd);
        let mut commands = Vec::new();
        for number in 0..count {
            let release = 1 + number;
            let what = match random.u8(..40) {
                0..28 => CommandKind::Switch(release),
                28..33 => CommandKind::Rollback,
                // What was wanted before is wanted once more.
                33..38 => CommandKind::Switch(1 + random.usize(..release)),
                38 => CommandKind::Foreign(release),
                _ => CommandKind::Future(release),
            };
            // Some deployers do not wait for each other.
            let waits = theme != Theme::Crowd && random.u8(..4) > 0;
            let after = (!waits).then(|| Duration::from_millis(random.u64(..4000)));
            commands.push(Order { what, after });
        }
        let calm = random.usize(..2).min(count - 1);
        let disturbed = (count - calm) as u64;
        let mut faults: Vec<_> =
            (0..random.usize(..=6)).map(|_| Mishap::of(&mut random, hosts, disturbed)).collect();
        match theme {
            Theme::Any => {}
            Theme::Crowd => {
                faults.truncate(1);
                faults.push(Mishap::on_a_host(&mut random, hosts, disturbed, MishapKind::Unlock));
            }
            Theme::Room => {
                let full = Mishap::on_a_host(&mut random, hosts, 1, MishapKind::Full(100));
                let Moment::Step(count, _) = full.moment else { unreachable!("so it was made") };
                faults = vec![Mishap { moment: Moment::Step(count, true), ..full }];
            }
        }
        Self { seed, is_plain: true, hosts, releases: count, commands, calm, faults, shape: Shape::default() }
    }
}

impl Mishap {
    fn of(random: &mut fastrand::Rng, hosts: usize, commands: u64) -> Self {
        if random.u8(..6) > 0 {
            let kind = MishapKind::of_a_host(random);
            return Self::on_a_host(random, hosts, commands, kind);
        }
        let kind = MishapKind::of_the_desk(random);
        Self::at(random, Place::Desk, commands, kind)
    }

    fn on_a_host(random: &mut fastrand::Rng, hosts: usize, commands: u64, kind: MishapKind) -> Self {
        let host = random.usize(..hosts);
        Self::at(random, Place::Host(host), commands, kind)
    }

    /// Something that ends a process or a connection, within this time after one of these points.
    fn at_point(random: &mut fastrand::Rng, hosts: usize, points: &[Point], most: u64) -> Self {
        let point = points[random.usize(..points.len())];
        let number = random.u64(..3);
        let moment = if random.bool() {
            Moment::Since(point, number, random.u64(..16))
        } else {
            Moment::Point(point, number, Duration::from_millis(random.u64(..most)))
        };
        let place = if random.u8(..4) == 0 { Place::Desk } else { Place::Host(random.usize(..hosts)) };
        let some = seconds(random);
        let kind = match random.u8(..9) {
            0..2 => MishapKind::Kill,
            2..5 => MishapKind::Crash(some),
            5 => MishapKind::Stop(some),
            6..8 => MishapKind::Unsynced(random.u64(..30)),
            _ if place == Place::Desk => MishapKind::Interrupt(0),
            _ => MishapKind::Cut(random.u64(..100)),
        };
        Self { place, moment, kind }
    }

    fn at(random: &mut fastrand::Rng, place: Place, commands: u64, kind: MishapKind) -> Self {
        // A release takes about so many steps on a machine.
        let of_changes = random.bool();
        let most = commands * if of_changes { 180 } else { 700 };
        Self { place, moment: Moment::Step(random.u64(..most), of_changes), kind }
    }
}

impl Moment {
    fn of(random: &mut fastrand::Rng) -> Self {
        const POINTS: [Point; 6] =
            [Point::Switches, Point::Runs, Point::Prepared, Point::Tells, Point::Commits, Point::GoesBack];
        if random.u8(..4) == 0 {
            let most = [500, 5000, 60_000, 200_000][random.usize(..4)];
            return Self::Time(Duration::from_millis(random.u64(..most)));
        }
        let most = [1, 4, 30, 1000, 10_000, 50_000][random.usize(..6)];
        let (point, number) = (POINTS[random.usize(..6)], random.u64(..4));
        if random.u8(..3) == 0 {
            return Self::Since(point, number, random.u64(..40));
        }
        Self::Point(point, number, Duration::from_millis(random.u64(..most)))
    }
}

impl MishapKind {
    fn of_a_host(random: &mut fastrand::Rng) -> Self {
        let some = seconds(random);
        match random.u8(..23) {
            0..5 => Self::Kill,
            5..7 => Self::Stop(some),
            7..10 => Self::Crash(some),
            10..13 => Self::Fail(number(random)),
            13 => Self::Broken(some),
            14 => Self::Unlock,
            15..18 => Self::Cut([0, 0, 1, 7, 60, 300, 2000, 9000][random.usize(..8)]),
            18..20 => Self::Silence(some),
            20 => Self::Clock(jump(random)),
            _ => Self::Full(some),
        }
    }

    fn of_the_desk(random: &mut fastrand::Rng) -> Self {
        let some = seconds(random);
        match random.u8(..16) {
            0..4 => Self::Kill,
            4..7 => Self::Interrupt([0, 0, 1, 10, 40][random.usize(..5)]),
            7..9 => Self::Stop(some),
            9..12 => Self::Crash(some),
            12 => Self::Fail(number(random)),
            13 => Self::Broken(some),
            14 => Self::Clock(jump(random)),
            _ => Self::Full(some),
        }
    }
}

fn seconds(random: &mut fastrand::Rng) -> u64 {
    [0, 1, 3, 10, 40, 100][random.usize(..6)]
}

fn number(random: &mut fastrand::Rng) -> i32 {
    [5, 28, 13, 12][random.usize(..4)]
}

fn jump(random: &mut fastrand::Rng) -> i64 {
    [-100_000, -100, 100, 100_000][random.usize(..4)]
}
