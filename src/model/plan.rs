//! What a seed chooses: hosts, commands, faults.

use std::time::Duration;

/// A history before it happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: usize,
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

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mishap {
    /// On which host, or against whom.
    pub(super) host: usize,
    /// After how many steps of that host's processes, or of the controllers. Counting begins with the first command that
    /// may be disturbed.
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
    /// The host loses its power, and is back after so many seconds.
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
    /// The host's clock is set by so many seconds.
    Clock(i64),
    /// Somebody removes the host's lock file.
    Unlock,
    /// The controller is killed. `step` counts steps of controllers.
    KillController,
    /// The controller is interrupted.
    Interrupt,
}

impl MishapKind {
    /// Whether a host can live with it: what it said that it can do, it can.
    pub(super) fn is_foreseen(self) -> bool {
        matches!(self, Self::Full(_) | Self::Clock(_))
    }

    /// Whether it befalls a controller, not a host.
    pub(super) fn is_of_controller(self) -> bool {
        matches!(self, Self::KillController | Self::Interrupt)
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
                faults.push(Mishap { kind: MishapKind::Unlock, ..Mishap::of(&mut random, hosts, disturbed) });
            }
            Theme::Room => {
                let kind = MishapKind::Full(100);
                faults = vec![Mishap { kind, of_changes: true, ..Mishap::of(&mut random, hosts, 1) }];
            }
        }
        Self { seed, hosts, commands, calm, faults }
    }
}

impl Mishap {
    fn of(random: &mut fastrand::Rng, hosts: usize, commands: u64) -> Self {
        let some = [0, 1, 3, 10, 40, 100][random.usize(..6)];
        let kind = match random.u8(..26) {
            0..5 => MishapKind::Kill,
            5..7 => MishapKind::Stop(some),
            7..10 => MishapKind::Crash(some),
            10..13 => MishapKind::Fail([5, 28, 13, 12][random.usize(..4)]),
            13 => MishapKind::Broken(some),
            14 => MishapKind::Unlock,
            15..18 => MishapKind::Cut([0, 0, 1, 7, 60, 300, 2000, 9000][random.usize(..8)]),
            18..20 => MishapKind::Silence(some),
            20 => MishapKind::Clock([-100_000, -100, 100, 100_000][random.usize(..4)]),
            21 | 22 => MishapKind::KillController,
            23 => MishapKind::Interrupt,
            _ => MishapKind::Full(some),
        };
        // A release takes about so many steps on a host.
        let of_changes = random.bool();
        let most = commands * if of_changes { 180 } else { 700 };
        Self { host: random.usize(..hosts), step: random.u64(..most), of_changes, kind }
    }
}
