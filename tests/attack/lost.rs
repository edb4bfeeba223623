//! Two hosts of which one is lost, at each reply of a release: before batou hears it, and after, while the other one works.
//! Status 0 is that both have the new release, 1 that both have the old one. Only once the commit was sent can it be 3. And
//! the next switch puts right whatever was left. So it does where batou itself is lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use super::between::{Between, HOSTS, Outcomes, try_each, verb};
use super::full_disk::SmallDisk;
use super::tries_all;
use crate::common::{SshHosts, Strace, counted, left_out, signal, until};
use crate::shop::{self, Target, says};

/// What happens to the agent. One that is stopped is given up after half a minute only, so that a sample has it once a phase.
const HARMS: [&str; 3] = ["kill", "close", "stop"];

/// A loss at a reply.
#[derive(Clone, Copy, Debug)]
struct Loss<'r> {
    reply: usize,
    verb: &'r str,
    harm: &'static str,
    when: &'static str,
    /// The commit has been sent by then.
    is_late: bool,
}

/// All losses at the replies of a switch.
fn losses(replies: &[Value]) -> Vec<Loss<'_>> {
    let mut losses = Vec::new();
    let harms = if tries_all() { &HARMS[..] } else { &HARMS[..2] };
    for (reply, message) in replies.iter().enumerate() {
        let verb = verb(message);
        for &harm in harms {
            for when in ["before", "after"] {
                // The last reply is that to the commit. After the one before it, the commit may have been sent.
                let is_late = reply + 1 == replies.len() || reply + 2 == replies.len() && when == "after";
                losses.push(Loss { reply, verb, harm, when, is_late });
            }
        }
    }
    losses
}

impl Loss<'_> {
    /// The exit status, or what is wrong.
    fn befall(&self, fleet: &mut Between) -> Result<Option<i32>, String> {
        fleet.change();
        let old = HOSTS.map(|host| fleet.in_force(host));
        let new = HOSTS.map(|host| format!("{} on {host}\n", fleet.release));
        let (stopped, filler) = (fleet.sandbox.tmp().join("stopped"), filler(fleet));
        let order = json!({
            "reply": self.reply, "harm": self.harm, "when": self.when, "stopped": stopped, "filler": filler
        });
        let output = fleet.run_with(&["switch", "dev"], &order);
        let _ = fs::remove_file(filler);
        go_on(&stopped);
        let found = HOSTS.map(|host| fleet.in_force(host));
        let is_true = match output.status {
            Some(0) => found == new,
            Some(1) => found == old,
            Some(3) => self.is_late,
            _ => false,
        };
        let next = fleet.run(&["switch", "dev"]);
        let mended = HOSTS.map(|host| fleet.in_force(host));
        if is_true && next.status == Some(0) && mended == new {
            return Ok(output.status);
        }
        Err(format!(
            "{} {} the reply {}, which is {:?}\n{output:?}\n{old:?}, then {found:?}, and after the next switch \
             {mended:?}: {next:?}",
            self.harm, self.when, self.reply, self.verb
        ))
    }
}

/// Where the disk of the first host is filled.
fn filler(fleet: &Between) -> PathBuf {
    fleet.hosts.host(HOSTS[0]).home().join("shop/filler")
}

/// Lets an agent that was stopped go on, and waits until it has found that nobody is there any more.
fn go_on(stopped: &Path) {
    let Ok(text) = fs::read_to_string(stopped) else { return };
    fs::remove_file(stopped).unwrap();
    let processes: Vec<_> =
        text.split(' ').map(|number| Pid::from_raw(number.parse().unwrap()).unwrap()).collect();
    for process in &processes {
        // Whoever gave the agent up may have ended it.
        let _ = kill_process(*process, Signal::CONT);
    }
    until("the agent has ended", || {
        processes.iter().all(|process| test_kill_process(*process) == Err(Errno::SRCH))
    });
}

/// One reply in each phase of a release; the last one is that to the commit.
fn phases(replies: &[Value]) -> Vec<(&'static str, usize)> {
    let of = |name: &str| {
        replies.iter().rposition(|reply| verb(reply) == name).unwrap_or_else(|| panic!("{name}"))
    };
    let last = replies.len() - 1;
    vec![
        ("lock", of("locked")),
        ("staging", of("stored")),
        ("switch", of("switched")),
        ("activation", of("activated")),
        ("preparation", last - 1),
        ("commit", last),
    ]
}

