//! Somebody else acts between two steps of batou's: its agent on the first host stands still there until they have.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Child;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::between::{Between, HOSTS};
use crate::common::{found, signal};
use crate::shop::{Target, says};

/// batou, whose agent on the first host stands still.
struct Halted {
    batou: Child,
    processes: Vec<Pid>,
}

impl Halted {
    /// Starts batou, and has its first agent stand still with its reply of this number, from 1, which batou does not have yet: it
    /// could else ask the next question before the agent stands still.
    fn before(fleet: &Between, reply: usize, command: &[&str]) -> Self {
        let stopped = fleet.sandbox.tmp().join("stopped");
        let order = json!({ "reply": reply - 1, "harm": "stop", "when": "before", "stopped": stopped });
        let batou = fleet.start_with(command, &order);
        let processes = found("the agent stands still", || {
            let text = fs::read_to_string(&stopped).ok()?;
            let number = |text: &str| Pid::from_raw(text.parse().ok()?);
            let (agent, middle) = text.split_once(' ')?;
            Some(vec![number(agent)?, number(middle)?]).filter(|all| all.iter().all(|pid| stands(*pid)))
        });
        fs::remove_file(stopped).unwrap();
        Self { batou, processes }
    }

    /// Interrupts batou, which says that it waits.
    fn interrupt(&mut self) -> String {
        signal(Pid::from_child(&self.batou), Signal::INT);
        let mut said = BufReader::new(self.batou.stderr.take().unwrap());
        let mut warning = String::new();
        while !warning.contains("interrupt again") {
            assert!(said.read_line(&mut warning).unwrap() > 0, "{warning}");
        }
        self.batou.stderr = Some(said.into_inner());
        warning
    }

