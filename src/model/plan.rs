//! What a seed chooses: hosts, commands, faults.

use std::time::Duration;

/// A history before it happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: usize,
    /// How many releases are wanted in it.
    pub(super) releases: usize,
    pub(super) commands: Vec<Order>,
    /// How many commands come before the faults.
    pub(super) calm: usize,
    pub(super) faults: Vec<Mishap>,
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
    /// Goes back one release.
    Rollback,
    /// Releases this release as another project.
    Foreign(usize),
    /// Releases this release in another version of the protocol.
    Future(usize),
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
    /// After how many steps of that machine's processes. Counting begins with the first command that may be disturbed.
    pub(super) step: u64,
    /// Whether only steps that change something are counted.
    pub(super) of_changes: bool,
    pub(super) kind: MishapKind,
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
    /// Whether a host can live with it: what it said that it can do, it can.
    pub(super) fn is_foreseen(self) -> bool {
        matches!(self, Self::Full(_) | Self::Clock(_))
    }
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn of(seed: u64) -> Self {
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
                faults = vec![Mishap { of_changes: true, ..full }];
            }
        }
        Self { seed, hosts, releases: count, commands, calm, faults }
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

    fn at(random: &mut fastrand::Rng, place: Place, commands: u64, kind: MishapKind) -> Self {
        // A release takes about so many steps on a machine.
        let of_changes = random.bool();
        let most = commands * if of_changes { 180 } else { 700 };
        Self { place, step: random.u64(..most), of_changes, kind }
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
