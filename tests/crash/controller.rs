//! Controllers killed at any moment: their agents find out, and go back or have committed.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::lane::{Lane, Scenario};
use crate::common::{counted, until};

const KILLS: u64 = 51;
/// Another number, and the kills come at other moments.
const SEED: u64 = 2;

/// From when on a kill may come. What the machine is busy with otherwise moves none of it to another part of a release.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The controller has just been started.
    Start,
    /// The host has begun to switch.
    Begun,
    /// The new release is in force, and not committed.
    Switched,
}

impl Part {
    fn of(kill: u64) -> Self {
        [Part::Start, Part::Begun, Part::Switched][usize::try_from(kill % 3).unwrap()]
    }

    /// Waits until it has come, or the controller has ended.
    fn wait(self, lane: &Lane, controller: &mut Child) {
        let target = lane.target();
        let link = || std::fs::read_link(target.join("current")).ok();
        let before = link();
        let has_come = || match self {
            Part::Start => true,
            Part::Begun => target.join("intent.json").exists(),
            Part::Switched => link() != before,
        };
        while !has_come() && controller.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

#[test]
fn an_agent_whose_controller_is_killed_goes_back_or_has_committed() {
    let lane = Lane::new(Scenario::Switch);
    let before = lane.in_force();
    let run = |_| {
        lane.reset();
        let started = Instant::now();
        lane.sandbox.batou(&lane.release()).success();
        started.elapsed()
    };
    let whole = (0..3).map(run).min().unwrap();
    let after = lane.in_force();
    let (mut old, mut new, mut switched) = (0, 0, 0);
    for kill in 0..KILLS {
        lane.reset();
        let mut controller = lane
            .sandbox
            .command(&lane.release())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let part = Part::of(kill);
        part.wait(&lane, &mut controller);
        thread::sleep(whole.mul_f64(moment(kill)) / 3);
        controller.kill().unwrap();
        controller.wait().unwrap();
        let agent_ended = || std::fs::File::open(lane.target().join("lock")).unwrap().try_lock().is_ok();
        until("the agent has ended", agent_ended);

        let context = format!("kill {kill}, {part:?} and a third of {:.3} of {whole:?}", moment(kill));
        assert!(!lane.target().join("intent.json").exists(), "a release is still under way: {context}");
        let found = lane.in_force();
        let journal = std::fs::read_to_string(lane.target().join("journal")).unwrap();
        let committed = journal.lines().last().unwrap().contains(r#""result":"committed""#);
        switched += u64::from(journal.lines().count() > 1);
        if found == after {
            assert!(committed, "in force and not committed: {context}\n{journal}");
            new += 1;
        } else {
            assert_eq!(found, before, "{context}");
            old += 1;
        }
        let next = lane.sandbox.batou(&["switch", "dev"]).success();
        assert!(next.stdout.contains(" is in force"), "{next:?}\n{context}");
        assert_eq!(lane.in_force(), after, "{context}");
        lane.is_tidy(&context);
    }
    counted(&format!(
        "{KILLS} controllers killed: {old} times the old release stayed, {new} times the new one was in force; \
         {switched} of them had switched"
    ));
    assert!(old > 0 && switched >= KILLS / 3, "all came too early or too late");
}

/// How long to wait then, in parts of a third of a whole run.
fn moment(kill: u64) -> f64 {
    let random = blake3::hash(&[SEED.to_le_bytes(), kill.to_le_bytes()].concat());
    let bytes = random.as_bytes();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / f64::from(u16::MAX)
}
