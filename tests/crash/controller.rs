//! Controllers killed at any moment: their agents find out, and go back or have committed.

use std::process::Stdio;
use std::thread;
use std::time::Instant;

use super::lane::{Lane, Scenario};
use crate::shop::until;

const KILLS: u64 = 50;
/// Another number, and the kills come at other moments.
const SEED: u64 = 2;

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
        thread::sleep(whole.mul_f64(moment(kill)));
        controller.kill().unwrap();
        controller.wait().unwrap();
        let agent_ended = || std::fs::File::open(lane.target().join("lock")).unwrap().try_lock().is_ok();
        until("the agent has ended", agent_ended);

        let context = format!("kill {kill} at {:.3} of {whole:?}", moment(kill));
        assert!(!lane.target().join("intent.json").exists(), "a release is still under way: {context}");
        let found = lane.in_force();
        let journal = std::fs::read_to_string(lane.target().join("journal")).unwrap();
        let confirmed = journal.lines().last().unwrap().contains(r#""result":"confirmed""#);
        switched += u64::from(journal.lines().count() > 1);
        if found == after {
            assert!(confirmed, "in force and not confirmed: {context}\n{journal}");
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
    println!(
        "{KILLS} controllers killed: {old} times the old release stayed, {new} times the new one was in force; \
         {switched} of them had switched"
    );
    assert!(old > 0 && switched > 0, "all came too early or too late");
}

/// When to kill, in parts of a whole run.
fn moment(kill: u64) -> f64 {
    let random = blake3::hash(&[SEED.to_le_bytes(), kill.to_le_bytes()].concat());
    let bytes = random.as_bytes();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / f64::from(u16::MAX)
}