    /// Lets the agent go on; how batou ended, and what it said.
    fn go_on(self) -> (Option<i32>, String) {
        for process in self.processes {
            signal(process, Signal::CONT);
        }
        let output = self.batou.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

/// Whether a process is stopped.
fn stands(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

fn targets(fleet: &Between) -> [Target; 2] {
    HOSTS.map(|host| Target::remote(&fleet.hosts, host))
}

/// `retire` has asked the hosts what they remember, and does not have their answer yet, nor their locks.
#[test]
fn what_comes_between_a_look_and_its_lock_is_seen_by_retire() {
    let mut fleet = Between::new();
    let [evil, _] = targets(&fleet);
    let forget = ["retire", "dev", HOSTS[1], "--lost", "--yes"];

    let retiring = Halted::before(&fleet, 1, &forget);
    fleet.change();
    fleet.run(&["switch", "dev"]).success();
    let (status, said) = retiring.go_on();
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(evil.results(), ["1 committed", "2 committed", "3 committed", "4 committed"]);
    let journal = evil.journal();
    assert_eq!((&journal[3]["release"], &journal[3]["forgets"]), (&journal[2]["release"], &HOSTS[1].into()));

    fleet.change();
    fleet.run(&["switch", "dev"]).success();
    let retiring = Halted::before(&fleet, 1, &forget);
    says(&fleet.run(&forget).success().stdout, &["the other hosts have forgotten it"]);
    let (status, said) = retiring.go_on();
    assert_eq!(status, Some(0), "{said}");
    says(&said, &["honest: no other host remembers it"]);
    assert_eq!(evil.journal().len(), 6, "it was forgotten once");
}

/// `retire` has emptied its host, and the others are not locked yet.
#[test]
fn a_host_that_is_released_to_while_it_is_retired_is_not_forgotten() {
    let mut fleet = Between::new();
    let [evil, honest] = targets(&fleet);
    let retire = ["retire", "dev", HOSTS[1], "--yes"];

    let retiring = Halted::before(&fleet, 1, &retire);
    fleet.change();
    fleet.run(&["switch", "dev"]).success();
    let (status, said) = retiring.go_on();
    assert_eq!(status, Some(1), "{said}");
    let again = "retire it again, with `batou retire dev honest --yes`";
    says(&said, &["honest was given release 3 meanwhile, so that the other hosts still remember it", again]);
    assert_eq!(evil.results(), ["1 committed", "2 committed", "3 committed"]);
    assert_eq!(fleet.in_force(HOSTS[1]), "3 on honest\n");

    let retiring = Halted::before(&fleet, 1, &retire);
    fleet.hosts.host(HOSTS[1]).cut();
    let (status, said) = retiring.go_on();
    assert_eq!(status, Some(1), "{said}");
    let kept = "honest is emptied, and the other hosts still remember it";
    says(&said, &["1 host cannot be reached", kept, "honest: ", "`batou retire dev honest --lost --yes`"]);
    assert_eq!(evil.results().len(), 3);
    fleet.hosts.host(HOSTS[1]).heal();

    says(&fleet.run(&retire).success().stdout, &["honest: the other hosts have forgotten it"]);
    assert_eq!(evil.journal()[3]["forgets"], HOSTS[1]);
    assert!(honest.generation().is_none());
}

/// Both release the same to the same host under the same number; they differ by nothing but their attempts.
#[test]
fn the_same_release_by_the_same_person_is_not_ones_own() {
    let mut fleet = Between::new();
    let [evil, honest] = targets(&fleet);
    fleet.change();
    let switching = Halted::before(&fleet, 2, &["switch", "dev"]);
    fs::remove_file(evil.0.join("lock")).unwrap();
    fleet.run(&["switch", "dev", "--skip", HOSTS[1]]).success();
    let (status, said) = switching.go_on();
    assert_eq!(status, Some(1), "{said}");
    says(&said, &["evil  overtaken: release 3 by ", "no host keeps the release"]);
    assert_eq!(evil.results(), ["1 committed", "2 committed", "3 committed"]);
    assert_eq!(fleet.in_force(HOSTS[1]), "2 on honest\n");
    assert_eq!(honest.results().last().map(String::as_str), Some("3 went-back"));
}

/// Somebody of the same name, at the same machine, since the same second.
#[test]
fn a_lock_of_the_same_person_and_second_is_not_ones_own() {
    let mut fleet = Between::new();
    let [evil, _] = targets(&fleet);
    fleet.change();
    let switching = Halted::before(&fleet, 2, &["switch", "dev"]);
    let path = evil.0.join("lock");
    let mut holder: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let attempt = holder["attempt"].as_u64().unwrap();
    holder["attempt"] = (attempt ^ 1).into();
    fs::remove_file(&path).unwrap();
    let lock = File::create(&path).unwrap();
    lock.lock().unwrap();
    fs::write(&path, holder.to_string()).unwrap();
    let (status, said) = switching.go_on();
    assert_eq!(status, Some(1), "{said}");
    says(&said, &["evil  overtaken: ", " holds the lock there"]);
    assert_eq!(evil.results(), ["1 committed", "2 committed"]);
}

/// The host is emptied, or the others are asked, and batou does not have the answer yet.
#[test]
fn an_interrupted_retirement_is_ended_first_or_says_how_to_go_on() {
    let fleet = Between::new();
    let cases = [
        (HOSTS[0], 3, "is being emptied, and batou waits for it and has the other hosts forget it"),
        (HOSTS[1], 1, "the other hosts forget honest, and batou waits for them"),
    ];
    for (host, reply, waits) in cases {
        let retire = ["retire", "dev", host, "--yes"];
        let mut retiring = Halted::before(&fleet, reply, &retire);
        says(&retiring.interrupt(), &[waits]);
        let (status, said) = retiring.go_on();
        assert_eq!(status, Some(0), "{said}");
        says(&said, &[": everything batou made is removed", "the other hosts have forgotten it"]);
        fleet.run(&["switch", "dev"]).success();

        let mut retiring = Halted::before(&fleet, reply, &retire);
        retiring.interrupt();
        signal(Pid::from_child(&retiring.batou), Signal::INT);
        let status = retiring.batou.wait().unwrap().code();
        let (_, said) = retiring.go_on();
        assert_eq!(status, Some(3), "{said}");
        let (known, again) = if reply == 1 {
            (" is emptied, and the other hosts may still remember it", " --lost")
        } else {
            (" is emptied, or is being emptied, and the other hosts still remember it", "")
        };
        says(&said, &["interrupted: ", known, &format!("`batou retire dev {host}{again}")]);
        says(&fleet.run(&retire).success().stdout, &["the other hosts have forgotten it"]);
        fleet.run(&["switch", "dev"]).success();
    }
}