#[test]
fn a_host_that_stops_in_any_phase_leaves_both_hosts_as_the_exit_status_says() {
    let mut first = Between::new();
    first.change();
    let replies = first.replies(&["switch", "dev"]);
    let phases = phases(&replies);
    let stop = |&(phase, reply): &(&'static str, usize)| {
        let is_late = phase == "commit";
        let loss = Loss { reply, verb: phase, harm: "stop", when: "before", is_late };
        loss.befall(&mut Between::new()).map(|status| (phase, status))
    };
    // Most of the time is waited for.
    let outcomes: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = phases.iter().map(|phase| scope.spawn(move || stop(phase))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    let faults: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().cloned()).collect();
    let ended: Vec<_> = outcomes.iter().flatten().collect();
    counted(&format!("one of two hosts stopped, once a phase: exit statuses {ended:?}"));
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn whoever_interrupts_a_way_back_does_not_wait_for_a_host_that_only_shows_that_it_lives() {
    let mut fleet = Between::new();
    fleet.change();
    let replies = fleet.replies(&["switch", "dev"]);
    let activated = replies.iter().rposition(|reply| verb(reply) == "activated").unwrap();
    fleet.change();
    let failing = format!(
        "\n[[step]]\nname = \"fail\"\nupdate = '''{{% if host.name == \"{}\" %}}until [ -e go ]; do sleep 0.1; done; \
         exit 1{{% endif %}}'''\n",
        HOSTS[1]
    );
    shop::append(&fleet.sandbox, "components/db/component.toml", &failing);
    // With that step there is one component more to activate.
    let order = json!({"reply": activated + 1, "harm": "mute", "when": "after"});
    let child = fleet.start_with(&["switch", "dev"], &order);
    let target = |host: usize| Target::remote(&fleet.hosts, HOSTS[host]);
    let has_gone_back = |host: usize| target(host).results().last().unwrap().ends_with("went-back");
    until("the other host's step runs", || target(1).0.join("running.json").exists());
    fs::write(target(1).0.join("state/db/go"), "").unwrap();
    until("both have gone back", || has_gone_back(0) && has_gone_back(1));
    signal(Pid::from_child(&child), Signal::INT);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines = HOSTS.map(|host| format!("{host}  went back\n"));
    says(&text, &[&lines[0], &lines[1], "activation failed", "2 hosts went back to the release before"]);
}

#[test]
fn a_disk_that_fills_up_in_any_phase_leaves_both_hosts_as_the_exit_status_says() {
    let hosts = SshHosts::start(&HOSTS);
    let place = hosts.host(HOSTS[0]).home().join("shop");
    let Some(_disk) = SmallDisk::at("disks that fill up during a release", place) else { return };
    let mut fleet = Between::on(hosts);
    fleet.change();
    let replies = fleet.replies(&["switch", "dev"]);
    let (mut statuses, mut tried) = (BTreeMap::<_, usize>::new(), 0);
    for (reply, message) in replies.iter().enumerate() {
        let is_late = reply + 1 == replies.len();
        let loss = Loss { reply, verb: verb(message), harm: "fill", when: "after", is_late };
        *statuses.entry(loss.befall(&mut fleet).unwrap()).or_default() += 1;
        tried += 1;
    }
    counted(&format!("one of two disks filled at {tried} replies: exit statuses {statuses:?}"));
    assert!(tried >= 7 && statuses.len() >= 2, "some are too late to matter: {statuses:?}");
}

#[test]
fn a_host_that_is_lost_at_any_reply_leaves_both_hosts_as_the_exit_status_says() {
    let mut first = Between::new();
    first.change();
    let replies = first.replies(&["switch", "dev"]);
    let verbs: Vec<_> = replies.iter().map(verb).collect();
    let losses = losses(&replies);
    let Outcomes { statuses, faults } =
        try_each(first, Between::new, &losses, |fleet, loss| loss.befall(fleet));
    counted(&format!(
        "{} losses of one of two hosts, at {verbs:?}: exit statuses {statuses:?}",
        losses.len()
    ));
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), losses.len(), faults.join("\n\n"));
    assert!(verbs.len() >= 7, "a switch has more replies: {verbs:?}");
}

/// The calls at which the controller is killed, and up to which of each thread. Each thread is counted by itself.
const CALLS: &[(&str, usize, usize)] =
    &[("write", 25, 4), ("read", 120, 24), ("futex", 60, 15), ("rename", 5, 1), ("wait4", 4, 1)];

#[test]
fn a_controller_that_is_killed_at_any_call_leaves_hosts_that_are_whole_and_a_next_switch_that_succeeds() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("controllers of two hosts killed at their system calls", lacking);
    }
    let mut fleet = Between::new();
    let (mut kills, mut tried, mut mixed) = (0, 0, 0);
    for &(call, last, stride) in CALLS {
        for nth in (1..=last).step_by(if tries_all() { 1 } else { stride }) {
            fleet.change();
            let old = HOSTS.map(|host| fleet.in_force(host));
            let new = HOSTS.map(|host| format!("{} on {host}\n", fleet.release));
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let trace = format!("trace={call}");
            // Only batou itself is killed: what it starts is left to itself.
            let strace =
                ["strace", "-f", "-qq", "-b", "execve", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = fleet.run_under(&strace, &["switch", "dev"]);
            let context = format!("killed at call {nth} of {call}: {output:?}");
            tried += 1;
            kills += usize::from(output.status != Some(0));
            for host in HOSTS {
                let lock = fleet.hosts.host(host).home().join("shop/lock");
                until("the agent has ended", || File::open(&lock).unwrap().try_lock().is_ok());
            }
            let found = HOSTS.map(|host| fleet.in_force(host));
            for (place, text) in found.iter().enumerate() {
                assert!(*text == old[place] || *text == new[place], "{found:?}\n{context}");
            }
            mixed += usize::from(found != old && found != new);
            let next = fleet.run(&["switch", "dev"]).success();
            let mended = HOSTS.map(|host| fleet.in_force(host));
            assert_eq!(mended, new, "{next:?}\n{context}");
        }
    }
    counted(&format!(
        "{kills} controllers of two hosts killed in {tried} runs; {mixed} times one host had committed"
    ));
    assert!(kills >= tried / 3, "most runs made no such call");
}
